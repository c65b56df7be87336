use super::*;

fn content(number: usize) -> String {
    format!("{number:064x}")
}

fn read(text: &str) -> Result<Keep> {
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    std::fs::write(file.path(), text).expect("written");
    Keep::read(file.path())
}

#[test]
fn what_is_written_is_read_and_only_changes_are_written() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = directory.path().join("splits/pets.csv");
    let contents: Vec<String> = (0..4).map(content).collect();
    let mut keep = Keep::read(&file).expect("none yet");
    let images =
        [("dog/2.png", 2, Split::Train), ("cat/1.png", 1, Split::Test), ("=cat/,\".png", 0, Split::Validation)];
    keep.extend(images.iter().map(|(path, number, split)| (*path, contents[*number].as_str(), *split)))
        .expect("written");
    let text = std::fs::read_to_string(&file).expect("readable");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "content,split,path");
    assert_eq!(lines[1], format!("{},validation,\"'=cat/,\"\".png\"", contents[0]));
    assert_eq!(lines[2..], [format!("{},test,cat/1.png", contents[1]), format!("{},train,dog/2.png", contents[2])]);

    let mut keep = Keep::read(&file).expect("read");
    let known = |keep: &Keep, path: &'static str, number: usize| {
        keep.splits([(path, contents[number].as_str())].into_iter())[0]
    };
    assert_eq!(known(&keep, "cat/1.png", 1), Some(Split::Test));
    assert_eq!(known(&keep, "elsewhere.png", 0), Some(Split::Validation), "by content, whatever the name");
    assert_eq!(known(&keep, "cat/1.png", 3), Some(Split::Test), "the content of a known path was replaced");
    assert_eq!(known(&keep, "cat/3.png", 3), None);
    let shifted = [("cat/1.png", contents[3].as_str()), ("cat/2.png", contents[1].as_str())];
    assert_eq!(keep.splits(shifted.into_iter()), [None, Some(Split::Test)], "renamed, and another in its place");

    let before = std::fs::metadata(&file).expect("there").modified().expect("a time");
    std::thread::sleep(std::time::Duration::from_millis(20));
    keep.extend([("cat/1.png", contents[1].as_str(), Split::Train)].into_iter()).expect("nothing to write");
    assert_eq!(std::fs::metadata(&file).expect("there").modified().expect("a time"), before, "not written");
    keep.extend([("bird/9.png", contents[3].as_str(), Split::Train)].into_iter()).expect("written");
    let longer = std::fs::read_to_string(&file).expect("readable");
    let kept: Vec<&str> = longer.lines().filter(|line| !line.contains("bird")).collect();
    assert_eq!(kept, lines, "one line more, the others as they were, those of missing images too");
}

#[test]
fn lines_that_are_not_its_own_are_refused_with_their_number() {
    let (a, b) = (content(1), content(2));
    let cases = [
        ("no header", format!("{a},test,x.png\n"), "line 1", "the first line must be `content,split,path`"),
        ("too few columns", format!("content,split,path\n{a},test\n"), "line 2", "it has 2 columns"),
        (
            "an unknown split",
            format!("content,split,path\n{a},test,x.png\n{b},dev,y.png\n"),
            "line 3",
            "its split is `dev`",
        ),
        (
            "listed twice",
            format!("content,split,path\n{a},test,x\n{b},train,y\n{a},train,z\n"),
            "line 4",
            "in line 2 already",
        ),
        ("no content", "content,split,path\nabc,test,x.png\n".to_owned(), "line 2", "64 hexadecimal digits"),
        (
            "a conflict of versions",
            format!("content,split,path\n<<<<<<< HEAD\n{a},test,x.png\n"),
            "line 2",
            "it has 1 columns",
        ),
        ("no path", format!("content,split,path\n{a},test,\n"), "line 2", "its `path` is empty"),
    ];
    for (name, text, line, because) in cases {
        let error = read(&text).expect_err(name).to_string();
        assert!(error.contains(line) && error.contains(because) && error.contains("hint: "), "{name}: {error}");
    }
    let crlf = read(&format!("\u{feff}content,split,path\r\n{a},test,x.png\r\n")).expect("as Windows writes it");
    assert_eq!(crlf.splits([("x.png", a.as_str())].into_iter()), [Some(Split::Test)]);
    assert!(Keep::read(Path::new("/")).is_err(), "a directory");
}

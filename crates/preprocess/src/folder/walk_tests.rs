#![cfg(unix)]
use super::*;
use std::os::unix::fs::symlink;

/// A temporary directory with `files` (empty), then links `(at, to)`; `to` is relative to the directory of `at`, or,
/// with a `/` first, to the temporary directory.
fn tree(files: &[&str], links: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("temporary directory");
    let parent = |path: &Path| fs::create_dir_all(path.parent().expect("parent")).expect("directory");
    for name in files {
        let path = root.path().join(name);
        parent(&path);
        fs::write(&path, "").expect("file");
    }
    for (at, to) in links {
        let at = root.path().join(at);
        parent(&at);
        let to = to.strip_prefix('/').map_or_else(|| PathBuf::from(to), |to| root.path().join(to));
        symlink(to, at).expect("link");
    }
    root
}

/// Walks over the directories of `images`, each a class.
fn classes(root: &Path) -> Walk {
    let images = root.join("images");
    let mut names: Vec<_> = fs::read_dir(&images).expect("listable").map(|e| e.expect("entry").file_name()).collect();
    names.sort();
    let start = |name: &std::ffi::OsString| {
        let class = name_of(name);
        Start { path: images.join(name), prefix: format!("{class}/"), class }
    };
    let starts: Vec<Start> = names.iter().map(start).collect();
    walk(&images, &starts, &[&root.join("out")]).expect("walked")
}

fn sources(walk: &Walk) -> Vec<&str> {
    let mut sources: Vec<&str> = walk.files.iter().map(|file| file.source.as_str()).collect();
    sources.sort_unstable();
    sources
}

const TWO: [&str; 2] = ["images/cat/1.png", "images/dog/1.png"];

#[test]
fn every_directory_belongs_to_one_class() {
    type Case<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, &'a str)], &'a [&'a str], &'a str);
    let own = &["cat/1.png", "dog/1.png"][..];
    let cases: [Case; 13] = [
        ("a link to the source", &[], &[("images/cat/all", "..")], own, "is no class's"),
        ("a link to what holds the source", &[], &[("images/cat/all", "/")], own, "is no class's"),
        ("a link to another class", &[], &[("images/cat/more", "../dog")], own, "belongs to the class `dog`"),
        ("a class that links to another", &[], &[("images/ant", "dog")], own, "belongs to the class `dog`"),
        ("a link to the class itself", &[], &[("images/cat/again", ".")], own, "whose files are there already"),
        ("a link to the output", &["out/sheet.png"], &[("images/cat/out", "/out")], own, "is no class's"),
        (
            "a link outside",
            &["x/2.png", "x/sub/3.png"],
            &[("images/cat/x", "/x")],
            &["cat/1.png", "cat/x/2.png", "cat/x/sub/3.png", "dog/1.png"],
            "",
        ),
        ("a class that is a link", &["x/2.png"], &[("images/eel", "/x")], &["cat/1.png", "dog/1.png", "eel/2.png"], ""),
        (
            "two links of a class to one directory",
            &["x/2.png"],
            &[("images/cat/a", "/x"), ("images/cat/b", "/x")],
            &["cat/1.png", "cat/a/2.png", "dog/1.png"],
            "cat/b` leads to",
        ),
        (
            "two classes' links to one directory",
            &["x/2.png", "x/sub/3.png"],
            &[("images/cat/x", "/x"), ("images/dog/x", "/x")],
            own,
            "links of several classes",
        ),
        (
            "a link into what another class links to",
            &["x/2.png", "x/sub/3.png"],
            &[("images/cat/x", "/x"), ("images/dog/x", "/x/sub")],
            &["cat/1.png", "cat/x/2.png", "dog/1.png"],
            "links of several classes",
        ),
        (
            "links behind links of two classes",
            &["x/2.png", "y/3.png"],
            &[("images/cat/x", "/x"), ("images/dog/x", "/x"), ("x/y", "/y")],
            own,
            "links of several classes",
        ),
        (
            "a file in two classes",
            &[],
            &[("images/cat/2.png", "../dog/1.png")],
            &["cat/1.png", "cat/2.png", "dog/1.png"],
            "are one file",
        ),
    ];
    for (name, files, links, expected, warning) in cases {
        let root = tree(&[&TWO, files].concat(), links);
        let walk = classes(root.path());
        assert_eq!(sources(&walk), expected, "{name}");
        let warnings = walk.warnings.join("\n");
        assert!(warnings.contains(warning) && warnings.is_empty() == warning.is_empty(), "{name}: {warnings}");
    }
}

#[test]
fn directories_that_link_to_one_another_are_visited_once() {
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let files: Vec<String> = names.iter().map(|name| format!("images/{name}/1.png")).collect();
    let pairs = || names.iter().flat_map(|from| names.iter().map(move |to| (from, to)));
    let links: Vec<(String, String)> =
        pairs().map(|(from, to)| (format!("images/{from}/to-{to}"), format!("../{to}"))).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let links: Vec<(&str, &str)> = links.iter().map(|(at, to)| (at.as_str(), to.as_str())).collect();
    assert_eq!(classes(tree(&files, &links).path()).files.len(), 7);
    // The same within what one class links to.
    let outside = |text: &str| text.replacen("images/", "x/", 1);
    let files: Vec<String> = files.iter().map(|name| outside(name)).collect();
    let links: Vec<(String, &str)> = links.iter().map(|(at, to)| (outside(at), *to)).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).chain(TWO).collect();
    let mut links: Vec<(&str, &str)> = links.iter().map(|(at, to)| (at.as_str(), *to)).collect();
    links.push(("images/cat/x", "/x"));
    assert_eq!(classes(tree(&files, &links).path()).files.len(), 7 + 2);
}

#[test]
fn names_do_not_decide_which_class_gets_an_image() {
    for (real, linking) in [("a", "b"), ("b", "a")] {
        let file = format!("images/{real}/shared/1.png");
        let (at, to) = (format!("images/{linking}/shared"), format!("../{real}/shared"));
        let walk = classes(tree(&[&file], &[(&at, &to)]).path());
        assert_eq!(sources(&walk), [format!("{real}/shared/1.png")]);
    }
}

#[test]
fn depth_has_an_end_that_is_named() {
    let below = |levels: usize| format!("images/cat/{}1.png", "d/".repeat(levels));
    assert_eq!(classes(tree(&[&below(MOST_LEVELS)], &[]).path()).files.len(), 1);
    let root = tree(&[&below(MOST_LEVELS + 1)], &[]);
    let start = Start { path: root.path().join("images/cat"), prefix: String::new(), class: "cat".to_owned() };
    let error = walk(&root.path().join("images"), &[start], &[]).expect_err("too deep").to_string();
    assert!(error.contains("images/cat/d/d/d") && error.contains("lies too deep"), "{error}");
}

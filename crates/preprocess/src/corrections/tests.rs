use super::*;
use crate::Result;
use crate::stage::names::csv_cell;
use proptest::prelude::*;

fn read(bytes: &[u8]) -> Result<Corrections> {
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = directory.path().join("fixes.csv");
    std::fs::write(&file, bytes).expect("written");
    Corrections::read(&file)
}

fn relabel(class: &str) -> Action {
    Action::Relabel(class.to_owned())
}

#[test]
fn tables_are_read_as_people_write_them() {
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, Action)]);
    let cases: [Case; 9] = [
        ("only the first line", "path,action\n", &[]),
        (
            "all actions",
            "path,action\na/1.png,relabel b\na/2.png,drop\na/3.png,keep\n",
            &[("a/1.png", relabel("b")), ("a/2.png", Action::Drop), ("a/3.png", Action::Keep)],
        ),
        (
            "a column for the class",
            "class,path,action\nb,1.png,relabel\nb,2.png,relabel b\n,3.png,relabel b\na,4.png,drop\n",
            &[("1.png", relabel("b")), ("2.png", relabel("b")), ("3.png", relabel("b")), ("4.png", Action::Drop)],
        ),
        (
            "columns of a longer table",
            "rank,path,why,action\n1,a.png,\"looks odd, twice\",keep\n",
            &[("a.png", Action::Keep)],
        ),
        ("as a spreadsheet saves it", "\u{feff}path,action\r\na.png,drop\r\n", &[("a.png", Action::Drop)]),
        ("no line break at the end, empty lines", "path,action\n\n\na.png,drop", &[("a.png", Action::Drop)]),
        (
            "names with spaces and commas",
            "path,action\n\"a b/1,2.png\",\"relabel x, y z\"\n",
            &[("a b/1,2.png", relabel("x, y z"))],
        ),
        (
            "names that the program escapes",
            "path,action,class\n'=1+1/a\\u{a}b.png,relabel,'=1+1\n-.png,relabel 'tis,\n",
            &[("-.png", relabel("'tis")), ("=1+1/a\nb.png", relabel("=1+1"))],
        ),
        ("names with backslashes", "path,action\na/\\xE9.png,relabel \\x\n", &[("a/\\xE9.png", relabel("\\x"))]),
    ];
    for (name, text, expected) in cases {
        let found = read(text.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected: Vec<(&str, &Action)> = expected.iter().map(|(path, action)| (*path, action)).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{name}");
        assert!(expected.iter().all(|(path, action)| found.action(path) == Some(action)), "{name}");
        assert_eq!(found.action("another"), None, "{name}");
    }
}

#[test]
fn what_is_no_correction_is_refused_with_its_line() {
    let cases: [(&str, &[u8], &str); 19] = [
        ("nothing", b"", "line 1, is no line of corrections\n  caused by: the file is empty"),
        (
            "no first line",
            b"a.png,drop\n",
            "line 1, is no line of corrections\n  caused by: the first line names no column `path`",
        ),
        ("no actions", b"path,class\na.png,b\n", "the first line names no column `action`"),
        ("another separator", b"path;action\na.png;drop\n", "the first line names no column `path`"),
        ("a column twice", b"path,action,path\n", "it names the column `path` twice"),
        (
            "an unknown action",
            b"path,action\na.png,drop\nb.png,delete\n",
            "line 3, is no line of corrections\n  caused by: its action is `delete`; it must be",
        ),
        ("in capitals", b"path,action\na.png,Drop\n", "its action is `Drop`"),
        ("more than an action", b"path,action\na.png,drop it\n", "its action is `drop it`"),
        (
            "no action",
            b"path,action\na.png,\n",
            "line 2, is no line of corrections\n  caused by: its `action` is empty",
        ),
        ("no path", b"path,action\n,drop\n", "its `path` is empty"),
        (
            "no class",
            b"path,action\na.png,relabel\n",
            "line 2, is no line of corrections\n  caused by: `relabel` names no class",
        ),
        ("an empty class", b"path,action\na.png,relabel \n", "`relabel` names no class"),
        ("an empty column", b"path,action,class\na.png,relabel,\n", "`relabel` names no class"),
        ("two classes", b"path,action,class\na.png,relabel b,c\n", "it names two classes, `b` and `c`"),
        (
            "twice",
            b"path,action\na.png,drop\n\nb.png,keep\na.png,keep\n",
            "line 5, is no line of corrections\n  caused by: `a.png` has an action in line 2 already",
        ),
        (
            "too few cells",
            b"path,action\na.png\n",
            "line 2, is no line of corrections\n  caused by: it has 1 cells, the first line 2",
        ),
        ("a comma without quotes", b"path,action\na,b.png,drop\n", "it has 3 cells, the first line 2"),
        (
            "an open quotation mark",
            b"path,action\n\"a.png,drop\nb.png,drop\n",
            "line 2, is no line of corrections\n  caused by: a cell goes over several lines",
        ),
        ("a spreadsheet's own format", b"PK\x03\x04\n\xff\xfe\n", "line 2 is not UTF-8 text"),
    ];
    for (name, text, expected) in cases {
        let error = read(text).expect_err(name).to_string();
        assert!(error.contains(expected) && error.contains("fixes.csv") && error.contains("hint: "), "{name}: {error}");
    }
    let directory = tempfile::tempdir().expect("temporary directory");
    for (name, path) in [("missing", directory.path().join("none.csv")), ("a directory", directory.path().to_owned())] {
        let error = Corrections::read(&path).expect_err(name).to_string();
        assert!(error.contains("which `preprocess.corrections` names") && error.contains("hint: "), "{name}: {error}");
    }
}

proptest! {
    #[test]
    fn names_as_the_program_writes_them_are_read(
        names in proptest::collection::btree_map("[^\0/]{1,12}", "[^\0/]{1,12}", 1..8),
    ) {
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record(["path", "action", "class"]).expect("written");
        for (path, class) in &names {
            csv.write_record([&*csv_cell(path), "relabel", &*csv_cell(class)]).expect("written");
        }
        let found = read(&csv.into_inner().expect("flushed")).expect("read");
        let expected: Vec<(&str, Action)> = names.iter().map(|(path, class)| (path.as_str(), relabel(class))).collect();
        prop_assert_eq!(found.iter().map(|(path, action)| (path, action.clone())).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn whatever_a_file_holds_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
        let _ = read(&[b"path,action\n".as_slice(), &bytes].concat());
    }
}

use super::*;
use std::fs;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

/// Makes a directory of files with the given content; a name that ends in `/` is a directory.
fn tree(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("temporary directory");
    for (name, content) in files {
        let path = root.path().join(name);
        if name.ends_with('/') {
            fs::create_dir_all(&path).expect("directory");
        } else {
            fs::create_dir_all(path.parent().expect("parent")).expect("directory");
            fs::write(&path, content).expect("file");
        }
    }
    root
}

fn sources(folder: &Folder) -> Vec<&str> {
    folder.images.iter().map(|image| image.source.as_str()).collect()
}

#[test]
fn images_are_found_by_content_and_the_rest_is_counted() {
    let root = tree(&[
        ("cat/1.png", PNG),
        ("cat/photo", PNG),
        ("cat/more/2.txt", PNG),
        ("cat/notes.txt", b"text"),
        ("cat/.hidden.png", PNG),
        ("cat/Thumbs.db", b"x"),
        ("dog 2/empty.jpg", b""),
        ("dog 10/page.JPG", b"<html>"),
        (".git/config", b"x"),
        ("loose.png", PNG),
        ("README.md", b"x"),
    ]);
    let folder = Folder::discover(root.path()).expect("found");
    assert_eq!(folder.classes, ["cat", "dog 2", "dog 10"]);
    assert_eq!(sources(&folder), ["cat/1.png", "cat/more/2.txt", "cat/photo", "dog 10/page.JPG", "dog 2/empty.jpg"]);
    assert_eq!(folder.images.iter().map(|image| image.label).collect::<Vec<_>>(), [0, 0, 0, 2, 1]);
    assert_eq!((folder.hidden, folder.not_images, folder.outside), (3, 2, 1));
    assert!(folder.images.iter().all(|image| image.split.is_none()));
}

#[test]
fn split_directories_are_told_from_classes_of_such_names() {
    let root = tree(&[
        ("train/a/1.png", PNG),
        ("train/b/1.png", PNG),
        ("val/a/1.png", PNG),
        ("test/b/1.png", PNG),
        ("labels.csv", b"x"),
    ]);
    let folder = Folder::discover(root.path()).expect("found");
    assert_eq!(folder.classes, ["a", "b"]);
    let splits: Vec<_> = folder.images.iter().map(|image| (image.source.as_str(), image.split)).collect();
    let expected = [
        ("test/b/1.png", Some(Split::Test)),
        ("train/a/1.png", Some(Split::Train)),
        ("train/b/1.png", Some(Split::Train)),
        ("val/a/1.png", Some(Split::Validation)),
    ];
    assert_eq!(splits, expected);

    let vehicles = tree(&[("train/1.png", PNG), ("bus/1.png", PNG), ("car/1.png", PNG)]);
    let folder = Folder::discover(vehicles.path()).expect("found");
    assert_eq!(folder.classes, ["bus", "car", "train"]);
    assert_eq!(folder.images[0].split, None);

    // The way out for classes of such names: everything below `train` is a class.
    let within = tree(&[("train/train/1.png", PNG), ("train/test/1.png", PNG), ("train/bus/a/1.png", PNG)]);
    let folder = Folder::discover(within.path()).expect("found");
    assert_eq!(folder.classes, ["bus", "test", "train"]);
    assert!(folder.images.iter().all(|image| image.split == Some(Split::Train)));
}

#[test]
fn names_near_those_of_splits_are_recognised() {
    use Split::{Test, Train, Validation};
    let cases: [(&[&str], &[Split]); 8] = [
        (&["Train", "Test"], &[Train, Test]),
        (&["TRAIN", "VAL", "TEST"], &[Train, Validation, Test]),
        (&["training", "testing"], &[Train, Test]),
        (&["training", "validation"], &[Train, Validation]),
        (&["train_set", "dev-set", "Test Set"], &[Train, Validation, Test]),
        (&["train_images", "images-test"], &[Train, Test]),
        (&["Training Data", "valid"], &[Train, Validation]),
        (&["train"], &[Train]),
    ];
    for (names, splits) in cases {
        let files: Vec<String> =
            names.iter().flat_map(|name| ["a", "b"].map(|class| format!("{name}/{class}/1.png"))).collect();
        let root = tree(&files.iter().map(|file| (file.as_str(), PNG)).collect::<Vec<_>>());
        let folder = Folder::discover(root.path()).unwrap_or_else(|error| panic!("{names:?}: {error}"));
        assert_eq!(folder.classes, ["a", "b"], "{names:?}");
        for image in &folder.images {
            let of = names.iter().position(|name| image.source.starts_with(&format!("{name}/"))).expect("a directory");
            assert_eq!(image.split, Some(splits[of]), "{}", image.source);
        }
    }
    // Words that only begin like one, or hold one.
    let classes =
        tree(&[("trainer/a.png", PNG), ("testament/a.png", PNG), ("valley/a/1.png", PNG), ("latest/a.png", PNG)]);
    assert_eq!(Folder::discover(classes.path()).expect("found").classes, ["latest", "testament", "trainer", "valley"]);
}

#[test]
fn what_may_be_splits_or_classes_is_refused_with_the_reason() {
    let cases: [(&[&str], &str); 9] = [
        (&["train/a/1.png", "bus/1.png"], "they have the names of splits, but `bus` beside them have not"),
        (&["train/a/1.png", "test/a/1.png", "annotations/1.png"], "but `annotations` beside them have not"),
        (&["train/1.png", "test/1.png", "bus/1.png"], "but `bus` beside them have not"),
        (&["train/1.png", "test/1.png"], "`test` holds no class directories"),
        (&["train/a/1.png", "train/b/1.png", "test/1.png"], "`test` holds no class directories"),
        (&["Train/a/1.png", "train/b/1.png"], "more than one train split: `Train`, `train`"),
        (&["train/a/1.png", "val/a/1.png", "dev/a/1.png"], "more than one validation split: `dev`, `val`"),
        (&["val/a/1.png", "test/a/1.png"], "there is no training split"),
        (&["train/a/1.png", "holdout/a/1.png"], "`holdout` may be the validation or the test split"),
    ];
    for (files, expected) in cases {
        let root = tree(&files.iter().map(|file| (*file, PNG)).collect::<Vec<_>>());
        let error = Folder::discover(root.path()).expect_err(expected).to_string();
        assert!(error.contains(expected) && error.contains("hint: "), "{files:?}: {error}");
    }
}

#[test]
fn sets_that_cannot_be_used_are_refused_by_name() {
    type Files<'a> = &'a [(&'a str, &'a [u8])];
    let cases: [(&str, Files, &str); 8] = [
        ("an empty directory", &[], "holds no class directories"),
        ("images without classes", &[("a.png", PNG)], "1 images lie in it directly"),
        ("one class", &[("cat/1.png", PNG)], "holds only one class, `cat`"),
        ("one class and a hidden one", &[("cat/1.png", PNG), (".dog/1.png", PNG)], "holds only one class, `cat`"),
        ("an empty class", &[("cat/1.png", PNG), ("dog/", b"")], "the class directory `dog`"),
        ("a class of other files", &[("cat/1.png", PNG), ("dog/a.txt", b"x")], "the class directory `dog`"),
        (
            "a class that is not trained",
            &[("train/a/1.png", PNG), ("train/b/1.png", PNG), ("test/c/1.png", PNG)],
            "the class `c` has no images in",
        ),
        (
            "two validation splits",
            &[("train/a/1.png", PNG), ("val/a/1.png", PNG), ("valid/a/1.png", PNG)],
            "more than one validation split",
        ),
    ];
    for (name, files, expected) in cases {
        let root = tree(files);
        let error = Folder::discover(root.path()).expect_err(name).to_string();
        assert!(error.contains(expected) && error.contains("hint: "), "{name}: {error}");
    }
    let error = Folder::discover(Path::new("no/such/place")).expect_err("missing").to_string();
    assert!(error.contains("no/such/place"), "{error}");
}

#[cfg(unix)]
#[test]
fn links_pipes_and_odd_names_neither_hang_nor_panic() {
    use std::os::unix::ffi::OsStrExt;
    let root = tree(&[("cat/1.png", PNG), ("dog/1.png", PNG)]);
    let cat = root.path().join("cat");
    std::os::unix::fs::symlink(root.path(), cat.join("loop")).expect("link");
    std::os::unix::fs::symlink("nowhere.png", cat.join("broken.png")).expect("link");
    fs::write(cat.join(std::ffi::OsStr::from_bytes(b"caf\xe9.png")), PNG).expect("file");
    let pipe = std::process::Command::new("mkfifo").arg(cat.join("pipe.png")).status().expect("mkfifo");
    assert!(pipe.success());
    fs::create_dir(root.path().join("空 å")).expect("directory");
    fs::write(root.path().join("空 å/1.png"), PNG).expect("file");

    let folder = Folder::discover(root.path()).expect("found");
    assert_eq!(folder.classes, ["cat", "dog", "空 å"]);
    assert!(sources(&folder).starts_with(&["cat/1.png", "cat/broken.png", "cat/caf\\xE9.png"]), "{folder:?}");
    assert_eq!(folder.not_images, 1);
}

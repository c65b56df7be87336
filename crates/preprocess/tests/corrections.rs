//! Drives the program with a file of corrections: what they change, what they leave, and how it meets bad ones.

// The helpers are parts of tests, which clippy does not see: they too fail by `expect`.
#![allow(clippy::expect_used)]

use preprocess::dataset::Dataset;
use preprocess::image::{Pixels, png};
use preprocess::manifest::Manifest;
use preprocess::pipeline::Split;
use preprocess::stage::random;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A source directory of cats and dogs, a file of corrections, and the place for runs.
struct Bench {
    root: tempfile::TempDir,
}

/// The setting that names the file.
const FIXES: &str = "preprocess.corrections=fixes.csv";

impl Bench {
    /// Twenty pictures a class: `cat/0.png`, `dog/0.png` and so on.
    fn new() -> Self {
        let bench = Self { root: tempfile::tempdir().expect("temporary directory") };
        for (class, offset) in [("cat", 0), ("dog", 100)] {
            (0..20).for_each(|index| bench.image(&format!("{class}/{index}.png"), offset + index));
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("directory");
        fs::write(path, content).expect("file");
    }

    fn image(&self, name: &str, seed: u64) {
        self.write(&format!("images/{name}"), &png::encode(&picture(seed)).expect("encoded"));
    }

    fn fixes(&self, lines: &str) {
        self.write("fixes.csv", format!("path,action\n{lines}").as_bytes());
    }

    /// Runs the program with these settings; returns its exit code and all that it printed.
    fn try_run(&self, settings: &[&str]) -> (Option<i32>, String) {
        let text = "name: test\noutput: run\npreprocess: { source: images, image: { width: 16, height: 16 } }\ntrain: { models: { a: \
                    { architecture: resnet } } }\n";
        self.write("pipeline.yaml", text.as_bytes());
        let mut command = Command::new(env!("CARGO_BIN_EXE_preprocess"));
        command.args(["--pipeline", "pipeline.yaml"]).current_dir(self.root.path());
        settings.iter().for_each(|setting| _ = command.args(["--set", setting]));
        let output = command.output().expect("started");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.code(), text)
    }

    fn run(&self, settings: &[&str]) -> String {
        let (code, text) = self.try_run(settings);
        assert_eq!(code, Some(0), "{text}");
        text
    }

    fn fail(&self, settings: &[&str]) -> String {
        let (code, text) = self.try_run(settings);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("error: ") && text.contains("hint: ") && !text.contains("panicked"), "{text}");
        text
    }

    fn manifest(&self) -> Manifest {
        Manifest::read(&self.path("run/shards")).expect("a manifest")
    }

    /// Class, split and group of each image of the data set, by path.
    fn rows(&self) -> BTreeMap<String, (String, Split, usize)> {
        let set = Dataset::open(&self.path("run/shards")).expect("opened");
        let of_split = |split: Split| {
            let rows = set.rows(split, 0).expect("rows");
            let class = |row| set.manifest().classes[rows.label(row)].clone();
            let row = |row| (rows.source(row).to_owned(), (class(row), split, rows.group(row)));
            (0..rows.len()).map(row).collect::<Vec<_>>()
        };
        Split::ALL.into_iter().flat_map(of_split).collect()
    }

    /// Images of each class in all splits together.
    fn counts(&self) -> Vec<usize> {
        let counts = self.manifest().counts;
        (0..2).map(|class| counts.values().map(|counts| counts[class]).sum()).collect()
    }
}

/// Smooth blobs at places that `seed` determines.
fn picture(seed: u64) -> Pixels {
    let (width, height) = (48, 40);
    let mut random = random::stream(seed, "picture", &[]);
    let mut blob = || (random.uniform(), random.uniform(), random.range(0.05, 0.3), random.range(-1.0, 1.0));
    let blobs: Vec<_> = (0..24).map(|_| blob()).collect();
    let value = |x: f64, y: f64| {
        let part =
            |&(bx, by, r, w): &(f64, f64, f64, f64)| w * (-((x - bx).powi(2) + (y - by).powi(2)) / (r * r)).exp();
        (120.0 + 50.0 * blobs.iter().map(part).sum::<f64>()).clamp(0.0, 255.0) as u8
    };
    let at = |i: usize| value((i % width) as f64 / width as f64, (i / width) as f64 / height as f64);
    Pixels { width, height, data: (0..width * height).flat_map(|i| [at(i), at(i) / 2, 255 - at(i)]).collect() }
}

#[test]
fn images_get_other_classes_or_go_and_the_source_stays() {
    let bench = Bench::new();
    bench.run(&[]);
    let before = bench.rows();
    bench
        .fixes("cat/3.png,relabel dog\ncat/4.png,relabel dog\ncat/5.png,relabel cat\ndog/7.png,drop\ncat/6.png,keep\n");
    let text = bench.run(&[FIXES]);
    assert!(text.contains("Corrected by `fixes.csv`: 2 images relabelled, 1 dropped, 1 kept as they are."), "{text}");
    assert_eq!(bench.counts(), [18, 21]);
    let mut expected: BTreeMap<String, String> = before.into_iter().map(|(path, (class, ..))| (path, class)).collect();
    expected.remove("dog/7.png");
    expected.extend(["cat/3.png", "cat/4.png"].map(|path| (path.to_owned(), "dog".to_owned())));
    let classes = bench.rows().into_iter().map(|(path, (class, ..))| (path, class));
    assert_eq!(classes.collect::<BTreeMap<_, _>>(), expected);
    assert!(bench.path("images/cat/3.png").exists() && bench.path("images/dog/7.png").exists());
    // Each class has its share of each split by its corrected images: 18 and 21, by 0.2 and 0.1.
    let counts = bench.manifest().counts;
    assert_eq!([Split::Validation, Split::Test].map(|split| counts[&split].clone()), [[4, 4], [2, 2]]);
}

#[test]
fn what_corrections_do_makes_the_data_set_another_and_nothing_else_does() {
    let bench = Bench::new();
    bench.run(&[]);
    let (without, rows) = (bench.manifest().fingerprint, bench.rows());
    // Nothing that does anything.
    bench.fixes("cat/1.png,keep\ncat/2.png,relabel cat\nno/such.png,drop\n");
    bench.run(&[FIXES]);
    assert_eq!((bench.manifest().fingerprint, bench.rows()), (without.clone(), rows.clone()));
    bench.fixes("cat/1.png,drop\n");
    assert!(!bench.run(&[FIXES]).contains("up to date"));
    let with = bench.manifest().fingerprint;
    assert_ne!(with, without);
    for (name, lines) in [
        ("the same", "cat/1.png,drop\n"),
        ("others that keep", "dog/1.png,keep\ncat/1.png,drop\ndog/2.png,keep\n"),
        ("one that relabels to the class it has", "dog/1.png,relabel dog\ncat/1.png,drop\n"),
    ] {
        bench.fixes(lines);
        assert!(bench.run(&[FIXES]).contains("up to date"), "{name}");
    }
    fs::copy(bench.path("fixes.csv"), bench.path("elsewhere.csv")).expect("copied");
    bench.run(&["preprocess.corrections=elsewhere.csv"]);
    assert_eq!(bench.manifest().fingerprint, with, "where the file lies is no part of it");
    for (name, lines) in [("relabelled", "cat/1.png,relabel dog\n"), ("another", "cat/2.png,drop\n")] {
        bench.fixes(lines);
        assert!(!bench.run(&[FIXES]).contains("up to date"), "{name}");
        assert_ne!(bench.manifest().fingerprint, with, "{name}");
    }
    bench.run(&[]);
    assert_eq!((bench.manifest().fingerprint, bench.rows()), (without, rows), "all is as it was");
}

#[test]
fn paths_are_taken_as_the_program_writes_them() {
    let bench = Bench::new();
    for name in ["cat/=a, \"b\"\n.png", "cat/'c \\u{a}.png", "cat/-d.png"] {
        bench.write(&format!("images/{name}"), b"\x89PNG\r\n\x1a\n");
    }
    bench.run(&[]);
    assert_eq!(bench.manifest().rejected, 3);
    // The list of what cannot be decoded becomes one of what is dropped.
    let list = fs::read_to_string(bench.path("run/shards/rejected.csv")).expect("readable");
    let mut csv = csv::Writer::from_writer(Vec::new());
    let mut reader = csv::Reader::from_reader(list.as_bytes());
    csv.write_record(["path", "action"]).expect("written");
    for record in reader.records() {
        csv.write_record([&record.expect("a line")[0], "drop"]).expect("written");
    }
    bench.write("fixes.csv", &csv.into_inner().expect("flushed"));
    // What is dropped need not be readable.
    for settings in [&[FIXES, "preprocess.unreadable=fail"][..], &[FIXES]] {
        let text = bench.run(settings);
        assert!(text.contains("0 images relabelled, 3 dropped") && !text.contains("warning"), "{text}");
        let list = fs::read_to_string(bench.path("run/shards/rejected.csv")).expect("readable");
        assert_eq!((bench.manifest().rejected, list.as_str()), (0, "path,reason\n"));
        fs::remove_dir_all(bench.path("run")).expect("removed");
    }
}

#[test]
fn directories_that_are_split_stay_split() {
    let bench = Bench::new();
    fs::remove_dir_all(bench.path("images")).expect("removed");
    for (number, split) in (0u64..).zip(["train", "validation", "test"]) {
        for (class, offset) in [("cat", 0), ("dog", 10)] {
            let seed = |index| number * 100 + offset + index;
            (0..5).for_each(|index| bench.image(&format!("{split}/{class}/{index}.png"), seed(index)));
        }
    }
    bench.fixes("train/cat/0.png,relabel dog\nvalidation/cat/1.png,relabel dog\ntest/dog/2.png,relabel cat\ntest/dog/3.png,drop\n");
    bench.run(&[FIXES]);
    let counts = bench.manifest().counts;
    assert_eq!(Split::ALL.map(|split| counts[&split].clone()), [[4, 6], [4, 6], [6, 3]]);
    let (class, split, _) = &bench.rows()["validation/cat/1.png"];
    assert_eq!((class.as_str(), *split), ("dog", Split::Validation));
}

#[test]
fn groups_stay_as_they_are() {
    let bench = Bench::new();
    // 0 is a copy of `link`, which is in one given group with 1.
    bench.image("cat/link.png", 0);
    bench.write("groups.csv", b"path,group\ncat/link.png,x\ncat/1.png,x\n");
    let settings = [FIXES, "preprocess.split.group_by=groups.csv"];
    bench.fixes("");
    bench.run(&settings);
    let before = bench.rows();
    assert_eq!(before["cat/0.png"].2, before["cat/1.png"].2);
    assert_eq!((bench.manifest().duplicates.exact, bench.manifest().duplicates.near), (1, 3));
    bench.fixes("cat/link.png,drop\ncat/1.png,relabel dog\n");
    bench.run(&settings);
    let after = bench.rows();
    for (path, (_, _, group)) in &after {
        assert_eq!(*group, before[path].2, "{path}");
    }
    assert_eq!(after["cat/0.png"].1, after["cat/1.png"].1, "what the dropped image connects stays together");
    let found = bench.manifest().duplicates;
    assert_eq!((found.exact, found.near, found.across_classes), (0, 2, 1));
}

#[test]
fn lines_that_name_no_image_are_told_and_do_no_harm() {
    let bench = Bench::new();
    let lines = |number: usize| (0..number).map(|index| format!("cat/gone{index}.png,drop\n")).collect::<String>();
    bench.fixes(&lines(1));
    let text = bench.run(&[FIXES]);
    assert!(text.contains("warning: 1 lines of `fixes.csv` name no image of the source: `cat/gone0.png`\n"), "{text}");
    bench.fixes(&lines(7));
    let text = bench.run(&[FIXES]);
    assert!(text.contains("warning: 7 lines of `fixes.csv` name no image of the source: `cat/gone0.png`, "), "{text}");
    assert!(text.contains("`cat/gone4.png`, …\n") && !text.contains("gone5"), "{text}");
}

#[test]
fn what_cannot_be_done_is_refused() {
    let all_cats = (0..20).map(|index| format!("cat/{index}.png,drop\n")).collect::<String>();
    let cases: [(&str, &str, &[&str]); 5] = [
        (
            "an unknown class",
            "cat/1.png,keep\ncat/2.png,relabel dgo\ncat/0.png,relabel bird\n",
            &["`fixes.csv`, line 3: `dgo` is none of the 2 classes", "the nearest are `dog`, `cat`"],
        ),
        (
            "an unknown class of an image that is gone",
            "no.png,relabel bird\n",
            &["line 2: `bird` is none of the 2 classes"],
        ),
        ("an unknown action", "cat/1.png,delete\n", &["`fixes.csv`, line 2", "its action is `delete`"]),
        (
            "a class of which nothing is left",
            &all_cats,
            &[
                "the corrections in `fixes.csv` leave the class `cat` without an image",
                "all its images are dropped or relabelled",
            ],
        ),
        ("another class's", &all_cats.replace("drop", "relabel dog"), &["leave the class `cat` without an image"]),
    ];
    let bench = Bench::new();
    for (name, lines, expected) in cases {
        bench.fixes(lines);
        let error = bench.fail(&[FIXES]);
        assert!(expected.iter().all(|expected| error.contains(expected)), "{name}: {error}");
        assert!(!bench.path("run/shards/manifest.json").exists(), "{name}");
    }
    let error = bench.fail(&["preprocess.corrections=none.csv"]);
    assert!(error.contains("cannot read `none.csv`, which `preprocess.corrections` names"), "{error}");

    // All that is left of a class cannot be decoded.
    bench.write("images/cat/broken.png", b"\x89PNG\r\n\x1a\n");
    bench.fixes(&all_cats);
    let error = bench.fail(&[FIXES]);
    assert!(error.contains("the class `cat` has no image that can be decoded"), "{error}");
}

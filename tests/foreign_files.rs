//! What is not this program's: files, links, pipes and names that lie where it reads and writes.
#![cfg(unix)]

use crate::harness::{Bench, SMALL_PREPROCESS, SMALL_TRAIN, fashion_images};
use preprocess::dataset::Dataset;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longer than any stage takes here, shorter than for ever.
const AT_ONCE: Duration = Duration::from_secs(20);

const STAGES: [&str; 3] = ["preprocess", "train", "report"];

/// Settings under which everything is made anew.
const ANEW: [&str; 4] = ["--set", "preprocess.augment.copies=1", "--set", "train.models.small.epochs=1"];

#[test]
fn others_files_in_the_output_stay() {
    let bench = Bench::small();
    let foreign = [
        "out/shards/data/prices.parquet",
        "out/shards/data/.tmp-notes",
        "out/shards/notes.csv",
        "out/shards/.state/mine.parquet",
        "out/audit/notes.txt",
        "out/report/logo.svg",
        "out/report/figures/chart.svg",
        "out/report/confusion-of-mine.csv",
        "out/models/small/notes.txt",
        "out/models/small/checkpoint/mine.safetensors",
        "out/models/theirs/model.safetensors",
    ];
    for name in foreign {
        bench.write(name, "theirs");
    }
    bench.run_all();
    for stage in STAGES {
        bench.stage(stage, &ANEW).succeeds();
    }
    for name in foreign {
        assert_eq!(fs::read_to_string(bench.path(name)).ok().as_deref(), Some("theirs"), "{name}");
    }
    let shards = bench.files("out/shards/data");
    let listed = Dataset::open(&bench.path("out/shards")).unwrap().manifest().shards.len();
    assert_eq!(shards.keys().filter(|name| name.contains("-of-")).count(), listed, "its own old shards are gone");
}

#[test]
fn a_foreign_file_of_one_of_our_names_is_refused_and_kept() {
    for (stage, name) in [
        ("preprocess", "out/shards/manifest.json"),
        ("preprocess", "out/shards/rejected.csv"),
        ("preprocess", "out/shards/contact-sheet.png"),
        ("preprocess", "out/shards/data/test-00000-of-00001.parquet"),
        ("preprocess", "out/.lock"),
        ("train", "out/models/small/model.safetensors"),
        ("train", "out/models/small/config.json"),
        ("train", "out/audit/audit.json"),
        ("report", "out/report/report.md"),
        ("report", "out/report/audit.csv"),
        ("report", "out/report/metrics.json"),
    ] {
        let bench = Bench::small();
        let before = STAGES.iter().take_while(|earlier| **earlier != stage);
        before.for_each(|earlier| drop(bench.stage(earlier, &ANEW).succeeds()));
        bench.write(name, "theirs");
        let file = Path::new(name).file_name().unwrap().to_str().unwrap();
        bench.stage(stage, &ANEW).fails_naming(&[file, "hint: move it away"]);
        assert_eq!(fs::read_to_string(bench.path(name)).unwrap(), "theirs", "{name}");
    }
}

#[test]
fn writing_follows_no_link_out_of_the_output() {
    for (stage, name) in [
        ("preprocess", "out/.lock"),
        ("preprocess", "out/shards"),
        ("preprocess", "out/shards/data"),
        ("preprocess", "out/shards/.state"),
        ("preprocess", "out/shards/.state/pixels"),
        ("preprocess", "out/shards/.state/shards.jsonl"),
        ("preprocess", "out/shards/.state/inputs.json"),
        ("preprocess", "out/shards/rejected.csv"),
        ("train", "out/models"),
        ("train", "out/models/small"),
        ("train", "out/models/small/checkpoint"),
        ("train", "out/models/small/history.csv"),
        ("train", "out/models/small/margins.parquet"),
        ("train", "out/audit"),
        ("train", "out/audit/evidence.parquet"),
        ("report", "out/report"),
        ("report", "out/report/figures"),
        ("report", "out/report/report.html"),
    ] {
        let bench = Bench::small();
        let before = STAGES.iter().take_while(|earlier| **earlier != stage);
        before.for_each(|earlier| drop(bench.stage(earlier, &ANEW).succeeds()));
        let is_file = name.contains('.') && !name.ends_with(".state") || name.ends_with("pixels");
        let target = if is_file { bench.write("theirs/file", "theirs") } else { bench.path("theirs") };
        fs::create_dir_all(bench.path("theirs")).unwrap();
        let link = bench.path(name);
        let _ = fs::remove_file(&link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&target, &link).unwrap();
        let words = [Path::new(name).file_name().unwrap().to_str().unwrap(), "is a link"];
        bench.stage(stage, &ANEW).fails_naming(&words);
        let theirs = bench.files("theirs");
        let expected = if is_file { vec![("file".to_owned(), b"theirs".to_vec())] } else { Vec::new() };
        assert_eq!(theirs.into_iter().collect::<Vec<_>>(), expected, "{name}");
    }
}

#[test]
fn an_output_that_is_a_link_works_and_one_into_the_source_is_refused() {
    let bench = Bench::small();
    fs::create_dir_all(bench.path("disk/run")).unwrap();
    symlink(bench.path("disk/run"), bench.path("out")).unwrap();
    bench.run_all();
    assert!(bench.path("disk/run/report/report.html").exists());

    symlink(bench.path("images"), bench.path("elsewhere")).unwrap();
    for (output, says) in [("output=elsewhere/run", "through a link"), ("output=images/run", "lies inside")] {
        bench.stage("preprocess", &["--set", output]).fails_naming(&["preprocess.source", says]);
    }
    symlink(bench.path("disk/run/shards"), bench.path("shards-link")).unwrap();
    let source = "preprocess.source=shards-link/data";
    bench.stage("preprocess", &["--set", source]).fails_naming(&["preprocess.source", "out/shards", "through a link"]);
    assert!(!bench.path("images/run").exists());
}

#[test]
fn a_pipe_in_a_files_place_does_not_hang() {
    let bench = Bench::small();
    bench.run_all();
    for (stage, name) in [
        ("preprocess", "out/.lock"),
        ("preprocess", "out/shards/.state/inputs.json"),
        ("preprocess", "out/shards/manifest.json"),
        ("preprocess", "out/shards/data/test-00000-of-00001.parquet"),
        ("train", "out/shards/manifest.json"),
        ("train", "out/shards/data/test-00000-of-00001.parquet"),
        ("train", "out/models/small/config.json"),
        ("train", "out/models/small/history.csv"),
        ("report", "out/models/small/config.json"),
        ("report", "out/models/small/predictions-test.parquet"),
        ("report", "out/report/metrics.json"),
    ] {
        let (path, kept) = (bench.path(name), bench.path("kept"));
        fs::rename(&path, &kept).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let started = Instant::now();
        bench.stage(stage, &[]).fails_naming(&[path.file_name().unwrap().to_str().unwrap(), "named pipe"]);
        assert!(started.elapsed() < AT_ONCE, "{stage}, {name}: {:?}", started.elapsed());
        fs::remove_file(&path).unwrap();
        fs::rename(&kept, &path).unwrap();
        if stage == "preprocess" {
            bench.stage(stage, &[]).succeeds();
        }
    }
}

#[test]
fn odd_names_do_no_harm_anywhere() {
    use std::os::unix::ffi::OsStrExt;
    let bench = Bench::new();
    let names: [&[u8]; 5] = [b"=1+2", b"a\x1b[31mb\nerror: c", "x\u{202e}y".as_bytes(), b"caf\xe9", b"caf\\xE9"];
    for (index, name) in names.iter().enumerate() {
        let directory = bench.path("images").join(std::ffi::OsStr::from_bytes(name));
        fs::create_dir_all(&directory).unwrap();
        let class = ["bag", "trouser", "sneaker", "coat", "dress"][index];
        for (file, bytes) in fashion_images(class).into_iter().take(12) {
            fs::write(directory.join(file), bytes).unwrap();
        }
        fs::write(directory.join("=broken\u{1b}[2J.png"), "no image").unwrap();
    }
    bench.pipeline(SMALL_PREPROCESS, SMALL_TRAIN, "");
    let mut said = String::new();
    for stage in STAGES {
        let finished = bench.stage(stage, &[]).succeeds();
        said += &(finished.stdout + &finished.stderr);
    }
    let model = "out/models/small";
    for format in ["table", "json", "csv"] {
        let finished = bench.run("train", &["predict", "--model", model, "--format", format, "images"]).succeeds();
        if format == "json" {
            serde_json::from_str::<serde_json::Value>(&finished.stdout).unwrap();
        }
        said += &(finished.stdout + &finished.stderr);
    }
    for format in ["table", "json"] {
        let evaluate = ["evaluate", "--model", model, "--images", "images", "--format", format];
        let finished = bench.run("train", &evaluate).succeeds();
        said += &(finished.stdout + &finished.stderr);
    }
    let classes = Dataset::open(&bench.path("out/shards")).unwrap().manifest().classes.clone();
    assert_eq!(classes.len(), 5, "bytes and text that looks like them are two classes: {classes:?}");
    let dangerous = |c: char| !matches!(c, '\n' | '\t') && (c.is_control() || c == '\u{202e}');
    assert!(!said.contains(dangerous), "a control character reached the terminal:\n{said:?}");
    assert!(!said.lines().any(|line| line.starts_with("error: c")), "a class's name forged a line:\n{said}");
    for (name, bytes) in bench.files("out").iter().filter(|(name, _)| !name.ends_with(".parquet")) {
        let Ok(text) = std::str::from_utf8(bytes) else { continue };
        if name.ends_with(".csv") {
            assert!(!text.split([',', '\n']).any(|cell| cell.starts_with(['=', '@'])), "{name}: a formula\n{text}");
        }
        if [".csv", ".md", ".html", ".svg"].iter().any(|end| name.ends_with(end)) {
            assert!(!text.contains(dangerous), "{name} holds a control character");
        }
    }
}

#[test]
fn numbers_beyond_all_measure_are_refused_at_once() {
    let bench = Bench::small();
    let started = Instant::now();
    bench.stage("preprocess", &["--threads", "100000"]).fails_naming(&["100000", "1024"]);
    bench.stage("preprocess", &["--threads", "0"]).fails_naming(&["1..=1024"]);
    bench.stage("train", &["--threads", "100000"]).fails_naming(&["100000", "1024"]);
    bench.stage("train", &["--device", "cuda:1000000"]).fails_naming(&["cuda:1000000", "cuda:255"]);
    let predict = ["predict", "--model", "m", "--top", "18446744073709551615", "images"];
    bench.run("train", &predict).fails_naming(&["65536"]);
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    bench.stage("preprocess", &["--threads", "1024"]).succeeds();
}

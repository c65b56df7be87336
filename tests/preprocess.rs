//! Folders to shards.

use crate::harness::{Bench, SMALL_PREPROCESS, SMALL_TRAIN, fashion_images};
use preprocess::dataset::Dataset;
use preprocess::pipeline::Split;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn any_number_of_threads_writes_the_same_bytes() {
    let bench = Bench::small();
    bench.stage("preprocess", &["--threads", "1"]).succeeds();
    let one = bench.files("out/shards");
    std::fs::remove_dir_all(bench.path("out")).unwrap();
    bench.stage("preprocess", &["--threads", "3"]).succeeds();
    let three = bench.files("out/shards");
    assert_eq!(one.keys().collect::<Vec<_>>(), three.keys().collect::<Vec<_>>());
    for (name, bytes) in &one {
        assert!(three[name] == *bytes, "{name} differs between one thread and three");
    }
}

#[test]
fn announces_what_it_found() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds().says("Found 180 images belonging to 3 classes");
}

#[test]
fn rows_hold_the_very_pixels_of_the_source() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    let dataset = Dataset::open(&bench.path("out/shards")).unwrap();
    let mut seen = BTreeSet::new();
    for split in Split::ALL {
        let rows = dataset.rows(split, 0).unwrap();
        for row in 0..rows.len() {
            let mut pixels = vec![0; 28 * 28 * 3];
            rows.read_pixels(row, &mut pixels).unwrap();
            let expected = image::open(bench.path("images").join(rows.source(row))).unwrap().to_rgb8();
            assert!(pixels == expected.into_raw(), "{} came back altered", rows.source(row));
            let class = &dataset.manifest().classes[rows.label(row)];
            assert!(rows.source(row).starts_with(&format!("{class}/")), "{} labelled {class}", rows.source(row));
            assert!(seen.insert(rows.source(row).to_owned()), "{} is in two splits", rows.source(row));
        }
    }
    assert_eq!(seen.len(), 180);
}

#[test]
fn only_the_training_split_is_augmented() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    let manifest = Dataset::open(&bench.path("out/shards")).unwrap().manifest().clone();
    let mut copies: BTreeMap<Split, BTreeSet<usize>> = BTreeMap::new();
    for shard in &manifest.shards {
        copies.entry(shard.split).or_default().insert(shard.copy);
    }
    assert_eq!(copies[&Split::Train], BTreeSet::from([0, 1, 2]));
    assert_eq!(copies[&Split::Validation], BTreeSet::from([0]));
    assert_eq!(copies[&Split::Test], BTreeSet::from([0]));
}

#[test]
fn copies_of_an_image_stay_on_one_side() {
    let bench = Bench::new();
    for class in ["bag", "coat"] {
        for (name, bytes) in fashion_images(class).into_iter().take(50) {
            bench.write(&format!("images/{class}/{name}"), &bytes);
            bench.write(&format!("images/{class}/copy-of-{name}"), &bytes);
        }
    }
    bench.pipeline(SMALL_PREPROCESS, SMALL_TRAIN, "");
    bench.stage("preprocess", &[]).succeeds();
    let dataset = Dataset::open(&bench.path("out/shards")).unwrap();
    assert!(dataset.manifest().duplicates.exact >= 100, "{:?}", dataset.manifest().duplicates);
    let mut home = BTreeMap::new();
    for split in Split::ALL {
        let rows = dataset.rows(split, 0).unwrap();
        for row in 0..rows.len() {
            let original = rows.source(row).replace("copy-of-", "");
            let first = *home.entry(original.clone()).or_insert(split);
            assert_eq!(first, split, "{original} and its copy lie in {} and {}", first.name(), split.name());
        }
    }
}

#[test]
fn a_changed_setting_is_redone() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    let before = bench.files("out/shards");
    bench.stage("preprocess", &["--set", "preprocess.split.seed=2"]).succeeds();
    let after = bench.files("out/shards");
    assert!(before["manifest.json"] != after["manifest.json"], "another seed is another data set");
    bench.stage("preprocess", &[]).succeeds();
    assert!(before == bench.files("out/shards"), "the old setting brings the old bytes back");
}

#[test]
fn a_changed_source_is_noticed() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    let (_, bytes) = fashion_images("bag").remove(100);
    bench.write("images/bag/new.png", bytes);
    bench.stage("preprocess", &[]).succeeds().says("Found 181 images");
}

#[test]
fn directories_that_are_split_already_are_respected() {
    let bench = Bench::new();
    for (directory, skip, count) in [("train", 0, 30), ("validation", 40, 8), ("test", 60, 12)] {
        for class in ["bag", "trouser"] {
            for (name, bytes) in fashion_images(class).into_iter().skip(skip).take(count) {
                bench.write(&format!("images/{directory}/{class}/{name}"), bytes);
            }
        }
    }
    bench.pipeline(SMALL_PREPROCESS, SMALL_TRAIN, "");
    bench.stage("preprocess", &[]).succeeds();
    let dataset = Dataset::open(&bench.path("out/shards")).unwrap();
    for (split, count) in [(Split::Train, 60), (Split::Validation, 16), (Split::Test, 24)] {
        assert_eq!(dataset.rows(split, 0).unwrap().len(), count, "{}", split.name());
    }
}

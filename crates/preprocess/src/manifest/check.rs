//! Whether a manifest that is as it was written describes a data set that can be: a right checksum says nothing about
//! who computed it, and its names become paths, its numbers indices and sizes.

use super::contents::{FORMAT, Manifest, ShardEntry};
use crate::pipeline::{Split, limits};
use crate::shard;
use std::collections::HashSet;

/// The most images of a class: rows are counted in 32 bits.
const MOST_IMAGES: usize = u32::MAX as usize;

/// What is impossible about a manifest, if anything is.
pub(crate) fn impossible(manifest: &Manifest) -> Option<String> {
    let image = &manifest.settings.image;
    for (key, side) in [("width", image.width), ("height", image.height)] {
        if !limits::IMAGE_SIDE.contains(&side) {
            return Some(format!("its images are of {key} {side}"));
        }
    }
    if !limits::CROP_FRACTION.contains(&image.crop_fraction) {
        return Some(format!("its images are cut to {} of either side", image.crop_fraction));
    }
    let folds = manifest.settings.split.folds;
    if !limits::FOLDS.contains(&folds) {
        return Some(format!("its images are divided into {folds} folds"));
    }
    let copies = manifest.settings.augment.copies.stored();
    if manifest.format != FORMAT || !limits::COPIES.contains(&copies) {
        return Some(format!("it is of format {} and has {copies} copies", manifest.format));
    }
    classes(manifest).or_else(|| shards(manifest))
}

fn classes(manifest: &Manifest) -> Option<String> {
    let classes = manifest.classes.len();
    let mut names = HashSet::new();
    if let Some(twice) = manifest.classes.iter().find(|name| !names.insert(*name)) {
        return Some(format!("it has the class `{twice}` twice"));
    }
    if classes < 2 {
        return Some(format!("it has {classes} classes"));
    }
    if manifest.counts.len() != Split::ALL.len() {
        return Some(format!("it counts the images of {} splits", manifest.counts.len()));
    }
    let images = |counts: &[usize]| counts.iter().try_fold(0usize, |sum, count| sum.checked_add(*count));
    let is_wrong = |counts: &[usize]| counts.len() != classes || images(counts).is_none_or(|sum| sum > MOST_IMAGES);
    let wrong = manifest.counts.iter().find(|(_, counts)| is_wrong(counts));
    wrong.map(|(split, _)| {
        format!("its counts of the {} split are not those of images of {classes} classes", split.name())
    })
}

fn shards(manifest: &Manifest) -> Option<String> {
    let mut files = HashSet::new();
    manifest.shards.iter().find_map(|entry| {
        let copies = if entry.split == Split::Train { manifest.settings.augment.copies.stored() } else { 0 };
        let ShardEntry { file, split, copy, rows, blake3, .. } = entry;
        if shard::split_of_name(file) != Some(*split) {
            return Some(format!("`{file}` is not the name of a shard of the {} split", split.name()));
        }
        if !files.insert(file) {
            return Some(format!("it lists `{file}` twice"));
        }
        let is_checksum = blake3.len() == 64 && blake3.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_possible = *copy <= copies && (1..=MOST_IMAGES).contains(rows) && is_checksum;
        (!is_possible).then(|| format!("the entry of `{file}` has impossible numbers"))
    })
}

/// Where the shards' rows are not as many as the images that are counted, if anywhere.
pub(crate) fn miscounted(manifest: &Manifest) -> Option<String> {
    for (split, counts) in &manifest.counts {
        let images: usize = counts.iter().sum();
        let copies = if *split == Split::Train { manifest.settings.augment.copies.stored() } else { 0 };
        let mut rows = vec![0usize; copies + 1];
        for entry in manifest.shards.iter().filter(|entry| entry.split == *split) {
            rows[entry.copy] = rows[entry.copy].saturating_add(entry.rows);
        }
        if let Some(copy) = rows.iter().position(|rows| *rows != images) {
            let (rows, split) = (rows[copy], split.name());
            return Some(format!("copy {copy} of the {split} split has {rows} rows for {images} images"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn sample() -> Value {
        json!({
            "format": FORMAT, "version": "0.1.0", "fingerprint": "f", "classes": ["cat", "dog"], "rejected": 0,
            "settings": { "source": "images", "augment": { "copies": 1 } },
            "counts": { "train": [3, 2], "validation": [1, 1], "test": [0, 0] },
            "duplicates": { "exact": 0, "near": 0, "groups": 0, "across_splits": 0, "across_classes": 0 },
            "shards": [
                { "file": "data/train-00000-of-00002.parquet", "split": "train", "copy": 0, "rows": 5, "bytes": 9,
                  "blake3": "0".repeat(64) },
                { "file": "data/train-00001-of-00002.parquet", "split": "train", "copy": 1, "rows": 5, "bytes": 9,
                  "blake3": "0".repeat(64) },
                { "file": "data/validation-00000-of-00001.parquet", "split": "validation", "copy": 0, "rows": 2,
                  "bytes": 9, "blake3": "0".repeat(64) },
            ],
        })
    }

    fn found(value: Value) -> Option<String> {
        let manifest: Manifest = serde_json::from_value(value).unwrap();
        impossible(&manifest).or_else(|| miscounted(&manifest))
    }

    #[test]
    fn what_no_data_set_has_is_found() {
        assert_eq!(found(sample()), None);
        for (pointer, value) in [
            ("/shards/0/file", json!("../data/train-00000-of-00002.parquet")),
            ("/shards/0/file", json!("/etc/passwd")),
            ("/shards/0/file", json!("data/test-00000-of-00002.parquet")),
            ("/shards/0/file", json!("data/train-00001-of-00002.parquet")),
            ("/shards/0/copy", json!(2)),
            ("/shards/2/copy", json!(1)),
            ("/shards/0/rows", json!(4)),
            ("/shards/0/rows", json!(u64::MAX)),
            ("/shards/0/blake3", json!("0")),
            ("/counts/train", json!([3])),
            ("/counts/train", json!([u64::MAX, 2])),
            ("/counts/train", json!([3, 3])),
            ("/counts", json!({ "train": [3, 2] })),
            ("/classes", json!(["cat", "cat"])),
            ("/classes", json!(["cat"])),
            ("/settings/image", json!({ "width": 1u64 << 32 })),
            ("/settings/image", json!({ "height": 0 })),
            ("/settings/image", json!({ "crop_fraction": 0 })),
            ("/settings/image", json!({ "crop_fraction": -0.5 })),
            ("/settings/split", json!({ "folds": 0 })),
            ("/settings/split", json!({ "folds": u64::MAX })),
            ("/settings/augment/copies", json!(u64::MAX)),
        ] {
            let mut altered = sample();
            *altered.pointer_mut(pointer).unwrap_or(&mut Value::Null) = value.clone();
            if let Some(section @ ("image" | "split")) = pointer.strip_prefix("/settings/") {
                altered["settings"][section] = value.clone();
            }
            assert!(found(altered).is_some(), "{pointer} = {value}");
        }
    }
}

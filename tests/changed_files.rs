//! Images that change while everything a file manager shows of them stays as it was.

use crate::harness::{Bench, fashion_images};
use preprocess::stage::sealed;
use serde_json::Value;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A finished data set whose images were written long enough before for their times to be trusted.
fn settled() -> Bench {
    let bench = Bench::small();
    std::thread::sleep(Duration::from_millis(3100));
    bench.stage("preprocess", &[]).succeeds();
    bench
}

fn modified(path: &Path) -> SystemTime {
    std::fs::metadata(path).unwrap().modified().unwrap()
}

fn set_modified(path: &Path, time: SystemTime) {
    File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

/// An image of the same size in bytes, with other pixels: BMP knows no compression.
fn bitmap(grey: u8) -> Vec<u8> {
    let mut file = b"BM".to_vec();
    for number in [54 + 28 * 28 * 3u32, 0, 54, 40, 28, 28, 1 | 24 << 16, 0, 28 * 28 * 3, 0, 0, 0, 0] {
        file.extend(number.to_le_bytes());
    }
    file.extend((0..28 * 28 * 3).map(|at| if at < 999 { grey } else { at as u8 }));
    file
}

#[test]
fn an_edit_that_keeps_size_and_time_is_noticed() {
    let bench = Bench::small();
    let image = bench.write("images/bag/edited.bmp", bitmap(1));
    std::thread::sleep(Duration::from_millis(3100));
    bench.stage("preprocess", &[]).succeeds();
    bench.stage("preprocess", &[]).succeeds().says("up to date");
    let before = bench.files("out/shards");
    let time = modified(&image);
    // In place, as an editor of metadata does it: the same file, the same size, the time put back.
    std::fs::write(&image, bitmap(2)).unwrap();
    set_modified(&image, time);
    let finished = bench.stage("preprocess", &[]).succeeds();
    assert!(!finished.stdout.contains("up to date"), "{finished}");
    assert!(before != bench.files("out/shards"), "the pixels are the new ones");

    // A backup put back with its time, as `cp -p` and `rsync -t` do: another file.
    let backup = bench.write("backup", bitmap(1));
    set_modified(&backup, time);
    std::fs::rename(&backup, &image).unwrap();
    bench.stage("preprocess", &[]).succeeds();
    assert!(before == bench.files("out/shards"), "the old pixels are back");
}

#[test]
fn a_file_that_only_looks_changed_is_not() {
    let bench = settled();
    let (name, bytes) = fashion_images("bag").remove(0);
    let image = bench.path("images/bag").join(name);
    std::fs::remove_file(&image).unwrap();
    std::fs::write(&image, bytes).unwrap();
    set_modified(&image, SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    bench.stage("preprocess", &[]).succeeds().says("up to date");
}

#[test]
fn remembered_contents_that_are_wrong_are_read_again() {
    let bench = settled();
    let undisturbed = bench.files("out/shards");
    let inputs = bench.path("out/shards/.state/inputs.json");
    let mut value: Value = serde_json::from_slice(&std::fs::read(&inputs).unwrap()).unwrap();
    value.as_object_mut().unwrap().shift_remove("checksum");
    let files = value["files"].as_object_mut().unwrap();
    let names: Vec<String> = files.keys().take(2).cloned().collect();
    let contents = [&names[0], &names[1]].map(|name| files[name]["content"].clone());
    files[&names[0]]["content"] = contents[1].clone();
    files[&names[1]]["content"] = contents[0].clone();
    std::fs::write(&inputs, sealed::seal(&format!("{value:#}")).unwrap()).unwrap();
    bench.stage("preprocess", &[]).succeeds().says("all are read again");
    assert!(undisturbed == bench.files("out/shards"));
    bench.stage("preprocess", &[]).succeeds().says("up to date");
}

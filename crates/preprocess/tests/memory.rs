//! Files that declare much and hold little must not take the memory that they declare.
#![cfg(unix)]
#![allow(clippy::expect_used)] // helpers of tests

use preprocess::image::{Pixels, png};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Kilobytes of address space that the program gets: 1.5 GB.
const LIMIT: usize = 1_500_000;

fn picture(seed: usize) -> Vec<u8> {
    let data = (0..40 * 30 * 3).map(|i| ((i * i / 7 + i * seed) % 251) as u8).collect();
    png::encode(&Pixels { width: 40, height: 30, data }).expect("encoded")
}

/// A PNG of that size, of which nothing but the header is there.
fn header_of_png(width: u32, height: u32, depth: u8, kind: u8, interlaced: u8) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend([width.to_be_bytes(), height.to_be_bytes()].concat());
    header.extend([depth, kind, 0, 0, interlaced]);
    let checksum = |bytes: &[u8]| {
        !bytes.iter().fold(!0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
        })
    };
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    file.extend(&header);
    file.extend(checksum(&header).to_be_bytes());
    // Two empty chunks: pixels and the end.
    for name in [b"IDAT", b"IEND"] {
        file.extend([&[0; 4], name.as_slice(), &checksum(name).to_be_bytes()].concat());
    }
    file
}

/// A TIFF of that size in one strip of no compression that the file does not hold.
fn header_of_tiff(width: u32, height: u32) -> Vec<u8> {
    let tags: [(u16, u16, u32); 7] =
        [(256, 4, width), (257, 4, height), (258, 3, 16), (262, 3, 2), (273, 4, 8), (277, 3, 3), (279, 4, 100)];
    let mut file = b"II*\0\x08\0\0\0\x07\0".to_vec();
    for (tag, kind, value) in tags {
        file.extend([&tag.to_le_bytes()[..], &kind.to_le_bytes(), &1u32.to_le_bytes(), &value.to_le_bytes()].concat());
    }
    file.extend([0; 4]);
    file
}

fn sparse(path: &Path, beginning: &[u8], length: u64) {
    fs::write(path, beginning).expect("written");
    fs::OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(length)).expect("lengthened");
}

#[test]
fn no_file_takes_more_than_a_gigabyte_and_a_half() {
    let root = tempfile::tempdir().expect("temporary directory");
    let images = root.path().join("images");
    for (class, seeds) in [("a", 0..6), ("b", 10..16)] {
        fs::create_dir_all(images.join(class)).expect("directory");
        for seed in seeds {
            fs::write(images.join(class).join(format!("{seed}.png")), picture(seed)).expect("written");
        }
    }
    let large = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/large");
    for name in ["wide-2M.png", "wide-200M.png", "screen-14142.gif"] {
        fs::copy(large.join(name), images.join("a").join(name)).expect("copied");
    }
    fs::write(images.join("a/long.png"), header_of_png(1, 2_000_000_000, 8, 2, 0)).expect("written");
    // Row by row these 16-bit pixels fit, but there are none; interlaced, all are needed at once.
    fs::write(images.join("a/deep.png"), header_of_png(14_000, 14_000, 16, 6, 0)).expect("written");
    fs::write(images.join("a/interlaced.png"), header_of_png(14_000, 14_000, 16, 6, 1)).expect("written");
    fs::write(images.join("a/deep.tif"), header_of_tiff(14_000, 14_000)).expect("written");
    sparse(&images.join("a/sparse.jpg"), b"\xff\xd8\xff\xe0", 3_000_000_000);
    sparse(&images.join("a/sparse.tif"), &header_of_tiff(10, 10), 3_000_000_000);

    let pipeline = root.path().join("p.yaml");
    let (images, output) = (images.display(), root.path().join("run"));
    let text = format!(
        "name: p\noutput: {}\npreprocess: {{ source: {images}, image: {{ width: 32, height: 32 }} }}\ntrain: {{ models: {{ a: {{ architecture: resnet }} }} }}\n",
        output.display()
    );
    fs::write(&pipeline, text).expect("written");
    let command = format!("ulimit -v {LIMIT}; exec \"$0\" --threads 2 --pipeline \"$1\"");
    let run = Command::new("sh").args(["-c", &command, env!("CARGO_BIN_EXE_preprocess")]).arg(&pipeline).output();
    let run = run.expect("started");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));

    let rejected = fs::read_to_string(output.join("shards/rejected.csv")).expect("readable");
    let too_large = [
        "wide-2M.png",
        "wide-200M.png",
        "screen-14142.gif",
        "long.png",
        "interlaced.png",
        "deep.tif",
        "sparse.jpg",
        "sparse.tif",
    ];
    for name in too_large {
        let line = rejected.lines().find(|line| line.starts_with(&format!("a/{name},")));
        assert!(line.is_some_and(|line| line.contains("too large")), "{name}: {rejected}");
    }
    assert_eq!(rejected.lines().count(), 1 + too_large.len() + 1, "{rejected}");
}

/// Four threads take parts of pictures of 105 MB each, with 150 MB for all of them: one at a time, none waits for ever.
#[test]
fn parts_of_large_pictures_are_taken_one_after_another() {
    let root = tempfile::tempdir().expect("temporary directory");
    let images = root.path().join("images");
    let (width, height) = (7000, 5000);
    for (class, first) in [("a", 0), ("b", 4)] {
        fs::create_dir_all(images.join(class)).expect("directory");
        for index in first..first + 4 {
            // Bars at places of their own: no near-copies.
            let line: Vec<u8> = (0..width).flat_map(|x| [(x / 500 * (x / 500 + index) * 37 % 251) as u8; 3]).collect();
            let large = Pixels { width, height, data: line.repeat(height) };
            fs::write(images.join(class).join(format!("{index}.png")), png::encode(&large).expect("encoded"))
                .expect("written");
        }
    }
    let pipeline = root.path().join("p.yaml");
    let (images, output) = (images.display(), root.path().join("run"));
    let text = format!(
        "name: p\noutput: {}\npreprocess:\n  source: {images}\n  memory: 200\n  image: {{ width: 32, height: 32 }}\n  augment: {{ copies: 3, random_resized_crop: {{ area: [0.1, 0.3] }} }}\ntrain: {{ models: {{ a: {{ architecture: resnet }} }} }}\n",
        output.display()
    );
    fs::write(&pipeline, text).expect("written");
    let command = "ulimit -v 700000; exec \"$0\" --threads 4 --pipeline \"$1\"";
    let run = Command::new("sh").args(["-c", command, env!("CARGO_BIN_EXE_preprocess")]).arg(&pipeline).output();
    let run = run.expect("started");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let rejected = fs::read_to_string(output.join("shards/rejected.csv")).expect("readable");
    assert_eq!(rejected.lines().count(), 1, "{rejected}");
}

//! Every kind of file in `tests/fixtures/formats` (made by `make_formats.py` beside it): what it shows, how it is
//! refused, and all its cuts.

use crate::image::{ImageError, Pixels, decode};
use std::path::PathBuf;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn names(beginning: &str) -> Vec<String> {
    let entries = std::fs::read_dir(fixtures()).expect("fixtures");
    let names = entries.map(|entry| entry.expect("entry").file_name().into_string().expect("UTF-8"));
    names.filter(|name| name.starts_with(beginning)).collect()
}

fn difference(a: &Pixels, b: &Pixels) -> u8 {
    assert_eq!((a.width, a.height), (b.width, b.height));
    std::iter::zip(&a.data, &b.data).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

#[test]
fn every_kind_shows_the_picture_that_was_stored() {
    let names = names("reads-");
    assert!(names.len() > 70, "{} fixtures", names.len());
    let mut wrong = Vec::new();
    for name in names {
        let picture = name["reads-".len()..].split('.').next().unwrap_or_default();
        let expected = decode(&read(&format!("expected/{picture}.png"))).expect("the expected picture");
        // Lossy decoders round in their own ways.
        let tolerance = if picture.starts_with("jpeg") || picture.starts_with("webp") { 6 } else { 0 };
        match decode(&read(&name)) {
            Ok(pixels) if difference(&pixels, &expected) <= tolerance => {}
            Ok(pixels) => wrong.push(format!("{name}: differs by {}", difference(&pixels, &expected))),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_not_supported_is_refused_by_name_and_never_as_broken() {
    let cases = [
        ("refused-12-bits.tif", "TIFFs of 12 bits a channel are not supported"),
        ("refused-32-bits.tif", "TIFFs of 32 bits a channel are not supported"),
        ("refused-dng.dng", "camera raw files (DNG, NEF, ARW and others) are not supported"),
        ("refused-double.tif", "TIFFs of 64-bit floating-point numbers are not supported"),
        ("refused-five-channels.tif", "TIFFs of 5 channels are not supported"),
        ("refused-float-range.tif", "floating-point numbers other than from 0 to 1 are not supported"),
        ("refused-group3.tif", "fax-compressed TIFFs (Group 3) are not supported"),
        ("refused-lab.tif", "TIFFs in the Lab colour space are not supported"),
        ("refused-mask.tif", "TIFFs that are transparency masks are not supported"),
        ("refused-signed.tif", "TIFFs of signed numbers are not supported"),
        ("refused-ycbcr.tif", "YCbCr TIFFs that are not JPEG-compressed are not supported"),
        ("refused-zstd.tif", "TIFFs with Zstandard compression are not supported"),
    ];
    assert_eq!(names("refused-").len(), cases.len());
    for (name, expected) in cases {
        let error = decode(&read(name)).expect_err(name);
        assert!(error.reason.contains(expected), "{name}: {error}");
    }
}

/// Refused, or the whole picture: never a part of it.
#[test]
fn every_cut_is_refused_or_shows_the_whole_picture() {
    for name in names("reads-") {
        let bytes = read(&name);
        let whole = decode(&bytes).expect("decoded before");
        // Of a number in text, the last digit may be missing without a trace.
        let last = if name.contains(".text.") { bytes.len() - 4 } else { bytes.len() };
        // A chunk that is gone as a whole, the orientation, leaves no trace either; nor does one of which zeros are
        // left, with which the last chunk begins too.
        let start = bytes.len() - 12 - 38;
        let gone = if name.contains("behind") { start..start + 4 } else { 0..0 };
        for length in (0..last).filter(|length| !gone.contains(length)) {
            if let Ok(pixels) = decode(&bytes[..length]) {
                assert_eq!(pixels, whole, "{name} cut to {length} of {} bytes", bytes.len());
            }
        }
    }
}

#[test]
fn the_last_bytes_are_missed() {
    let cases = [
        ("reads-webp.webp", 1..=4),
        ("reads-rgb.lossless.webp", 1..=4),
        ("reads-webp-alpha.webp", 1..=4),
        ("reads-rgb.animated.webp", 1..=4),
        ("reads-palette.interlaced.gif", 2..=5),
        ("reads-rgb.none.tif", 1..=4),
        ("reads-grey.16.pgm", 1..=4),
        ("reads-palette.bmp", 1..=4),
    ];
    for (name, missing) in cases {
        for missing in missing {
            let bytes = read(name);
            let error = decode(&bytes[..bytes.len() - missing]);
            assert!(error.is_err(), "{name} without its last {missing} bytes");
        }
    }
    // Nothing is lost with these.
    let whole = |name: &str, cut: usize| {
        let bytes = read(name);
        assert_eq!(decode(&bytes[..bytes.len() - cut]), decode(&bytes), "{name} without its last {cut} bytes");
    };
    whole("reads-palette.interlaced.gif", 1);
    (1..=12).for_each(|cut| whole("reads-rgb.16.png", cut));
}

#[test]
fn a_png_without_an_end_must_hold_all_its_data() {
    let bytes = read("reads-rgb.no-end.png");
    let told = |bytes: &[u8]| decode(bytes).map_err(|ImageError { reason }| reason);
    assert!(told(&bytes).is_ok());
    // Two chunks of pixels: without the second, and with a wrong checksum at the end of the compressed data.
    let second = bytes.windows(4).rposition(|name| name == b"IDAT").expect("a second chunk") - 4;
    let expected = format!("the PNG is cut short: it ends after {second} bytes");
    assert_eq!(told(&bytes[..second]).expect_err("half"), expected);
    let mut wrong = bytes.clone();
    let adler = bytes.len() - 5;
    wrong[adler] ^= 1;
    let start = second + 4;
    let crc = crate::image::tests::crc32(&wrong[start..bytes.len() - 4]).to_be_bytes();
    wrong[bytes.len() - 4..].copy_from_slice(&crc);
    assert!(told(&wrong).is_err());
}

proptest::proptest! {
    #[test]
    fn changed_bytes_never_panic(
        file in proptest::sample::select(names("r")),
        changes in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), proptest::prelude::any::<u8>()), 1..4),
    ) {
        let mut bytes = read(&file);
        for (position, value) in changes {
            let position = position.index(bytes.len());
            bytes[position] = value;
        }
        if let Err(error) = decode(&bytes) {
            assert!(!error.reason.contains("does not foresee"), "{file}: {error}");
        }
    }
}

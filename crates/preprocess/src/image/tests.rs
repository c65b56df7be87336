use super::*;
use crate::augment::least_size;
use crate::pipeline::{CropSettings, Fit, ImageSettings};
use std::path::PathBuf;

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn decoded(name: &str) -> Pixels {
    decode(&fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The largest difference of two values at one place.
fn difference(a: &Pixels, b: &Pixels) -> u8 {
    assert_eq!((a.width, a.height), (b.width, b.height));
    std::iter::zip(&a.data, &b.data).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

#[test]
fn every_lossless_format_gives_the_same_pixels() {
    let expected = decoded("rgb.png");
    assert_eq!((expected.width, expected.height, &expected.data[..6]), (24, 16, &[0, 0, 255, 10, 0, 250][..]));
    for name in ["rgb.bmp", "rgb.ppm", "rgb.tiff", "rgb.webp", "opaque.png"] {
        assert_eq!(decoded(name), expected, "{name}");
    }
    let palette = decoded("palette.png");
    assert!(difference(&palette, &expected) < 40, "a palette of 64 colours");
    assert_eq!(decoded("palette.gif"), palette);
    assert_eq!(decoded("animated.gif"), palette, "the first frame");
}

#[test]
fn grey_and_16_bits_and_alpha_become_rgb_as_documented() {
    let grey = decoded("grey.png");
    assert_eq!(&grey.data[..9], [0, 0, 0, 8, 8, 8, 16, 16, 16]);
    // 257 v + 128 lies in the middle between v and v + 1, just below it.
    assert_eq!(decoded("grey16.png"), grey);
    let (alpha, opaque) = (decoded("alpha.png"), decoded("rgb.png"));
    for column in 0..24 {
        let over_white = |value: u8| {
            let alpha = column as f64 * 11.0 / 255.0;
            (f64::from(value) * alpha + 255.0 * (1.0 - alpha)).round() as u8
        };
        let expected: Vec<u8> =
            opaque.data[column * 3..column * 3 + 3].iter().map(|&value| over_white(value)).collect();
        assert_eq!(&alpha.data[column * 3..column * 3 + 3], expected, "column {column}");
    }
}

#[test]
fn jpegs_agree_with_pillow() {
    for name in ["baseline.jpg", "progressive.jpg", "cmyk.jpg"] {
        let difference = difference(&decoded(name), &decoded(&format!("{name}.expected.png")));
        assert!(difference <= 6, "{name}: {difference}");
    }
    assert!(difference(&decoded("grey.jpg"), &decoded("grey.png")) <= 12);
    assert!(difference(&decoded("restart.jpg"), &decoded("rgb.png")) <= 24);
}

#[test]
fn orientation_is_applied() {
    let upright = decoded("rgb.png");
    let turned = decoded("orientation6.png");
    assert_eq!((turned.width, turned.height), (16, 24));
    // Rotated clockwise, the first row becomes the last column.
    assert_eq!(turned.data[15 * 3..16 * 3], upright.data[..3]);
    assert_eq!(turned.data[..3], upright.data[15 * 24 * 3..15 * 24 * 3 + 3]);
    assert!(difference(&decoded("orientation6.jpg"), &turned) <= 24);
}

/// Every cut of every fixture is refused, or held all that makes up the picture: no grey half is taken for an image.
#[test]
fn files_cut_short_are_refused() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images");
    let mut cuts = 0;
    for entry in std::fs::read_dir(directory).expect("fixtures") {
        let name = entry.expect("entry").file_name().into_string().expect("UTF-8");
        let (bytes, whole) = (fixture(&name), decoded(&name));
        for length in 0..bytes.len() {
            match decode(&bytes[..length]) {
                Err(error) => assert!(!error.reason.is_empty()),
                Ok(pixels) => assert_eq!(pixels, whole, "{name} cut to {length} of {} bytes", bytes.len()),
            }
            cuts += 1;
        }
        let half = decode(&bytes[..bytes.len() / 2]);
        assert!(half.is_err(), "{name} cut to the half");
    }
    assert!(cuts > 10_000, "{cuts}");
}

#[test]
fn damaged_and_oversized_files_are_findings() {
    let mut huge_png = fixture("rgb.png");
    huge_png[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let checksum = crc32(&huge_png[12..29]);
    huge_png[29..33].copy_from_slice(&checksum.to_be_bytes());
    let mut huge_jpeg = fixture("baseline.jpg");
    let frame = huge_jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).expect("a frame header");
    huge_jpeg[frame + 5..frame + 9].copy_from_slice(&[0xea, 0x60, 0xea, 0x60]);
    let mut flipped = fixture("rgb.png");
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let cases: [(&str, &[u8], &str); 7] = [
        ("no bytes", b"", "the file is empty"),
        ("text", b"hello", "not an image's"),
        ("PNG of 60,000 x 60,000", &huge_png, "60000x60000 pixels, more than the limit of 200 million"),
        ("JPEG of 60,000 x 60,000", &huge_jpeg, "60000x60000 pixels, more than the limit of 200 million"),
        ("a flipped byte", &flipped, ""),
        ("only a signature", b"\x89PNG\r\n\x1a\n", ""),
        ("AVIF", b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF images are not supported"),
    ];
    for (name, bytes, expected) in cases {
        let error = decode(bytes).expect_err(name);
        assert!(error.reason.contains(expected) && !error.reason.contains('\n'), "{name}: {error}");
    }
}

/// The checksum of PNG's chunks.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

proptest::proptest! {
    #[test]
    fn flipped_bytes_never_panic(position: proptest::sample::Index, value: u8, name in proptest::sample::select(vec![
        "baseline.jpg", "progressive.jpg", "cmyk.jpg", "rgb.png", "palette.gif", "rgb.tiff", "rgb.webp", "rgb.bmp",
    ])) {
        let mut bytes = fixture(name);
        let position = position.index(bytes.len());
        bytes[position] = value;
        // A finding or a picture; never a panic, a hang or a huge allocation.
        let _ = decode(&bytes);
    }
}

#[test]
fn loading_refuses_what_is_no_file() {
    let settings = ImageSettings::default();
    let directory = tempfile::tempdir().expect("temporary directory");
    assert!(load(directory.path(), &settings).is_err_and(|error| error.reason == "it is not a file"));
    assert!(
        load(&directory.path().join("none.png"), &settings).is_err_and(|error| error.reason.contains("cannot be read"))
    );
}

/// Waves of every length, as a JPEG.
fn large_jpeg(width: usize, height: usize) -> Vec<u8> {
    let wave = |at: usize, length: f64| (90.0 + 80.0 * (at as f64 * at as f64 / length).sin()) as u8;
    let pixel = |i: usize| [wave(i % width, 9000.0), wave(i / width, 7000.0), wave(i % width + i / width, 16000.0)];
    let data: Vec<u8> = (0..width * height).flat_map(pixel).collect();
    let mut bytes = Vec::new();
    let mut encoder = ::image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95);
    encoder.encode(&data, width as u32, height as u32, ::image::ExtendedColorType::Rgb8).expect("encoded");
    bytes
}

#[test]
fn what_is_cut_is_as_sharp_as_the_file() {
    let bytes = large_jpeg(901, 703);
    let full = Decoded::whole(decode(&bytes).expect("decoded"));
    // 128 pixels of the part, and the scale at which the picture has as many.
    for (crop_fraction, width) in [(1.0, 901 / 4 + 1), (0.875, 901 / 4 + 1), (0.5, 901 / 2 + 1), (0.25, 901)] {
        for fit in [Fit::Stretch, Fit::Crop] {
            let settings = ImageSettings { crop_fraction, fit, ..Default::default() };
            let decoded = decode_for(&bytes, &settings).expect("decoded");
            assert_eq!(decoded.pixels().width, width, "{crop_fraction}");
            let (found, expected) = (decoded.resize(&settings), full.resize(&settings));
            assert_eq!((found.width, found.height), (128, 128));
            let sum: u64 = std::iter::zip(&found.data, &expected.data).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            let mean = sum as f64 / found.data.len() as f64;
            assert!(mean < 2.0, "{crop_fraction}: {mean:.2} levels from what the full size gives");
        }
    }
}

#[test]
fn parts_are_as_sharp_as_the_file() {
    let (bytes, settings) = (large_jpeg(901, 703), ImageSettings { width: 128, height: 128, ..Default::default() });
    let full = Decoded::whole(decode(&bytes).expect("decoded"));
    // The least area of a crop, and the scale that is enough for it: 128 of 901 and 703 pixels are, then not any more.
    for (area, width) in [(0.9, 901 / 4 + 1), (0.2, 901 / 2 + 1), (0.05, 901)] {
        let crop = CropSettings { area: [area, 1.0], aspect: [0.8, 1.25] };
        let least = |size| least_size(&crop, size, [128, 128]);
        let (decoded, size) = decode_for_parts(&bytes, &settings, &least).expect("decoded");
        assert_eq!(size, [901, 703]);
        assert_eq!(decoded.pixels().width, width, "{area}");
        let inner = [(901.0 * 703.0 * area * 0.8f64).sqrt(), (901.0 * 703.0 * area / 0.8f64).sqrt().min(703.0)];
        let part = Area { left: 17.0, top: 0.0, width: inner[0].round(), height: inner[1].round() };
        let (found, expected) = (decoded.resize_part(&part, size, &settings), full.resize_part(&part, size, &settings));
        let sum: u64 = std::iter::zip(&found.data, &expected.data).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        let mean = sum as f64 / found.data.len() as f64;
        assert!(mean < 2.0, "{area}: {mean:.2} levels from what the full size gives");
    }
}

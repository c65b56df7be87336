use super::headers::ZIGZAG;
use super::inverse_dct::{Coefficients, EXTENT, inverse, places, scale};
use super::*;
use crate::image::load_from_memory;
use crate::image::resize::resize;
use crate::pipeline::{Filter, Fit, ImageSettings};

const LARGE: [&str; 5] = ["large-444.jpg", "large-422.jpg", "large-420.jpg", "large-restart.jpg", "large-grey.jpg"];

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The whole picture.
pub fn decode(bytes: &[u8]) -> Result<Pixels, ImageError> {
    super::decode(bytes, &|_| 0).map(|decoded| decoded.pixels)
}

/// Decoded with at least a `factor`-th of each side.
pub(crate) fn reduced(bytes: &[u8], factor: usize) -> Result<Decoded, ImageError> {
    decode_at_least(bytes, |width, height| (width / factor, height / factor), &|_| 0)
}

/// Mean and largest difference of two pictures' values.
pub(crate) fn difference(a: &Pixels, b: &Pixels) -> (f64, u8) {
    assert_eq!((a.width, a.height), (b.width, b.height));
    let differences = || std::iter::zip(&a.data, &b.data).map(|(a, b)| a.abs_diff(*b));
    (differences().map(f64::from).sum::<f64>() / a.data.len() as f64, differences().max().unwrap_or(0))
}

/// The reduced way and the long one, brought to one size.
pub(crate) fn both_ways(bytes: &[u8], factor: usize, fit: Fit) -> (Pixels, Pixels) {
    let full = decode(bytes).expect("a whole file");
    let (width, height) = (full.width / factor, full.height / factor);
    let settings = ImageSettings { width, height, fit, ..ImageSettings::default() };
    let reduced = reduced(bytes, factor).expect("a whole file");
    assert!(factor == 1 || reduced.pixels.width < full.width, "not reduced");
    (reduced.resize(&settings), resize(&full, &settings))
}

#[test]
fn reduced_pictures_are_those_of_full_size_shrunk() {
    for name in LARGE {
        let bytes = fixture(name);
        for (factor, most) in [(2, 2.5), (3, 1.5), (4, 2.5), (6, 1.5), (8, 3.0)] {
            let (reduced, full) = both_ways(&bytes, factor, Fit::Stretch);
            let (mean, _) = difference(&reduced, &full);
            assert!(mean <= most, "{name} at a {factor}th: mean difference {mean}");
        }
        for fit in [Fit::Crop, Fit::Pad] {
            let (mean, _) = difference(&both_ways(&bytes, 3, fit).0, &both_ways(&bytes, 3, fit).1);
            assert!(mean <= 1.5, "{name}, {fit:?}: mean difference {mean}");
        }
    }
}

#[test]
fn the_scale_is_the_smallest_that_is_large_enough() {
    let bytes = fixture("large-420.jpg");
    let size = |least| {
        decode_at_least(&bytes, |_, _| least, &|_| 0).map(|decoded| (decoded.pixels.width, decoded.pixels.height)).ok()
    };
    assert_eq!(size((71, 53)), Some((141, 107)));
    assert_eq!(size((70, 54)), Some((141, 107)));
    assert_eq!(size((70, 53)), Some((71, 54)));
    assert_eq!(size((36, 20)), Some((71, 54)));
    assert_eq!(size((35, 26)), Some((36, 27)));
    assert_eq!(size((17, 13)), Some((18, 14)));
    assert_eq!(size((1, 1)), Some((18, 14)));
}

#[test]
fn restart_markers_change_nothing() {
    let reduced = |name| reduced(&fixture(name), 2).expect("a whole file");
    assert_eq!(reduced("large-restart.jpg"), reduced("large-420.jpg"));
}

/// The file with a segment more, the first of all.
pub(crate) fn with_segment(name: &str, marker: u8, segment: &[u8]) -> Vec<u8> {
    let length = (segment.len() as u16 + 2).to_be_bytes();
    let bytes = fixture(name);
    [&bytes[..2], &[0xff, marker], &length, segment, &bytes[2..]].concat()
}

#[test]
fn metadata_change_nothing() {
    let plain = reduced(&fixture("large-420.jpg"), 2);
    for (name, marker, segment) in [
        ("colour profile", 0xe2, b"ICC_PROFILE\0\x01\x01profile".as_slice()),
        ("a phone's second picture", 0xe2, b"MPF\0II*\0".as_slice()),
        ("an empty APP2", 0xe2, b"".as_slice()),
        ("XMP", 0xe1, b"http://ns.adobe.com/xap/1.0/\0<x/>".as_slice()),
        ("a piece of long XMP", 0xe1, b"http://ns.adobe.com/xmp/extension/\0short".as_slice()),
        ("an APP1 that begins like EXIF", 0xe1, b"Exif".as_slice()),
        ("EXIF of nothing", 0xe1, b"Exif\0\0".as_slice()),
        ("a picture in a picture", 0xe0, &fixture("baseline.jpg")),
        ("comment", 0xfe, b"made by hand".as_slice()),
    ] {
        let bytes = with_segment("large-420.jpg", marker, segment);
        assert_eq!(reduced(&bytes, 2), plain, "{name}");
        assert!(decode(&bytes).is_ok(), "{name}");
    }
}

/// The file with an EXIF segment that says how the camera was held.
fn oriented(name: &str, orientation: u8) -> Vec<u8> {
    let tag = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0];
    let tiff = [b"MM\0\x2a\0\0\0\x08\0\x01".as_slice(), &tag, &[0; 4]].concat();
    with_segment(name, 0xe1, &[b"Exif\0\0".as_slice(), &tiff].concat())
}

#[test]
fn every_orientation_is_applied() {
    for orientation in 1..=8 {
        let (reduced, full) = both_ways(&oriented("large-420.jpg", orientation), 3, Fit::Stretch);
        let (mean, _) = difference(&reduced, &full);
        assert!(mean <= 1.5, "orientation {orientation}: mean difference {mean}");
        assert_eq!(full.width > full.height, orientation < 5, "orientation {orientation}");
    }
}

#[test]
fn nearest_and_hardly_larger_pictures_are_not_reduced() {
    let bytes = fixture("large-420.jpg");
    let settings = |side, filter| ImageSettings { width: side, height: side, filter, ..ImageSettings::default() };
    for settings in [settings(32, Filter::Nearest), settings(54, Filter::Bilinear)] {
        let pixels = load_from_memory(&bytes, &settings).expect("decoded");
        assert_eq!(pixels, resize(&decode(&bytes).expect("decoded"), &settings));
    }
}

#[test]
fn each_transform_is_its_formula() {
    let mut random = crate::stage::random::stream(1, "test coefficients", &[]);
    for (width, height) in [1, 2, 4, 8].into_iter().flat_map(|width| [1, 2, 4, 8].map(|height| (width, height))) {
        for last in [0, 1, 2, 5, 20, 63] {
            let values: Vec<f64> = (0..=last).map(|k| random.range(-400.0, 400.0) / (k + 1) as f64).collect();
            let mut coefficients: Coefficients = [0.0; 128];
            for (index, &value) in values.iter().enumerate() {
                coefficients[usize::from(places(width, height)[index])] = value as f32 * scale(index);
            }
            let [rows, columns] = EXTENT[last].map(usize::from);
            let mut pixels = [7; 8 * 9];
            inverse(width, height).expect("a size")(&coefficients, rows, columns, &mut pixels, 9);
            for (n, m) in (0..8).flat_map(|n| (0..9).map(move |m| (n, m))) {
                let value = pixels[n * 9 + m];
                if n >= height || m >= width {
                    assert_eq!(value, 7, "{width}x{height}: a pixel outside was written");
                    continue;
                }
                let wave = |k: usize, n: usize, points: usize| {
                    let size = if k == 0 { 8f64.sqrt().recip() } else { 0.5 };
                    size * (std::f64::consts::PI * ((2 * n + 1) * k) as f64 / (2 * points) as f64).cos()
                };
                let term = |(index, value): (usize, &f64)| {
                    let (k, l) = (usize::from(ZIGZAG[index] / 8), usize::from(ZIGZAG[index] % 8));
                    if k < height && l < width { value * wave(k, n, height) * wave(l, m, width) } else { 0.0 }
                };
                let exact = (128.0 + values.iter().enumerate().map(term).sum::<f64>()).clamp(0.0, 255.0);
                assert!(
                    (f64::from(value) - exact).abs() < 0.51,
                    "{width}x{height}, {last}, at {n}, {m}: {value}, {exact}"
                );
            }
        }
    }
}

#[test]
fn colours_are_those_of_the_standard() {
    let levels = || (0..=255u8).step_by(5);
    for (y, cb) in levels().flat_map(|y| levels().map(move |cb| (y, cb))) {
        let cr: Vec<u8> = levels().collect();
        let mut rgb = vec![0; cr.len() * 3];
        colour::ycc_to_rgb(&vec![y; cr.len()], &vec![cb; cr.len()], &cr, &mut rgb);
        for (&cr, rgb) in std::iter::zip(&cr, rgb.as_chunks::<3>().0) {
            let (light, cb, cr) = (f64::from(y), f64::from(cb) - 128.0, f64::from(cr) - 128.0);
            let exact = [light + 1.402 * cr, light - 0.344_136 * cb - 0.714_136 * cr, light + 1.772 * cb];
            for (value, exact) in std::iter::zip(rgb, exact) {
                assert!((f64::from(*value) - exact.clamp(0.0, 255.0)).abs() < 0.58, "{value}, {exact}");
            }
        }
    }
}

#[test]
fn a_small_file_cannot_claim_a_large_picture() {
    let mut bytes = fixture("large-grey.jpg");
    let frame = bytes.windows(2).position(|marker| marker == [0xff, 0xc0]).expect("a frame header");
    bytes[frame + 5..frame + 9].copy_from_slice(&[0x30, 0, 0x30, 0]);
    let error = reduced(&bytes, 8).expect_err("too few bytes").reason;
    assert!(error.starts_with("damaged JPEG: of at least 589824 bytes of compressed data it has"), "{error}");
}

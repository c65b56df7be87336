//! What is intact is read, with the colours that viewers show; what is not supported is named.

use super::colour::ycc_to_rgb;
use super::tests::{both_ways, decode, difference, fixture, reduced, with_segment};
use crate::pipeline::Fit;

/// All files in `fixtures/jpeg`, with their names.
pub(crate) fn kinds() -> Vec<(String, Vec<u8>)> {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jpeg");
    let names = std::fs::read_dir(directory).expect("fixtures").map(|entry| entry.expect("entry").file_name());
    let names = names.map(|name| format!("../jpeg/{}", name.to_str().expect("UTF-8")));
    let files: Vec<_> =
        names.filter(|name| name.ends_with(".jpg")).map(|name| (name.clone(), fixture(&name))).collect();
    assert!(files.len() > 20, "{}", files.len());
    files
}

fn kind(name: &str) -> Vec<u8> {
    fixture(&format!("../jpeg/{name}.jpg"))
}

#[test]
fn every_kind_agrees_with_pillow() {
    for (name, bytes) in kinds() {
        let pixels = decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = crate::image::decode(&fixture(&name.replace(".jpg", ".png"))).expect("a PNG");
        let (mean, most) = difference(&pixels, &expected);
        assert!(mean <= 0.6 && most <= 4, "{name}: {mean} in the mean, {most} at most");
    }
}

#[test]
fn every_kind_can_be_reduced() {
    for (name, bytes) in kinds() {
        for factor in [2, 3, 4, 6] {
            let (reduced, full) = both_ways(&bytes, factor, Fit::Stretch);
            let (mean, _) = difference(&reduced, &full);
            assert!(mean <= 3.0, "{name} at a {factor}th: mean difference {mean}");
        }
    }
}

/// However the channels are divided into scans, the coefficients are the same: the pixels are too.
#[test]
fn scans_change_nothing() {
    for sampling in ["444", "422", "420", "440", "411"] {
        let (scans, interleaved) = (kind(&format!("scans-{sampling}")), kind(&format!("interleaved-{sampling}")));
        for factor in [1, 2, 4, 8] {
            assert_eq!(reduced(&scans, factor), reduced(&interleaved, factor), "{sampling} at a {factor}th");
        }
    }
    for name in ["scans-restart", "scans-y-cbcr", "scans-cbcr-y", "no-huffman-tables"] {
        assert_eq!(decode(&kind(name)), decode(&kind("interleaved-420")), "{name}");
    }
    assert_eq!(decode(&kind("ycck")), decode(&kind("ycck-scans")));
    assert_eq!(decode(&kind("cmyk-adobe")), decode(&kind("cmyk-no-adobe")));
}

const ADOBE: [u8; 12] = *b"Adobe\0\x64\0\0\0\0\0";

/// A segment with its marker and length.
fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    [&[0xff, marker], (content.len() as u16 + 2).to_be_bytes().as_slice(), content].concat()
}

fn adobe(transform: u8) -> Vec<u8> {
    let mut content = ADOBE;
    content[11] = transform;
    segment(0xee, &content)
}

/// `interleaved-444.jpg` with other segments in front and other identifiers.
fn coloured(head: &[Vec<u8>], ids: [u8; 3]) -> Vec<u8> {
    let plain = kind("interleaved-444");
    let jfif = 4 + usize::from(plain[5]);
    let mut bytes = [&plain[..2], &head.concat(), &plain[jfif..]].concat();
    let frame = bytes.windows(4).position(|four| four == [0xff, 0xc0, 0, 17]).expect("a frame header") + 10;
    let scan = bytes.windows(4).position(|four| four == [0xff, 0xda, 0, 12]).expect("a scan header") + 5;
    for (index, id) in ids.into_iter().enumerate() {
        (bytes[frame + 3 * index], bytes[scan + 2 * index]) = (id, id);
    }
    bytes
}

#[test]
fn colours_are_told_as_viewers_tell_them() {
    let jfif = || segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    let ycc = decode(&kind("interleaved-444")).expect("decoded");
    let rgb = decode(&coloured(&[adobe(0)], [1, 2, 3])).expect("decoded");
    let channel = |channel| rgb.data.iter().copied().skip(channel).step_by(3).collect::<Vec<u8>>();
    let mut converted = vec![0; rgb.data.len()];
    ycc_to_rgb(&channel(0), &channel(1), &channel(2), &mut converted);
    assert_eq!(converted, ycc.data);
    for (name, head, ids, expected) in [
        ("nothing", vec![], [1, 2, 3], &ycc),
        ("identifiers of nothing", vec![], [7, 8, 9], &ycc),
        ("identifiers from 0", vec![], [0, 1, 2], &ycc),
        ("R, G, B", vec![], *b"RGB", &rgb),
        ("R, G, B and JFIF", vec![jfif()], *b"RGB", &ycc),
        ("R, G, B and Adobe's YCbCr", vec![adobe(1)], *b"RGB", &ycc),
        ("Adobe's RGB", vec![adobe(0)], [1, 2, 3], &rgb),
        ("Adobe's YCbCr", vec![adobe(1)], [1, 2, 3], &ycc),
        ("Adobe's unknown transform", vec![adobe(9)], [1, 2, 3], &ycc),
        ("JFIF and Adobe's RGB", vec![jfif(), adobe(0)], [1, 2, 3], &ycc),
        ("Adobe's RGB and JFIF", vec![adobe(0), jfif()], [1, 2, 3], &ycc),
        ("an APP14 that is not Adobe's", vec![segment(0xee, b"\0\x01unknown")], [1, 2, 3], &ycc),
        ("an Adobe that is too short", vec![segment(0xee, b"Adobe\0\x64")], *b"RGB", &rgb),
        ("one identifier for all", vec![], [1, 1, 1], &ycc),
    ] {
        assert_eq!(decode(&coloured(&head, ids)).as_ref(), Ok(expected), "{name}");
    }
}

/// Where the compressed data of the only scan begin and end.
fn data(bytes: &[u8]) -> std::ops::Range<usize> {
    let scan = bytes.windows(2).position(|two| two == [0xff, 0xda]).expect("a scan");
    scan + 2 + usize::from(bytes[scan + 3])..bytes.len() - 2
}

#[test]
fn intact_pictures_in_odd_files_are_read() {
    let plain = kind("interleaved-420");
    let expected = decode(&plain).expect("decoded");
    let data = data(&plain);
    let quantization = plain.windows(2).position(|two| two == [0xff, 0xdb]).expect("a table");
    let insert = |at: usize, what: &[u8]| [&plain[..at], what, &plain[at..]].concat();
    for (name, bytes) in [
        ("junk before a segment", insert(quantization, b"junk")),
        ("FF 00 before a segment", insert(quantization, &[7, 0xff, 0, 9])),
        ("fill bytes before a segment", insert(quantization, &[0xff; 5])),
        ("fill bytes before the end", insert(data.end, &[0xff; 5])),
        ("zeros after the data", insert(data.end, &[0; 9])),
        ("ones after the data", insert(data.end, &[0xff, 0, 0xff, 0])),
        ("a restart marker after the data", insert(data.end, &[0xff, 0xd0])),
        ("a restart marker between segments", insert(quantization, &[0xff, 0xd3])),
        ("the beginning twice", insert(0, &[0xff, 0xd8])),
        ("a segment after the data", insert(data.end, &segment(0xfe, b"late"))),
        ("the height once more", insert(data.end, &segment(0xdc, &[0, 37]))),
        ("garbage after the end", insert(plain.len(), b"\xff\xd8\xff\xda garbage")),
        ("another picture after the end", [plain.clone(), kind("ycck")].concat()),
        ("no end marker", plain[..data.end].to_vec()),
        ("half an end marker", plain[..data.end + 1].to_vec()),
        ("a comment whose length counts nothing", insert(quantization, &[0xff, 0xfe, 0, 0])),
        ("an unused table", insert(quantization, &segment(0xdb, &[&[3], [9; 64].as_slice()].concat()))),
        ("arithmetic conditioning", insert(quantization, &segment(0xcc, &[0, 0x10]))),
        ("a restart interval of more than all", insert(quantization, &segment(0xdd, &[0xff, 0xff]))),
    ] {
        assert_eq!(decode(&bytes), Ok(expected.clone()), "{name}");
    }
    let mut extended = plain.clone();
    let frame = plain.windows(2).position(|two| two == [0xff, 0xc0]).expect("a frame header");
    extended[frame + 1] = 0xc1;
    assert_eq!(decode(&extended), Ok(expected), "extended sequential");
}

#[test]
fn what_is_not_supported_is_named() {
    let plain = kind("interleaved-420");
    let frame = plain.windows(2).position(|two| two == [0xff, 0xc0]).expect("a frame header");
    let with = |offset: usize, value: &[u8]| {
        let mut bytes = plain.clone();
        bytes[frame + offset..][..value.len()].copy_from_slice(value);
        bytes
    };
    for (bytes, expected) in [
        (with(1, &[0xc3]), "lossless JPEGs are not supported"),
        (with(1, &[0xc5]), "hierarchical JPEGs are not supported"),
        (with(1, &[0xc9]), "arithmetic-coded JPEGs are not supported"),
        (with(1, &[0xca]), "arithmetic-coded JPEGs are not supported"),
        (with(1, &[0xcb]), "arithmetic-coded JPEGs are not supported"),
        (with(1, &[0xf7]), "JPEG-LS images are not supported"),
        (with(4, &[12]), "JPEGs of 12 bits a channel are not supported"),
        (with(5, &[0, 0]), "JPEGs that declare their height after the picture are not supported"),
        (with(7, &[0, 0]), "it declares 0x37 pixels"),
        (
            with(11, &[0x32, 0, 2, 0x21]),
            "JPEGs whose channels' sizes are not multiples of one another are not supported",
        ),
        (with(11, &[0x52]), "damaged JPEG: its frame header cannot be read"),
        (with(1, &[0xf0]), "damaged JPEG: a segment with the reserved marker FFF0"),
    ] {
        assert_eq!(decode(&bytes).map_err(|error| error.reason), Err(expected.to_owned()));
    }
}

/// EXIF metadata that hold one tag of the directory.
fn exif(little: bool, tag: u16, kind: u16, value: u32) -> Vec<u8> {
    let short = |value: u16| if little { value.to_le_bytes() } else { value.to_be_bytes() };
    let long = |value: u32| if little { value.to_le_bytes() } else { value.to_be_bytes() };
    let value = if kind == 3 { [short(value as u16), [0; 2]].concat() } else { long(value).to_vec() };
    let head = if little { b"II\x2a\0" } else { b"MM\0\x2a" };
    [head, &long(8)[..], &short(1), &short(tag), &short(kind), &long(1), &value, &[0; 4]].concat()
}

#[test]
fn exif_is_read_as_viewers_read_it() {
    let prefixed = |prefix: &[u8], tiff: &[u8]| segment(0xe1, &[prefix, tiff].concat());
    let plain = kind("interleaved-420");
    let [upright, turned, upside_down] = [1, 6, 3].map(|value| {
        let bytes = with_segment(
            "../jpeg/interleaved-420.jpg",
            0xe1,
            &[b"Exif\0\0", &exif(false, 0x112, 3, value)[..]].concat(),
        );
        decode(&bytes).expect("decoded")
    });
    assert_eq!((turned.width, turned.height), (37, 51));
    assert_ne!(upside_down, upright);
    let tiff = exif(true, 0x112, 3, 6);
    let mut far = tiff.clone();
    far[4..8].copy_from_slice(&[0xff; 4]);
    let (xmp, three) = (segment(0xe1, b"http://ns.adobe.com/xap/1.0/\0<x/>"), exif(true, 0x112, 3, 3));
    for (name, head, expected) in [
        ("little endian", prefixed(b"Exif\0\0", &tiff), &turned),
        ("a long", prefixed(b"Exif\0\0", &exif(true, 0x112, 4, 6)), &turned),
        ("a long, big endian", prefixed(b"Exif\0\0", &exif(false, 0x112, 4, 6)), &turned),
        ("another fill byte", prefixed(b"Exif\0\xff", &tiff), &turned),
        ("the prefix twice", prefixed(b"Exif\0\0Exif\0\0", &tiff), &turned),
        ("XMP first", [xmp.clone(), prefixed(b"Exif\0\0", &tiff)].concat(), &turned),
        ("XMP after it", [prefixed(b"Exif\0\0", &tiff), xmp].concat(), &turned),
        ("twice", [prefixed(b"Exif\0\0", &tiff), prefixed(b"Exif\0\0", &three)].concat(), &turned),
        (
            "twice, the other first",
            [prefixed(b"Exif\0\0", &three), prefixed(b"Exif\0\0", &tiff)].concat(),
            &upside_down,
        ),
        ("only like EXIF first", [segment(0xe1, b"Exif "), prefixed(b"Exif\0\0", &tiff)].concat(), &turned),
        ("no orientation", prefixed(b"Exif\0\0", &exif(true, 0x110, 3, 6)), &upright),
        ("0", prefixed(b"Exif\0\0", &exif(true, 0x112, 3, 0)), &upright),
        ("9", prefixed(b"Exif\0\0", &exif(true, 0x112, 3, 9)), &upright),
        ("65,542", prefixed(b"Exif\0\0", &exif(true, 0x112, 4, 65_542)), &upright),
        ("another type", prefixed(b"Exif\0\0", &exif(true, 0x112, 2, 6)), &upright),
        ("an offset that leads nowhere", prefixed(b"Exif\0\0", &far), &upright),
        ("cut short", prefixed(b"Exif\0\0", &tiff[..14]), &upright),
        ("no byte order", prefixed(b"Exif\0\0", &[b"XX", &tiff[2..]].concat()), &upright),
    ] {
        let bytes = [&plain[..2], &head, &plain[2..]].concat();
        assert_eq!(decode(&bytes).as_ref(), Ok(expected), "{name}");
    }
}

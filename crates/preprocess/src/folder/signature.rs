//! Tells images from other files by how they begin.

use crate::stage::files;
use image::ImageFormat;
use std::io::Read;
use std::path::Path;

/// Enough for every signature that is looked for.
const HEAD: usize = 64;

/// Extensions that claim an image. A file that has one is never silently passed over: where the content is another, decoding
/// rejects it by name.
const EXTENSIONS: [&str; 16] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "gif", "bmp", "webp", "tif", "tiff", "pgm", "ppm", "pbm", "pnm", "avif",
    "heic",
];

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// An image, or a file that says it is one: something to decode or to reject.
    Image,
    /// Anything else.
    Other,
}

/// Looks at the first bytes of a file, and at its name where they are not an image's.
pub fn inspect(path: &Path) -> Content {
    let mut head = Vec::with_capacity(HEAD);
    // A file that cannot be opened is for decoding to reject, if it claims to be an image.
    let read = files::open(path).and_then(|file| file.take(HEAD as u64).read_to_end(&mut head));
    if (read.is_ok() && format(&head).is_some()) || claims_an_image(path) { Content::Image } else { Content::Other }
}

fn claims_an_image(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// The format that `head`, the beginning of a file, shows; its name where nothing here can decode it.
pub fn format(head: &[u8]) -> Option<Result<ImageFormat, &'static str>> {
    let brand = head.get(4..12).unwrap_or_default();
    match brand {
        b"ftypheic" | b"ftypheix" | b"ftyphevc" | b"ftypmif1" | b"ftypmsf1" => return Some(Err("HEIC")),
        b"ftypavif" | b"ftypavis" => return Some(Err("AVIF")),
        _ => {}
    }
    if head.starts_with(b"\xff\x0a") || head.starts_with(b"\0\0\0\x0cJXL ") {
        return Some(Err("JPEG XL"));
    }
    match image::guess_format(head).ok()? {
        ImageFormat::Bmp => is_bmp(head).then_some(Ok(ImageFormat::Bmp)),
        ImageFormat::Pnm => is_pnm(head).then_some(Ok(ImageFormat::Pnm)),
        ImageFormat::Ico => is_ico(head).then_some(Err("ICO")),
        ImageFormat::Dds => Some(Err("DDS")),
        ImageFormat::Hdr => Some(Err("Radiance HDR")),
        ImageFormat::Avif => Some(Err("AVIF")),
        ImageFormat::OpenExr => Some(Err("OpenEXR")),
        ImageFormat::Qoi => Some(Err("QOI")),
        ImageFormat::Farbfeld => Some(Err("farbfeld")),
        format => Some(Ok(format)),
    }
}

/// `BM` begins many a text; a bitmap's second header has one of few lengths.
fn is_bmp(head: &[u8]) -> bool {
    let length = head.get(14..18).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    matches!(length, Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124))
}

/// `P6` too begins many a text; here white space or a comment follows, and a number.
fn is_pnm(head: &[u8]) -> bool {
    let rest = head.get(2..).unwrap_or_default();
    let first = rest.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
    // P7 goes on with words.
    first > 0 && (head[1] == b'7' || matches!(rest[first], b'0'..=b'9' | b'#'))
}

/// An icon's directory holds one image or more, and its entries have a reserved zero.
fn is_ico(head: &[u8]) -> bool {
    matches!(head, [0, 0, 1, 0, low, high, _, _, _, 0, ..] if *low != 0 || *high != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_beginnings() {
        let bmp = [b"BM".as_slice(), &[0; 12], &40u32.to_le_bytes(), &[0; 20]].concat();
        type Case<'a> = (&'a str, &'a [u8], Option<Result<ImageFormat, &'a str>>);
        let cases: [Case; 15] = [
            ("nothing", b"", None),
            ("text", b"hello, world", None),
            ("HTML", b"<!DOCTYPE html><title>404</title>", None),
            ("text that begins like a bitmap", b"BMW is a maker of cars and motorcycles", None),
            ("text that begins like a pixmap", b"P5 and other partitions", None),
            ("PDF", b"%PDF-1.7", None),
            ("JPEG", b"\xff\xd8\xff\xe0\0\x10JFIF", Some(Ok(ImageFormat::Jpeg))),
            ("PNG", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Some(Ok(ImageFormat::Png))),
            ("GIF", b"GIF89a", Some(Ok(ImageFormat::Gif))),
            ("WebP", b"RIFF\x10\0\0\0WEBPVP8 ", Some(Ok(ImageFormat::WebP))),
            ("bitmap", &bmp, Some(Ok(ImageFormat::Bmp))),
            ("pixmap", b"P6\n# made by hand\n2 2 255\n", Some(Ok(ImageFormat::Pnm))),
            ("TIFF", b"II*\0\x08\0\0\0", Some(Ok(ImageFormat::Tiff))),
            ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0", Some(Err("HEIC"))),
            ("AVIF", b"\0\0\0\x1cftypavif\0\0\0\0", Some(Err("AVIF"))),
        ];
        for (name, head, expected) in cases {
            assert_eq!(format(head), expected, "{name}");
        }
    }
}

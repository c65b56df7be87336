//! Tells images from other files by how they begin.

use crate::stage::files;
use image::ImageFormat;
use std::io::Read;
use std::path::Path;

/// Enough for every signature that is looked for; SVG has a preamble.
pub(crate) const HEAD: usize = 512;

/// Extensions that claim an image. A file that has one is never silently passed over: where the content is another,
/// decoding rejects it by name.
const EXTENSIONS: [&str; 32] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "apng", "gif", "bmp", "dib", "webp", "tif", "tiff", "btf", "tf8", "pgm",
    "ppm", "pbm", "pnm", "pam", "avif", "avifs", "heic", "heif", "hif", "jp2", "j2k", "jxl", "psd", "dng", "nef",
    "cr2", "arw",
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
pub(crate) fn format(head: &[u8]) -> Option<Result<ImageFormat, &'static str>> {
    if let Some(name) = unsupported(head) {
        return Some(Err(name));
    }
    // BigTIFF: offsets of 8 bytes.
    if head.starts_with(b"II+\0\x08\0\0\0") || head.starts_with(b"MM\0+\0\x08\0\0") {
        return Some(Ok(ImageFormat::Tiff));
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

/// Images of formats that nothing here decodes.
fn unsupported(head: &[u8]) -> Option<&'static str> {
    const NAMES: [(&[u8], &str); 26] = [
        (b"\xff\x0a", "JPEG XL"),
        (b"\0\0\0\x0cJXL ", "JPEG XL"),
        (b"\0\0\0\x0cjP  ", "JPEG 2000"),
        (b"\xff\x4f\xff\x51", "JPEG 2000"),
        (b"\xff\xd8\xff\xf7", "JPEG-LS"),
        (b"II\xbc", "JPEG XR"),
        (b"8BPS", "PSD (Photoshop)"),
        (b"gimp xcf", "XCF (GIMP)"),
        (b"\xc5\xd0\xd3\xc6", "EPS"),
        (b"%!PS-Adobe-3.0 EPSF", "EPS"),
        (b"%!PS-Adobe-3.1 EPSF", "EPS"),
        (b"\x8aMNG", "MNG"),
        (b"\x8bJNG", "JNG"),
        (b"BPG\xfb", "BPG"),
        (b"FLIF", "FLIF"),
        (b"icns", "ICNS"),
        (b"AT&TFORM", "DjVu"),
        (b"SIMPLE  = ", "FITS"),
        (b"II*\0\x10\0\0\0CR", "camera raw (CR2)"),
        (b"FUJIFILMCCD-RAW", "camera raw (RAF)"),
        (b"IIRO", "camera raw (ORF)"),
        (b"IIRS", "camera raw (ORF)"),
        (b"IIU\0", "camera raw (RW2)"),
        (b"\0\0\x02\0\x01\0", "CUR"),
        (b"PF\n", "PFM"),
        (b"Pf\n", "PFM"),
    ];
    let named = NAMES.iter().find(|(beginning, _)| head.starts_with(beginning)).map(|(_, name)| *name);
    named.or_else(|| boxed(head)).or_else(|| is_svg(head).then_some("SVG"))
}

/// Images in the boxes of ISO media files: the brand, or for containers of any coding, those that they are compatible
/// with.
fn boxed(head: &[u8]) -> Option<&'static str> {
    if head.get(4..8) != Some(b"ftyp") {
        return None;
    }
    let length = head.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes) as usize).min(head.len());
    let name = |brand: &[u8]| match brand {
        b"avif" | b"avis" => Some("AVIF"),
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => Some("HEIC"),
        b"jp2 " | b"jpx " | b"jph " => Some("JPEG 2000"),
        b"jxl " => Some("JPEG XL"),
        b"crx " => Some("camera raw (CR3)"),
        _ => None,
    };
    let brand = head.get(8..12)?;
    let compatible = || head.get(16..length).unwrap_or_default().chunks_exact(4).find_map(name);
    match brand {
        b"mif1" | b"msf1" | b"mif2" | b"miaf" => compatible().or(Some("HEIF")),
        brand => name(brand),
    }
}

/// An XML file whose first element is `svg`, or a document type of that name.
fn is_svg(head: &[u8]) -> bool {
    let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
    if !matches!(first, Some(b'<' | 0xef)) {
        return false;
    }
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let begins = |text: &str| ["<svg", "<!DOCTYPE svg"].iter().any(|beginning| text.starts_with(beginning));
    let is_xml = text.starts_with("<?xml") || text.starts_with("<!--");
    begins(text) || is_xml && text.match_indices('<').any(|(at, _)| begins(&text[at..]))
}

/// What a file that is no image at all is, for files that are called images.
pub(crate) fn name_of_other(head: &[u8]) -> Option<&'static str> {
    const NAMES: [(&[u8], &str); 12] = [
        (b"%PDF", "a PDF document"),
        (b"%!PS", "a PostScript document"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"Rar!", "a RAR archive"),
        (b"7z\xbc\xaf", "a 7-Zip archive"),
        (b"\x1f\x8b", "a gzip archive"),
        (b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
        (b"OggS", "an Ogg file"),
        (b"ID3", "an MP3 file"),
        (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
        (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
        (b"\x7fELF", "a program"),
    ];
    let named = NAMES.iter().find(|(beginning, _)| head.starts_with(beginning)).map(|(_, name)| *name);
    let text = String::from_utf8_lossy(&head[..head.len().min(HEAD)]).trim_start().to_ascii_lowercase();
    let is_page = text.starts_with("<!doctype html") || text.starts_with("<html");
    let page = || is_page.then_some("an HTML page: perhaps what a server sent in the image's place");
    let video = || (head.get(4..8) == Some(b"ftyp")).then_some("a video or another ISO media file");
    let riff = || (head.starts_with(b"RIFF") && head.get(8..12) == Some(b"AVI ")).then_some("an AVI video");
    named.or_else(page).or_else(video).or_else(riff)
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
        let cases: [Case; 33] = [
            ("nothing", b"", None),
            ("text", b"hello, world", None),
            ("HTML", b"<!DOCTYPE html><title>404</title><svg/>", None),
            ("other XML", b"<?xml version='1.0'?><feed/>", None),
            ("text that begins like a bitmap", b"BMW is a maker of cars and motorcycles", None),
            ("text that begins like a pixmap", b"P5 and other partitions", None),
            ("PDF", b"%PDF-1.7", None),
            ("video", b"\0\0\0\x18ftypisom\0\0\0\0", None),
            ("JPEG", b"\xff\xd8\xff\xe0\0\x10JFIF", Some(Ok(ImageFormat::Jpeg))),
            ("PNG", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Some(Ok(ImageFormat::Png))),
            ("GIF", b"GIF89a", Some(Ok(ImageFormat::Gif))),
            ("WebP", b"RIFF\x10\0\0\0WEBPVP8 ", Some(Ok(ImageFormat::WebP))),
            ("bitmap", &bmp, Some(Ok(ImageFormat::Bmp))),
            ("pixmap", b"P6\n# made by hand\n2 2 255\n", Some(Ok(ImageFormat::Pnm))),
            ("TIFF", b"II*\0\x08\0\0\0", Some(Ok(ImageFormat::Tiff))),
            ("BigTIFF", b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0", Some(Ok(ImageFormat::Tiff))),
            ("BigTIFF, big-endian", b"MM\0+\0\x08\0\0\0\0\0\0\0\0\0\x10", Some(Ok(ImageFormat::Tiff))),
            ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0", Some(Err("HEIC"))),
            ("HEIC by compatibility", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", Some(Err("HEIC"))),
            ("AVIF", b"\0\0\0\x1cftypavif\0\0\0\0", Some(Err("AVIF"))),
            ("AVIF by compatibility", b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", Some(Err("AVIF"))),
            ("HEIF of neither", b"\0\0\0\x14ftypmif1\0\0\0\0mif1heic", Some(Err("HEIF"))),
            ("JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ", Some(Err("JPEG 2000"))),
            ("JPEG 2000 without boxes", b"\xff\x4f\xff\x51\0\x2f", Some(Err("JPEG 2000"))),
            ("JPEG XL", b"\xff\x0a\x7f", Some(Err("JPEG XL"))),
            ("PSD", b"8BPS\0\x01", Some(Err("PSD (Photoshop)"))),
            ("SVG", b"<svg xmlns='http://www.w3.org/2000/svg'>", Some(Err("SVG"))),
            ("SVG with a preamble", b"<?xml version='1.0'?>\n<!-- made by hand -->\n<svg>", Some(Err("SVG"))),
            ("EPS", b"%!PS-Adobe-3.0 EPSF-3.0", Some(Err("EPS"))),
            ("CR2", b"II*\0\x10\0\0\0CR\x02\0", Some(Err("camera raw (CR2)"))),
            ("CR3", b"\0\0\0\x18ftypcrx \0\0\0\x01", Some(Err("camera raw (CR3)"))),
            ("icon", b"\0\0\x01\0\x01\0\x10\x10\0\0", Some(Err("ICO"))),
            ("OpenEXR", b"\x76\x2f\x31\x01", Some(Err("OpenEXR"))),
        ];
        for (name, head, expected) in cases {
            assert_eq!(format(head), expected, "{name}");
        }
    }
}

//! The chunks of a WebP (RFC 9649). The decoder takes what is there of a file that lacks its last bytes; here the
//! sizes that it declares are held against those that it has.

use super::failure::cut_short;
use crate::image::error::ImageError;
use std::borrow::Cow;

/// Bits of the flags of an extended file.
const HAS_EXIF: u8 = 0x08;
const HAS_XMP: u8 = 0x04;
/// Where they stand.
const FLAGS: usize = 20;

/// A file that is whole.
pub(crate) struct Checked<'a> {
    /// Without flags that promise metadata that is not there, which viewers ignore.
    pub file: Cow<'a, [u8]>,
    pub exif: Option<&'a [u8]>,
    /// Whether it is one picture, lossily compressed.
    pub planes: bool,
}

/// What is of interest among the chunks.
#[derive(Default)]
struct Found<'a> {
    exif: Option<&'a [u8]>,
    xmp: bool,
    lossy: bool,
    frames: bool,
}

/// Walks through the chunks.
///
/// # Errors
/// The file ends before its chunks do.
pub(crate) fn checked(bytes: &[u8]) -> Result<Checked<'_>, ImageError> {
    let size = number(bytes, 4).ok_or_else(|| cut_short("WebP", bytes))?;
    let chunks = bytes.get(12..8 + size).ok_or_else(|| cut_short("WebP", bytes))?;
    let mut found = Found::default();
    walk(chunks, &mut found)
        .ok_or_else(|| ImageError::new("the WebP is cut short or corrupt: a part reaches beyond its end"))?;
    let mut file = Cow::Borrowed(bytes);
    if chunks.starts_with(b"VP8X") && bytes.len() > FLAGS {
        let absent = if found.exif.is_none() { HAS_EXIF } else { 0 } | if found.xmp { 0 } else { HAS_XMP };
        if bytes[FLAGS] & absent != 0 {
            file.to_mut()[FLAGS] &= !absent;
        }
    }
    Ok(Checked { file, exif: found.exif, planes: found.lossy && !found.frames })
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize)
}

/// None if a chunk is longer than what is left.
fn walk<'a>(mut chunks: &'a [u8], found: &mut Found<'a>) -> Option<()> {
    while chunks.len() >= 8 {
        let (name, size) = (&chunks[..4], number(chunks, 4)?);
        let data = chunks.get(8..8usize.checked_add(size)?)?;
        match name {
            b"EXIF" => found.exif = found.exif.or(Some(data)),
            b"XMP " => found.xmp = true,
            b"VP8 " => found.lossy = true,
            // A frame: 16 bytes about it, then chunks.
            b"ANMF" => {
                found.frames = true;
                walk(data.get(16..)?, found)?;
            }
            _ => {}
        }
        chunks = chunks.get(8 + size + size % 2..).unwrap_or_default();
    }
    Some(())
}

//! The blocks of a GIF (GIF89a specification). The decoder is content when the first frame's pixels are there; a file
//! that ends within a block has lost something all the same. Only the last byte, which says that nothing follows, may
//! be missing, as for all viewers.

use super::failure::cut_short;
use crate::image::error::ImageError;

/// Width and height of the first frame.
///
/// # Errors
/// The file ends within a block, or has no frame.
pub(crate) fn first_frame(bytes: &[u8]) -> Result<[u64; 2], ImageError> {
    let mut frame = None;
    blocks(bytes, &mut frame).ok_or_else(|| cut_short("GIF", bytes))?;
    frame.ok_or_else(|| ImageError::new("the GIF holds no picture"))
}

/// None if the file ends within a block.
fn blocks(bytes: &[u8], frame: &mut Option<[u64; 2]>) -> Option<()> {
    let mut rest = bytes.get(13 + colours(*bytes.get(10)?)..)?;
    while let Some((&introducer, after)) = rest.split_first() {
        rest = match introducer {
            // An extension: its label, then its data.
            0x21 => sub_blocks(after.get(1..)?)?,
            0x2c => {
                let side = |at: usize| Some(u64::from(u16::from_le_bytes([*after.get(at)?, *after.get(at + 1)?])));
                let size = [side(4)?, side(6)?];
                frame.get_or_insert(size);
                // Nine bytes about it, perhaps a palette, then the number of bits that codes begin with.
                sub_blocks(after.get(10 + colours(*after.get(8)?)..)?)?
            }
            // The trailer; what follows is not the GIF's.
            0x3b => return Some(()),
            _ => after,
        };
    }
    frame.map(|_| ())
}

/// Bytes of the palette that the flags announce.
fn colours(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// What follows data in blocks of up to 255 bytes and an empty one.
fn sub_blocks(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let (&length, after) = rest.split_first()?;
        rest = after.get(usize::from(length)..)?;
        if length == 0 {
            return Some(rest);
        }
    }
}

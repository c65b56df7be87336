//! What decoding a JPEG takes, from the headers alone.

use super::orientation::swaps_sides;
use ::image::metadata::Orientation;

/// What the memory depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JpegSize {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    components: usize,
    /// Whether a channel's data stand in several places, so that coefficients or planes are kept until the last.
    in_scans: bool,
    /// Whether it is to be turned by a quarter.
    turns: bool,
}

impl JpegSize {
    /// Reads up to the first scan. None if no frame is declared before it.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut found = Self { width: 0, height: 0, components: 0, in_scans: false, turns: false };
        let mut rest = bytes.get(2..)?;
        loop {
            rest = &rest[rest.iter().position(|&byte| byte == 0xff)?..];
            rest = &rest[rest.iter().position(|&byte| byte != 0xff)?..];
            let (&marker, after) = rest.split_first()?;
            rest = after;
            if matches!(marker, 0x00 | 0x01 | 0xd0..=0xd8) {
                continue;
            }
            let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
            let segment = rest.get(2..length.max(2)).unwrap_or_default();
            match marker {
                0xe1 if segment.starts_with(b"Exif\0\0") => {
                    found.turns |= Orientation::from_exif_chunk(&segment[6..]).is_some_and(swaps_sides);
                }
                0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => found.frame(marker, segment)?,
                0xda => {
                    found.in_scans |= usize::from(*segment.first()?) < found.components;
                    return (found.components > 0).then_some(found);
                }
                _ => {}
            }
            rest = rest.get(length.max(2)..)?;
        }
    }

    fn frame(&mut self, marker: u8, segment: &[u8]) -> Option<()> {
        let side = |at: usize| Some(usize::from(u16::from_be_bytes([*segment.get(at)?, *segment.get(at + 1)?])));
        (self.height, self.width, self.components) = (side(1)?, side(3)?, usize::from(*segment.get(5)?));
        // Baseline and extended sequential are decoded as they come.
        self.in_scans = !matches!(marker, 0xc0 | 0xc1);
        Some(())
    }

    /// Bytes at full size: the picture, and its coefficients where they come in several scans.
    pub fn need(&self) -> u64 {
        let turned = if self.turns { 3 } else { 0 };
        let coefficients = if self.in_scans { 2 * self.components } else { 0 };
        // Four inks are converted behind the decoder.
        let inks = if self.components == 4 { 4 } else { 0 };
        (self.width * self.height) as u64 * (3 + turned + coefficients + inks) as u64
    }

    /// Bytes at a half of the size at most, and those of the compressed data without their markers.
    pub fn need_reduced(&self, file: usize) -> u64 {
        (self.width * self.height) as u64 * if self.turns { 2 } else { 1 } + file as u64
    }
}

//! From a file's bytes to pixels of the model's size.
//!
//! [`decode`](fn@decode) reads any supported format and converts it to 8-bit RGB in one documented way,
//! [`resize`](fn@resize) brings it to the model's size. [`decode_for`] does no more work than that size needs: a large
//! JPEG is decoded at a reduced scale. [`png`] writes and reads the pixels that the shards hold.

pub mod budget;
mod colour;
mod decode;
mod formats;
mod jpeg;
mod limits;
mod orientation;
pub mod png;
mod resize;

pub use decode::{decode, decode_for, decode_to_compare};
pub use resize::resize;
pub(crate) use resize::scale;

/// Changes whenever the pixels of some file do, so that data sets made before are made anew.
pub(crate) const PIXELS_VERSION: u32 = 3;

use crate::pipeline::ImageSettings;
use budget::Held;
use std::io::Read;
use std::path::Path;

/// 8-bit RGB pixels, row by row: `[height, width, 3]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// `height * width * 3` bytes.
    pub data: Vec<u8>,
}

/// A part of an image, in pixels and fractions of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Area {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

/// A decoded image on its way to the model's size, at full or at a reduced scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    pixels: Pixels,
    /// Where in `pixels` the picture is. At a reduced scale a side may end within a pixel.
    covered: Area,
    /// The memory that it was promised.
    held: Option<Held>,
}

impl Decoded {
    fn whole(pixels: Pixels) -> Self {
        let sides = [pixels.width as f64, pixels.height as f64];
        Self::part(pixels, sides)
    }

    /// A picture from the upper left corner, `width` and `height` pixels large.
    fn part(pixels: Pixels, [width, height]: [f64; 2]) -> Self {
        Self { pixels, covered: Area { left: 0.0, top: 0.0, width, height }, held: None }
    }

    /// Gives its memory back when it is dropped.
    fn holding(mut self, held: Held) -> Self {
        self.held = Some(held);
        self
    }

    /// What was decoded.
    pub fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    /// Pixels of `pixels` that the picture is wide.
    fn covered_width(&self) -> f64 {
        self.covered.width
    }

    /// Brought to exactly `settings.width` x `settings.height`.
    pub fn resize(&self, settings: &ImageSettings) -> Pixels {
        resize::fit(&self.pixels, &self.covered, settings)
    }
}

/// Why an image could not be read: a finding about the file, not a failure of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageError {
    /// In words, without the file's name.
    pub reason: String,
}

impl ImageError {
    fn new(reason: impl std::fmt::Display) -> Self {
        // Some decoders' messages span lines; a finding is one line of a list.
        Self { reason: reason.to_string().split_whitespace().collect::<Vec<_>>().join(" ") }
    }
}

impl std::fmt::Display for ImageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for ImageError {}

/// Reads the file, decodes it, applies its EXIF orientation, converts it to RGB and brings it to `settings`' size. The
/// one path that training, evaluation and prediction share.
///
/// # Errors
/// Files that cannot be read, are no images, are cut short, or declare a size beyond the limits.
pub fn load(path: &Path, settings: &ImageSettings) -> Result<Pixels, ImageError> {
    load_from_memory(&read(path)?, settings)
}

/// As [`load`], from bytes in memory.
///
/// # Errors
/// As [`load`].
pub fn load_from_memory(bytes: &[u8], settings: &ImageSettings) -> Result<Pixels, ImageError> {
    decode_for(bytes, settings).map(|decoded| decoded.resize(settings))
}

/// A file's bytes, and the memory that they were promised.
#[derive(Debug)]
pub struct FileBytes {
    bytes: Vec<u8>,
    _held: Held,
}

impl std::ops::Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a regular file; anything else (a pipe would block) is refused, and so is one too large to be held.
pub fn read(path: &Path) -> Result<FileBytes, ImageError> {
    let cannot = |error: std::io::Error| ImageError::new(format_args!("it cannot be read: {error}"));
    let metadata = std::fs::metadata(path).map_err(cannot)?;
    if !metadata.is_file() {
        return Err(ImageError::new("it is not a file"));
    }
    let held = budget::reserve_file(metadata.len())?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // No more than was reserved, should it grow meanwhile.
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(metadata.len()).read_to_end(&mut bytes).map_err(cannot)?;
    Ok(FileBytes { bytes, _held: held })
}

#[cfg(test)]
mod tests;

//! From a file's bytes to pixels of the model's size.
//!
//! [`decode`](fn@decode) reads any supported format and converts it to 8-bit RGB in one documented way, [`resize`](fn@resize)
//! brings it to the model's size. [`png`] writes and reads the pixels that the shards hold.

mod decode;
mod jpeg;
pub mod png;
mod resize;

pub use decode::{MAX_PIXELS, decode};
pub use resize::resize;
pub(crate) use resize::scale;

use crate::pipeline::ImageSettings;
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

/// Reads the file, decodes it, applies its EXIF orientation, converts it to RGB and brings it to `settings`' size. The one
/// path that training, evaluation and prediction share.
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
    decode(bytes).map(|pixels| resize(&pixels, settings))
}

/// Reads a regular file; anything else (a pipe would block) is refused.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ImageError> {
    let cannot = |error: std::io::Error| ImageError::new(format_args!("it cannot be read: {error}"));
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(ImageError::new("it is not a file"));
    }
    std::fs::read(path).map_err(cannot)
}

#[cfg(test)]
mod tests;

//! From a file's bytes to pixels of the model's size.

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
#[derive(Debug)]
pub struct ImageError {
    /// In words, without the file's name.
    pub reason: String,
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
    let _ = (path, settings);
    unimplemented!()
}

/// As [`load`], from bytes in memory.
///
/// # Errors
/// As [`load`].
pub fn load_from_memory(bytes: &[u8], settings: &ImageSettings) -> Result<Pixels, ImageError> {
    let _ = (bytes, settings);
    unimplemented!()
}

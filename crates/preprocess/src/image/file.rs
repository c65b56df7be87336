//! From a file to pixels of the model's size.

use super::budget::{self, Held};
use super::decode::decode_for;
use super::error::ImageError;
use super::pixels::Pixels;
use crate::pipeline::ImageSettings;
use std::io::Read;
use std::path::Path;

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
pub(crate) struct FileBytes {
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

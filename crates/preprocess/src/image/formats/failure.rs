//! A cut file, for the formats that are checked here.

use crate::image::error::ImageError;

/// A cut that is told as one, whatever the decoder would say.
pub(crate) fn cut_short(name: &str, bytes: &[u8]) -> ImageError {
    ImageError::new(format_args!("the {name} is cut short: it ends after {} bytes", bytes.len()))
}

//! How large an image may be.

use super::error::ImageError;

/// The most pixels that a file may declare: 200 million, 600 MB of RGB. Checked before anything is allocated.
pub(crate) const MAX_PIXELS: u64 = 200_000_000;

/// The most pixels of a side: no picture is so long, and weights of its resampling would take more memory than its
/// pixels.
pub(crate) const MAX_SIDE: u64 = 500_000;

/// Refuses an image that declares no pixels or too many.
pub(super) fn check_size(width: u64, height: u64) -> Result<(), ImageError> {
    match width.saturating_mul(height) {
        0 => Err(ImageError::new(format_args!("it declares {width}x{height} pixels"))),
        _ if width.max(height) > MAX_SIDE => Err(ImageError::new(format_args!(
            "it is too large: it declares {width}x{height} pixels, more than the limit of {MAX_SIDE} for a side"
        ))),
        1..=MAX_PIXELS => Ok(()),
        _ => Err(ImageError::new(format_args!(
            "it is too large: it declares {width}x{height} pixels, more than the limit of {} million",
            MAX_PIXELS / 1_000_000
        ))),
    }
}

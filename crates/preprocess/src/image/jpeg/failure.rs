//! Why a JPEG is refused, in the words of a finding.

use crate::image::error::ImageError;

/// An intact file of a kind that this program cannot read.
pub(crate) fn unsupported(what: impl std::fmt::Display) -> ImageError {
    ImageError::new(format_args!("{what} are not supported"))
}

/// A file that breaks the rules of the format.
pub(crate) fn damaged(what: impl std::fmt::Display) -> ImageError {
    ImageError::new(format_args!("damaged JPEG: {what}"))
}

/// Something is missing, at the file's end or before.
pub(crate) fn cut_short_or_damaged(at_end: bool, what: impl std::fmt::Display) -> ImageError {
    if at_end { ImageError::new(format_args!("the JPEG is cut short: {what}")) } else { damaged(what) }
}

//! Whether compressed data are as many as a picture takes, and what is wrong where they are not.

use super::entropy::{Bits, Entropy};
use super::failure::{cut_short_or_damaged, damaged};
use crate::image::error::ImageError;

/// Whether the data can hold so much: a file of few bytes cannot claim many pixels.
pub(crate) fn check_plausible(least_bits: usize, entropy: &Entropy) -> Result<(), ImageError> {
    if least_bits <= entropy.bits() {
        return Ok(());
    }
    Err(damaged(format_args!(
        "of at least {} bytes of compressed data it has {}",
        least_bits.div_ceil(8),
        entropy.bits() / 8
    )))
}

/// Only the bits that fill up the last byte may be left, or bytes that fill up more.
pub(crate) fn check_used_up(bits: &Bits) -> Result<(), ImageError> {
    match bits.surplus() {
        Some(0) => Ok(()),
        Some(surplus) => Err(damaged(format_args!("{surplus} bytes of compressed data are left over"))),
        None => Err(damaged("its compressed data end too early")),
    }
}

/// Why the `unit`-th of `total` units could not be decoded.
#[cold]
pub(crate) fn unreadable(bits: &Bits, entropy: &Entropy, bytes: &[u8], unit: usize, total: usize) -> ImageError {
    match bits.left() {
        None => cut_short_or_damaged(
            entropy.next >= bytes.len(),
            format_args!("its compressed data end after {unit} of {total} blocks"),
        ),
        Some(_) => damaged(format_args!("its compressed data make no sense after {unit} of {total} blocks")),
    }
}

//! Why compressed data could not be decoded.

use super::entropy::{Bits, Entropy};
use super::{ImageError, cut_short_or_damaged, damaged};

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

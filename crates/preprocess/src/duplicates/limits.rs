//! How alike near-copies are; measured on real images in `docs/duplicates.md`.

/// The most bits, of 255, in which the hashes of near-copies differ, where the images of different classes look
/// different.
pub const MAX_DISTANCE: u32 = 48;

/// The limit below which it is not lowered, see [`find`](super::find).
pub const MIN_DISTANCE: u32 = 32;

/// By how much the limit is lowered at a time.
pub(crate) const STEP: u32 = 4;

/// The limits that may come to be used, the strictest first.
pub(crate) const LIMITS: [u32; 5] = [MIN_DISTANCE, 36, 40, 44, MAX_DISTANCE];

/// The least correlation of the brightness of near-copies' 32x32 thumbnails.
pub const MIN_CORRELATION: f64 = 0.90;

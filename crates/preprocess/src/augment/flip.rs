//! Horizontal flip.

use super::Affine;
use crate::stage::random::Random;

/// With probability one half, if `enabled`: column `c` of the result is column `width - 1 - c`. Keras flips after the
/// affine transform, so in a map from the result to the image the flip comes first.
pub(crate) fn draw(enabled: bool, random: &mut Random, width: usize) -> Affine {
    // The coin is tossed in any case; see `Transform::from_stream`.
    if random.coin() && enabled { flip(width) } else { Affine::IDENTITY }
}

pub(super) fn flip(width: usize) -> Affine {
    Affine { matrix: [[1.0, 0.0], [0.0, -1.0]], translation: [0.0, width as f64 - 1.0] }
}

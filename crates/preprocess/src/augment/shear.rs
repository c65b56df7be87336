//! Shear.

use super::Affine;
use crate::stage::random::Random;

/// An angle in degrees from [-`range`, `range`]: Keras' `[[1, -sin], [0, cos]]` on (row, column) coordinates.
pub(crate) fn draw(range: f64, random: &mut Random) -> Affine {
    shear(random.range(-range, range))
}

pub(super) fn shear(degrees: f64) -> Affine {
    let (sin, cos) = degrees.to_radians().sin_cos();
    Affine::linear([[1.0, -sin], [0.0, cos]])
}

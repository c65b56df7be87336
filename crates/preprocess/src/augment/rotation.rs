//! Rotation about the image's centre.

use super::Affine;
use crate::stage::random::Random;

/// An angle in degrees from [-`range`, `range`]: `[[cos, -sin], [sin, cos]]` on (row, column) coordinates. The map
/// leads from the result to the image, so a positive angle turns the picture clockwise.
pub(crate) fn draw(range: f64, random: &mut Random) -> Affine {
    rotation(random.range(-range, range))
}

pub(super) fn rotation(degrees: f64) -> Affine {
    let (sin, cos) = degrees.to_radians().sin_cos();
    Affine::linear([[cos, -sin], [sin, cos]])
}

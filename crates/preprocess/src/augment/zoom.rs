//! Zoom, each axis by itself.

use super::Affine;
use crate::stage::random::Random;

/// Two factors from [1 - `range`, 1 + `range`], rows first. A factor below 1 enlarges the picture, for the map leads
/// from the result to the image.
pub(crate) fn draw(range: f64, random: &mut Random) -> Affine {
    let rows = random.range(1.0 - range, 1.0 + range);
    let columns = random.range(1.0 - range, 1.0 + range);
    Affine::linear([[rows, 0.0], [0.0, columns]])
}

//! Horizontal and vertical shift.

use super::Affine;
use crate::stage::random::Random;

/// Fractions of width and height from [-`shift`, `shift`]; the rows' shift is drawn first, as Keras does. A positive
/// draw moves the picture up or left, for the map leads from the result to the image.
pub(crate) fn draw(shift: [f64; 2], random: &mut Random, width: usize, height: usize) -> Affine {
    let rows = random.range(-shift[1], shift[1]) * height as f64;
    let columns = random.range(-shift[0], shift[0]) * width as f64;
    Affine::translation(rows, columns)
}

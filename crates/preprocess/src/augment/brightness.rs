//! Brightness.

use crate::stage::random::Random;

/// A factor from [low, high]; values are multiplied by it and end at 255, as `PIL.ImageEnhance.Brightness` does.
pub(crate) fn draw([low, high]: [f64; 2], random: &mut Random) -> f64 {
    random.range(low, high)
}

//! Sharpness.

use super::tone::to_byte;
use crate::image::Pixels;

/// Every value `factor` times as far from that of the smoothed picture (`PIL.ImageEnhance.Sharpness`): 0 smooths, 1
/// changes nothing. A smoothed pixel is the mean of its eight neighbours and five times itself; those at the edge,
/// which lack neighbours, stay as they are.
pub(super) fn sharpness(pixels: &mut Pixels, factor: f64) {
    let (stride, height) = (pixels.width * 3, pixels.height);
    if pixels.width < 3 || height < 3 {
        return;
    }
    let factor = factor as f32;
    // The rows above and below have to be those of before.
    let source = pixels.data.clone();
    for row in 1..height - 1 {
        let [above, here, below] = [row - 1, row, row + 1].map(|row| &source[row * stride..][..stride]);
        // Sums of columns first, so that each of the three is added up once.
        let columns: Vec<u16> =
            (0..stride).map(|at| u16::from(above[at]) + u16::from(here[at]) + u16::from(below[at])).collect();
        let target = &mut pixels.data[row * stride + 3..][..stride - 6];
        let values = here[3..stride - 3].iter();
        for ((target, &value), sums) in target.iter_mut().zip(values).zip(columns.windows(7)) {
            let smooth = (sums[0] + sums[3] + sums[6] + 4 * u16::from(value) + 6) / 13;
            *target = to_byte(f32::from(smooth) + factor * (f32::from(value) - f32::from(smooth)));
        }
    }
}

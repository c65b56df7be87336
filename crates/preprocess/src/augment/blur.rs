//! Gaussian blur: torchvision's, with a window as wide as the Gaussian needs.
//!
//! Along one axis, then along the other. Weights are whole numbers that sum to 2^16, and sums are whole numbers, so
//! that every machine computes the same.

use crate::image::Pixels;
use crate::pipeline::BlurSettings;
use crate::stage::random::Random;

/// Fractional bits of the weights.
const WEIGHT: u32 = 16;
/// Fractional bits of the values between the two passes.
const BETWEEN: u32 = 7;
/// Standard deviations that the window reaches to either side: 99.7 % of the Gaussian.
const REACH: f64 = 3.0;

/// Blurs with the settings' probability, by a deviation that is drawn in either case.
pub(super) fn maybe(pixels: &mut Pixels, settings: &BlurSettings, random: &mut Random) {
    let sigma = random.range(settings.sigma[0], settings.sigma[1]);
    if random.uniform() < settings.probability {
        blur(pixels, sigma);
    }
}

/// Blurs by a Gaussian of this standard deviation, in pixels, above 0. Beyond the edge the picture is mirrored about
/// its outermost pixels: `dcb|abcd|cba`.
pub(super) fn blur(pixels: &mut Pixels, sigma: f64) {
    let weights = weights(sigma);
    let (stride, height) = (pixels.width * 3, pixels.height);
    let radius = weights.len() / 2;
    let mut between = vec![0u16; pixels.data.len()];
    for (line, target) in pixels.data.chunks_exact(stride).zip(between.chunks_exact_mut(stride)) {
        horizontally(line, &weights, target);
    }
    let mut sums = vec![0u32; stride];
    for row in 0..height {
        sums.fill(1 << (WEIGHT + BETWEEN - 1));
        for (tap, &weight) in weights.iter().enumerate() {
            let from = mirrored(row as isize + tap as isize - radius as isize, height);
            for (sum, &value) in sums.iter_mut().zip(&between[from * stride..][..stride]) {
                *sum += weight * u32::from(value);
            }
        }
        for (target, sum) in pixels.data[row * stride..][..stride].iter_mut().zip(&sums) {
            *target = (sum >> (WEIGHT + BETWEEN)) as u8;
        }
    }
}

/// One line of pixels, with [`BETWEEN`] fractional bits.
fn horizontally(line: &[u8], weights: &[u32], target: &mut [u16]) {
    let (width, radius) = (line.len() / 3, weights.len() / 2);
    let wide: Vec<u8> = (0..width + 2 * radius)
        .flat_map(|at| {
            let from = mirrored(at as isize - radius as isize, width) * 3;
            [line[from], line[from + 1], line[from + 2]]
        })
        .collect();
    let mut sums = vec![1u32 << (WEIGHT - BETWEEN - 1); line.len()];
    for (tap, &weight) in weights.iter().enumerate() {
        for (sum, &value) in sums.iter_mut().zip(&wide[tap * 3..]) {
            *sum += weight * u32::from(value);
        }
    }
    for (target, sum) in target.iter_mut().zip(sums) {
        *target = (sum >> (WEIGHT - BETWEEN)) as u16;
    }
}

/// The Gaussian at whole distances, normalised; what rounding leaves over is the centre's.
fn weights(sigma: f64) -> Vec<u32> {
    let radius = (REACH * sigma).ceil() as i32;
    let bell: Vec<f64> =
        (-radius..=radius).map(|distance| (-0.5 * (f64::from(distance) / sigma).powi(2)).exp()).collect();
    let sum: f64 = bell.iter().sum();
    let mut weights: Vec<u32> =
        bell.iter().map(|weight| (weight / sum * f64::from(1 << WEIGHT)).round() as u32).collect();
    let sides = weights.iter().sum::<u32>() - weights[radius as usize];
    weights[radius as usize] = (1u32 << WEIGHT).saturating_sub(sides);
    weights
}

/// The pixel that stands at `index` of an axis of `length` pixels.
fn mirrored(index: isize, length: usize) -> usize {
    if length == 1 {
        return 0;
    }
    let period = 2 * (length as isize - 1);
    let index = index.rem_euclid(period);
    index.min(period - index) as usize
}

//! Each op against its definition, in double precision and one pixel at a time, over all sizes.

use super::*;
use crate::pipeline::{ColorSettings, Fill, RandAugmentSettings};
use policy::{Drawn, OPS, Op};
use proptest::prelude::*;

/// A picture of any size and any pixels, some of them of few values.
fn picture() -> impl Strategy<Value = Pixels> {
    (1usize..24, 1usize..24, 1u8..=255).prop_flat_map(|(width, height, most)| {
        proptest::collection::vec(0..=most, width * height * 3).prop_map(move |data| Pixels { width, height, data })
    })
}

fn changed(pixels: &Pixels, change: impl FnOnce(&mut Pixels)) -> Pixels {
    let mut pixels = pixels.clone();
    change(&mut pixels);
    pixels
}

/// Whether each value is at most `allowed` from the plain one, which is rounded and cut off first.
fn agree(found: &Pixels, plain: &[f64], allowed: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.data.len(), plain.len());
    for (index, (&found, &plain)) in found.data.iter().zip(plain).enumerate() {
        let plain = plain.clamp(0.0, 255.0);
        let difference = (f64::from(found) - plain).abs();
        prop_assert!(difference <= allowed, "value {}: {}, plainly {}", index, found, plain);
    }
    Ok(())
}

/// Rounding, and nothing else beyond single precision.
const ROUNDED: f64 = 0.501;

fn of_values(pixels: &Pixels, of: impl Fn(f64) -> f64) -> Vec<f64> {
    pixels.data.iter().map(|&value| of(f64::from(value))).collect()
}

fn of_pixels(pixels: &Pixels, of: impl Fn([f64; 3]) -> [f64; 3]) -> Vec<f64> {
    pixels.data.chunks(3).flat_map(|pixel| of([pixel[0], pixel[1], pixel[2]].map(f64::from))).collect()
}

/// 0.299, 0.587 and 0.114, as Pillow has them in 16 bits.
fn plain_luma([red, green, blue]: [f64; 3]) -> f64 {
    ((19_595.0 * red + 38_470.0 * green + 7_471.0 * blue) / 65_536.0).round()
}

fn plain_hue([red, green, blue]: [f64; 3], shift: f64) -> [f64; 3] {
    let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
    if most == least {
        return [red, green, blue];
    }
    let sixth = 60.0 / (most - least);
    let degrees = if most == red {
        (green - blue) * sixth
    } else if most == green {
        (blue - red) * sixth + 120.0
    } else {
        (red - green) * sixth + 240.0
    };
    let degrees = (degrees + 360.0 * shift).rem_euclid(360.0);
    let (sector, fraction) = ((degrees / 60.0).floor(), (degrees / 60.0).fract());
    let (falling, rising) = (most - (most - least) * fraction, least + (most - least) * fraction);
    match sector as u32 {
        0 => [most, rising, least],
        1 => [falling, most, least],
        2 => [least, most, rising],
        3 => [least, falling, most],
        4 => [rising, least, most],
        _ => [most, least, falling],
    }
}

/// Index -1 is index 1, -2 is 2 and so on, at either end, as often as it takes.
fn plain_mirrored(mut index: i64, length: i64) -> usize {
    while length > 1 && !(0..length).contains(&index) {
        index = if index < 0 { -index } else { 2 * (length - 1) - index };
    }
    if length == 1 { 0 } else { index as usize }
}

fn plain_blur(pixels: &Pixels, sigma: f64) -> Vec<f64> {
    let radius = (3.0 * sigma).ceil() as i64;
    let weight = |distance: i64| (-(distance as f64).powi(2) / (2.0 * sigma * sigma)).exp();
    let total: f64 = (-radius..=radius).map(weight).sum();
    let (width, height) = (pixels.width as i64, pixels.height as i64);
    let mut blurred = Vec::new();
    for (row, column, channel) in
        (0..height).flat_map(|r| (0..width).flat_map(move |c| (0..3).map(move |channel| (r, c, channel))))
    {
        let at = |r: i64, c: i64| {
            let (r, c) = (plain_mirrored(r, height), plain_mirrored(c, width));
            f64::from(pixels.data[(r * pixels.width + c) * 3 + channel])
        };
        let line = |r: i64| (-radius..=radius).map(|d| weight(d) * at(r, column + d)).sum::<f64>();
        blurred.push((-radius..=radius).map(|d| weight(d) * line(row + d)).sum::<f64>() / total / total);
    }
    blurred
}

fn plain_sharpness(pixels: &Pixels, factor: f64) -> Vec<f64> {
    let (width, height) = (pixels.width, pixels.height);
    let value = |row: usize, column: usize, channel: usize| {
        let at = |row: usize, column: usize| f64::from(pixels.data[(row * width + column) * 3 + channel]);
        let here = at(row, column);
        if row == 0 || column == 0 || row + 1 == height || column + 1 == width {
            return here;
        }
        let around: f64 = (row - 1..=row + 1).flat_map(|r| (column - 1..=column + 1).map(move |c| at(r, c))).sum();
        let smooth = ((around + 4.0 * here) / 13.0).round();
        smooth + factor * (here - smooth)
    };
    (0..width * height).flat_map(|i| [0, 1, 2].map(|channel| value(i / width, i % width, channel))).collect()
}

/// Of one channel's values.
fn plain_autocontrast(values: &[u8]) -> Vec<f64> {
    let least = values.iter().copied().min().map_or(0.0, f64::from);
    let greatest = values.iter().copied().max().map_or(0.0, f64::from);
    let stretched = |value: f64| if greatest > least { (value - least) / (greatest - least) * 255.0 } else { value };
    values.iter().map(|&value| stretched(f64::from(value))).collect()
}

/// Of one channel's values: as many steps of equal size as fit between black and white, the values in their order.
fn plain_equalize(values: &[u8]) -> Vec<f64> {
    let last = values.iter().copied().max().unwrap_or(0);
    let step = values.iter().filter(|&&value| value != last).count() / 255;
    let new = |value: u8| {
        let below = values.iter().filter(|&&other| other < value).count();
        (step / 2 + below).checked_div(step).map_or(usize::from(value), |level| level.min(255))
    };
    values.iter().map(|&value| new(value) as f64).collect()
}

fn of_channels(pixels: &Pixels, of: impl Fn(&[u8]) -> Vec<f64>) -> Vec<f64> {
    let channels =
        [0, 1, 2].map(|channel| of(&pixels.data.iter().skip(channel).step_by(3).copied().collect::<Vec<u8>>()));
    (0..pixels.data.len()).map(|index| channels[index % 3][index / 3]).collect()
}

/// Everything beyond the edge is the edge's nearest point.
fn plain_warp(pixels: &Pixels, affine: &Affine) -> Vec<f64> {
    let (width, height) = (pixels.width, pixels.height);
    let value = |row: usize, column: usize, channel: usize| {
        let [y, x] = affine.apply([row as f64, column as f64]);
        let (y, x) = (y.clamp(0.0, (height - 1) as f64), x.clamp(0.0, (width - 1) as f64));
        let (top, left) = (y.floor() as usize, x.floor() as usize);
        let (bottom, right) = ((top + 1).min(height - 1), (left + 1).min(width - 1));
        let at = |row: usize, column: usize| f64::from(pixels.data[(row * width + column) * 3 + channel]);
        let (fy, fx) = (y.fract(), x.fract());
        (1.0 - fy) * ((1.0 - fx) * at(top, left) + fx * at(top, right))
            + fy * ((1.0 - fx) * at(bottom, left) + fx * at(bottom, right))
    };
    (0..width * height).flat_map(|i| [0, 1, 2].map(|channel| value(i / width, i % width, channel))).collect()
}

proptest! {
    #[test]
    fn brightness_is_a_product(pixels in picture(), factor in 0.0..3.0) {
        let plain = of_values(&pixels, |value| factor * value);
        agree(&changed(&pixels, |p| tone::brightness(p, factor)), &plain, ROUNDED)?;
    }

    #[test]
    fn contrast_is_the_distance_from_the_mean(pixels in picture(), factor in 0.0..3.0) {
        let lumas = pixels.data.chunks(3).map(|pixel| plain_luma([pixel[0], pixel[1], pixel[2]].map(f64::from)));
        let mean = (lumas.sum::<f64>() / (pixels.width * pixels.height) as f64).round();
        let plain = of_values(&pixels, |value| mean + factor * (value - mean));
        agree(&changed(&pixels, |p| tone::contrast(p, factor)), &plain, ROUNDED)?;
    }

    #[test]
    fn saturation_is_the_distance_from_grey(pixels in picture(), factor in 0.0..3.0) {
        let plain = of_pixels(&pixels, |pixel| {
            let grey = plain_luma(pixel);
            pixel.map(|value| grey + factor * (value - grey))
        });
        agree(&changed(&pixels, |p| color::saturation(p, factor)), &plain, ROUNDED)?;
    }

    #[test]
    fn the_hue_turns_on_the_circle(pixels in picture(), shift in -0.5..=0.5) {
        let plain = of_pixels(&pixels, |pixel| plain_hue(pixel, shift));
        agree(&changed(&pixels, |p| color::hue(p, shift)), &plain, 0.51)?;
    }

    #[test]
    fn grey_is_the_luma(pixels in picture()) {
        let plain = of_pixels(&pixels, |pixel| [plain_luma(pixel); 3]);
        agree(&changed(&pixels, luma::grayscale), &plain, 0.0)?;
    }

    #[test]
    fn a_blur_is_a_gaussian(pixels in picture(), sigma in 0.05..4.0) {
        agree(&changed(&pixels, |p| blur::blur(p, sigma)), &plain_blur(&pixels, sigma), 0.53)?;
    }

    #[test]
    fn sharpness_is_the_distance_from_the_smooth(pixels in picture(), factor in 0.0..3.0) {
        agree(&changed(&pixels, |p| sharpness::sharpness(p, factor)), &plain_sharpness(&pixels, factor), ROUNDED)?;
    }

    #[test]
    fn posterize_keeps_the_highest_bits(pixels in picture(), bits in 0u32..=8) {
        let step = f64::from(1u32 << (8 - bits));
        let plain = of_values(&pixels, |value| (value / step).floor() * step);
        agree(&changed(&pixels, |p| tone::posterize(p, bits)), &plain, 0.0)?;
    }

    #[test]
    fn solarize_inverts_what_is_bright(pixels in picture(), threshold in 0.0..256.0) {
        let plain = of_values(&pixels, |value| if value >= threshold { 255.0 - value } else { value });
        agree(&changed(&pixels, |p| tone::solarize(p, threshold)), &plain, 0.0)?;
    }

    #[test]
    fn autocontrast_stretches_each_channel(pixels in picture()) {
        agree(&changed(&pixels, tone::autocontrast), &of_channels(&pixels, plain_autocontrast), ROUNDED)?;
    }

    #[test]
    fn equalize_makes_each_histogram_even(pixels in picture()) {
        agree(&changed(&pixels, tone::equalize), &of_channels(&pixels, plain_equalize), 0.0)?;
    }

    #[test]
    fn ops_that_move_pixels_are_maps(pixels in picture(), op in 1usize..=5, magnitude in 0usize..=30, reversed: bool) {
        let (op, size) = (OPS[op], [pixels.width, pixels.height]);
        for policy in [Policy::TrivialAugment, Policy::RandAugment(RandAugmentSettings::default())] {
            let drawn = Drawn { op, magnitude, reversed };
            let affine = policy::affine(op, policy.strength(drawn, size), size).expect("it moves pixels");
            // Positions are rounded to 1/128 pixel on each axis.
            agree(&policy.perform(pixels.clone(), drawn, Fill::Nearest), &plain_warp(&pixels, &affine), 2.6)?;
        }
    }

    #[test]
    fn each_op_of_a_policy_is_the_op(pixels in picture(), op in 0usize..14, magnitude in 0usize..=30, reversed: bool) {
        let drawn = Drawn { op: OPS[op], magnitude, reversed };
        let strength = Policy::TrivialAugment.strength(drawn, [pixels.width, pixels.height]);
        let expected = match drawn.op {
            Op::Identity => pixels.clone(),
            Op::Brightness => changed(&pixels, |p| tone::brightness(p, 1.0 + strength)),
            Op::Color => changed(&pixels, |p| color::saturation(p, 1.0 + strength)),
            Op::Contrast => changed(&pixels, |p| tone::contrast(p, 1.0 + strength)),
            Op::Sharpness => changed(&pixels, |p| sharpness::sharpness(p, 1.0 + strength)),
            Op::Posterize => changed(&pixels, |p| tone::posterize(p, strength as u32)),
            Op::Solarize => changed(&pixels, |p| tone::solarize(p, strength)),
            Op::AutoContrast => changed(&pixels, tone::autocontrast),
            Op::Equalize => changed(&pixels, tone::equalize),
            Op::ShearX | Op::ShearY | Op::TranslateX | Op::TranslateY | Op::Rotate => return Ok(()),
        };
        prop_assert_eq!(Policy::TrivialAugment.perform(pixels, drawn, Fill::Nearest), expected);
    }

    #[test]
    fn jitter_is_its_three_changes_in_some_order(
        pixels in picture(), seed: u64, contrast in 0.0..=1.0, saturation in 0.0..=1.0, hue in 0.0..=0.5,
    ) {
        let settings = ColorSettings { contrast, saturation, hue };
        let jittered = changed(&pixels, |p| color::jitter(p, &settings, &mut random::stream(seed, "test", &[])));
        let mut random = random::stream(seed, "test", &[]);
        let factors = [contrast, saturation].map(|range| 1.0 - range + 2.0 * range * random.uniform());
        let shift = hue * (2.0 * random.uniform() - 1.0);
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let in_order = |order: &[usize; 3]| changed(&pixels, |p| order.iter().for_each(|change| match change {
            0 => tone::contrast(p, factors[0]),
            1 => color::saturation(p, factors[1]),
            _ => color::hue(p, shift),
        }));
        let near = |other: &Pixels| std::iter::zip(&other.data, &jittered.data).all(|(a, b)| a.abs_diff(*b) <= 1);
        prop_assert!(orders.iter().any(|order| near(&in_order(order))));
    }
}

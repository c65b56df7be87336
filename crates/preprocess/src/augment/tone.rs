//! Ops that give each value of a channel another one, wherever it stands: tables of 256 entries.
//!
//! Formulas are Pillow's (`ImageEnhance`, `ImageOps`), by which torchvision's ops go too. Where Pillow drops what lies
//! behind the point, values are rounded here.

use super::luma::mean_luma;
use crate::image::Pixels;

/// A value for each value.
type Table = [u8; 256];

fn table(of: impl Fn(u8) -> u8) -> Table {
    std::array::from_fn(|value| of(value as u8))
}

/// Rounded, and kept within a byte's range.
#[inline(always)]
pub(super) fn to_byte(value: f32) -> u8 {
    // The cast cuts off below 0 and above 255.
    (value + 0.5) as u8
}

fn apply(pixels: &mut Pixels, [red, green, blue]: [&Table; 3]) {
    for [r, g, b] in pixels.data.as_chunks_mut().0 {
        [*r, *g, *b] = [red[usize::from(*r)], green[usize::from(*g)], blue[usize::from(*b)]];
    }
}

/// Every value times `factor`.
pub(super) fn brightness(pixels: &mut Pixels, factor: f64) {
    let factor = factor as f32;
    apply(pixels, [&table(|value| to_byte(f32::from(value) * factor)); 3]);
}

/// `factor` times as far from the mean luma.
pub(super) fn contrast(pixels: &mut Pixels, factor: f64) {
    let (factor, mean) = (factor as f32, f32::from(mean_luma(pixels)));
    apply(pixels, [&table(|value| to_byte(mean + factor * (f32::from(value) - mean))); 3]);
}

/// Only the highest `bits` bits of each value stay, 0 to 8 of them.
pub(super) fn posterize(pixels: &mut Pixels, bits: u32) {
    let mask = !(0xff_u16 >> bits.min(8)) as u8;
    apply(pixels, [&table(|value| value & mask); 3]);
}

/// Values of `threshold` and above are inverted.
pub(super) fn solarize(pixels: &mut Pixels, threshold: f64) {
    apply(pixels, [&table(|value| if f64::from(value) < threshold { value } else { 255 - value }); 3]);
}

/// How often each value occurs in each channel.
fn histograms(pixels: &Pixels) -> [[u32; 256]; 3] {
    let mut counts = [[0; 256]; 3];
    for pixel in pixels.data.as_chunks::<3>().0 {
        for (counts, &value) in counts.iter_mut().zip(pixel) {
            counts[usize::from(value)] += 1;
        }
    }
    counts
}

fn each_channel(pixels: &mut Pixels, of: impl Fn(&[u32; 256]) -> Table) {
    let [red, green, blue] = histograms(pixels).each_ref().map(of);
    apply(pixels, [&red, &green, &blue]);
}

/// Each channel stretched until its least value is 0 and its greatest 255; a channel of one value stays.
pub(super) fn autocontrast(pixels: &mut Pixels) {
    each_channel(pixels, |counts| {
        let used = |value: &usize| counts[*value] > 0;
        let (least, greatest) = ((0..256).find(used).unwrap_or(0), (0..256).rfind(used).unwrap_or(0));
        let (least, range) = (least as f32, greatest as f32 - least as f32);
        table(|value| if range > 0.0 { to_byte((f32::from(value) - least) * 255.0 / range) } else { value })
    });
}

/// Each channel's histogram made even, as `PIL.ImageOps.equalize` does it, in whole numbers.
pub(super) fn equalize(pixels: &mut Pixels) {
    each_channel(pixels, |counts| {
        let total: u32 = counts.iter().sum();
        let last = counts.iter().rfind(|&&count| count > 0).copied().unwrap_or(0);
        let step = (total - last) / 255;
        if step == 0 {
            return table(|value| value);
        }
        let mut below = step / 2;
        counts.map(|count| {
            let value = (below / step).min(255);
            below += count;
            value as u8
        })
    });
}

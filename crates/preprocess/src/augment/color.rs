//! Contrast, saturation and hue: torchvision's `ColorJitter`, whose brightness is a key of its own and the warp's part.

use super::luma::luma;
use super::tone::{contrast, to_byte};
use crate::image::Pixels;
use crate::pipeline::ColorSettings;
use crate::stage::random::Random;

/// One change of colour, with what was drawn for it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    Contrast(f64),
    Saturation(f64),
    Hue(f64),
}

/// Changes the colours by factors and a shift from `random`, in an order that is drawn too: which comes first shows
/// where values end at black or white.
pub(super) fn jitter(pixels: &mut Pixels, settings: &ColorSettings, random: &mut Random) {
    let mut factor = |range: f64| random.range(1.0 - range, 1.0 + range);
    let (by_contrast, by_saturation) = (factor(settings.contrast), factor(settings.saturation));
    let shift = random.range(-settings.hue, settings.hue);
    let mut changes = [Change::Contrast(by_contrast), Change::Saturation(by_saturation), Change::Hue(shift)];
    random.shuffle(&mut changes);
    for change in changes {
        match change {
            Change::Contrast(factor) if factor != 1.0 => contrast(pixels, factor),
            Change::Saturation(factor) if factor != 1.0 => saturation(pixels, factor),
            Change::Hue(shift) if shift != 0.0 => hue(pixels, shift),
            _ => {}
        }
    }
}

/// Every value `factor` times as far from its pixel's luma (`PIL.ImageEnhance.Color`).
pub(super) fn saturation(pixels: &mut Pixels, factor: f64) {
    let factor = factor as f32;
    for pixel in pixels.data.as_chunks_mut::<3>().0 {
        let grey = f32::from(luma(*pixel));
        *pixel = pixel.map(|value| to_byte(grey + factor * (f32::from(value) - grey)));
    }
}

/// Turns the hue, in HSV, by a part of the colour circle (torchvision's `adjust_hue`): 1/3 makes green of red.
pub(super) fn hue(pixels: &mut Pixels, shift: f64) {
    // In sixths of the circle, from 0 to 6.
    let shift = (6.0 * shift.rem_euclid(1.0)) as f32;
    for pixel in pixels.data.as_chunks_mut::<3>().0 {
        *pixel = with_hue_turned(*pixel, shift);
    }
}

/// A channel stays at the pixel's greatest value over a third of the circle, falls to the least over a sixth, stays
/// there over a third and rises over a sixth.
#[inline(always)]
fn with_hue_turned([red, green, blue]: [u8; 3], shift: f32) -> [u8; 3] {
    let greatest = red.max(green).max(blue);
    let range = f32::from(greatest - red.min(green).min(blue));
    let [r, g, b] = [red, green, blue].map(f32::from);
    let part = if range > 0.0 { 1.0 / range } else { 0.0 };
    let hue = match greatest {
        most if most == red => (g - b) * part,
        most if most == green => (b - r) * part + 2.0,
        _ => (r - g) * part + 4.0,
    };
    let turned = hue + shift;
    [5.0, 3.0, 1.0].map(|start| {
        // The hue is from -1 to 5, so this is from 0 to 16.
        let around = turned + start;
        let around = if around >= 12.0 { around - 12.0 } else { around };
        let around = if around >= 6.0 { around - 6.0 } else { around };
        to_byte(f32::from(greatest) - range * around.min(4.0 - around).clamp(0.0, 1.0))
    })
}

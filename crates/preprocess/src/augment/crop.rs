//! Which part of the original a copy shows: torchvision's `RandomResizedCrop`.
//!
//! The part is drawn in the original's pixels and taken from them, so that an enlarged detail is as sharp as the file
//! has it: `run` decodes an original once and takes the parts of all its copies. What comes after, the warp first,
//! works on the part.

use super::stream;
use crate::image::Area;
use crate::pipeline::CropSettings;
use crate::stage::random::Random;

/// How often a part is drawn that may be too wide or too high for the picture.
const TRIES: usize = 10;

/// The part of a picture of `width` x `height` pixels (as it is seen) that copy `copy` shows, in whole pixels.
/// Determined by its arguments alone.
pub(crate) fn crop(settings: &CropSettings, seed: u64, source: &str, copy: usize, [width, height]: [usize; 2]) -> Area {
    draw(settings, &mut stream("augment: crop", seed, source, copy), [width, height])
}

pub(super) fn draw(settings: &CropSettings, random: &mut Random, [width, height]: [usize; 2]) -> Area {
    let [low, high] = settings.aspect;
    for _ in 0..TRIES {
        let area = (width * height) as f64 * random.range(settings.area[0], settings.area[1]);
        let aspect = random.range(low.ln(), high.ln()).exp();
        let inner = [(area * aspect).sqrt(), (area / aspect).sqrt()].map(|side| side.round() as usize);
        if (1..=width).contains(&inner[0]) && (1..=height).contains(&inner[1]) {
            let top = random.below(height - inner[1] + 1);
            let left = random.below(width - inner[0] + 1);
            return area_of([left, top], inner);
        }
    }
    let inner = central([width, height], settings.aspect);
    area_of([(width - inner[0]) / 2, (height - inner[1]) / 2], inner)
}

/// The largest part in the middle whose ratio is possible.
fn central([width, height]: [usize; 2], [low, high]: [f64; 2]) -> [usize; 2] {
    let (across, down) = (width as f64, height as f64);
    let side = |length: f64, most: usize| (length.round() as usize).clamp(1, most);
    match across / down {
        ratio if ratio < low => [width, side(across / low, height)],
        ratio if ratio > high => [side(down * high, width), height],
        _ => [width, height],
    }
}

fn area_of([left, top]: [usize; 2], [width, height]: [usize; 2]) -> Area {
    Area { left: left as f64, top: top as f64, width: width as f64, height: height as f64 }
}

/// The least width and height, in pixels, at which the whole picture has to be decoded for every possible part to be at
/// least as large as the `target`. It follows from the settings and the picture alone, not from what is drawn: a copy's
/// pixels do not change with the number of copies.
pub(crate) fn least_size(settings: &CropSettings, [width, height]: [usize; 2], target: [usize; 2]) -> [usize; 2] {
    let (across, down) = (width as f64, height as f64);
    let [low, high] = settings.aspect;
    let area = settings.area[0] * across * down;
    let narrowest = (area * low).sqrt().min(down * high).min(across).max(1.0);
    let lowest = (area / high).sqrt().min(across / low).min(down).max(1.0);
    let times = |side: usize, target: usize, part: f64| (target as f64 * side as f64 / part).ceil() as usize;
    [times(width, target[0], narrowest), times(height, target[1], lowest)]
}

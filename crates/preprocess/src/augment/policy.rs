//! RandAugment (Cubuk et al. 2020) and TrivialAugment (Müller and Hutter 2021), with torchvision's lists of ops and
//! scales of strength (`RandAugment`, `TrivialAugmentWide`).
//!
//! Ops that move pixels go through the warp: they interpolate, and what lies outside is the settings' `fill`, where
//! torchvision takes the nearest pixel and black unless told otherwise.

use super::affine::Affine;
use super::color::saturation;
use super::sharpness::sharpness;
use super::tone::{autocontrast, brightness, contrast, equalize, posterize, solarize};
use super::transform::Transform;
use super::warp::warp;
use super::{rotation, stream};
use crate::image::Pixels;
use crate::pipeline::limits::MAGNITUDE;
use crate::pipeline::{AugmentSettings, Fill, RandAugmentSettings};
use crate::stage::random::Random;

/// The highest magnitude, that of an op's full strength.
const MAGNITUDES: usize = *MAGNITUDE.end();

/// The ops of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

/// In torchvision's order.
pub(super) const OPS: [Op; 14] = [
    Op::Identity,
    Op::ShearX,
    Op::ShearY,
    Op::TranslateX,
    Op::TranslateY,
    Op::Rotate,
    Op::Brightness,
    Op::Color,
    Op::Contrast,
    Op::Sharpness,
    Op::Posterize,
    Op::Solarize,
    Op::AutoContrast,
    Op::Equalize,
];

/// Which ops follow one another, and how strong they may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// Some ops, all of one strength.
    RandAugment(RandAugmentSettings),
    /// One op of any strength, of a wider scale.
    TrivialAugment,
}

/// One op with all that was drawn for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drawn {
    pub op: Op,
    /// 0 to 30.
    pub magnitude: usize,
    /// The other way round, where the op has two.
    pub reversed: bool,
}

impl Policy {
    /// The one that the settings ask for; `check` refuses both at once.
    pub(super) fn of(settings: &AugmentSettings) -> Option<Self> {
        let trivial = settings.trivial_augment.then_some(Self::TrivialAugment);
        settings.rand_augment.map(Self::RandAugment).or(trivial)
    }

    /// Puts the drawn ops upon a copy.
    pub(super) fn apply(&self, pixels: Pixels, fill: Fill, seed: u64, source: &str, copy: usize) -> Pixels {
        let mut random = stream("augment: policy", seed, source, copy);
        self.draw(&mut random).into_iter().fold(pixels, |pixels, drawn| self.perform(pixels, drawn, fill))
    }

    /// Ops may come twice, and each is as likely. Each takes three draws, whatever it needs.
    pub(super) fn draw(&self, random: &mut Random) -> Vec<Drawn> {
        let ops = if let Self::RandAugment(settings) = self { settings.ops } else { 1 };
        let mut one = || {
            let (op, any) = (OPS[random.below(OPS.len())], random.below(MAGNITUDES + 1));
            let magnitude = if let Self::RandAugment(settings) = self { settings.magnitude } else { any };
            Drawn { op, magnitude, reversed: random.coin() }
        };
        (0..ops).map(|_| one()).collect()
    }

    /// One op.
    pub(super) fn perform(&self, mut pixels: Pixels, drawn: Drawn, fill: Fill) -> Pixels {
        let strength = self.strength(drawn, [pixels.width, pixels.height]);
        if let Some(affine) = affine(drawn.op, strength, [pixels.width, pixels.height]) {
            return warp(&pixels, &Transform { affine, brightness: 1.0 }, fill);
        }
        match drawn.op {
            Op::Brightness => brightness(&mut pixels, 1.0 + strength),
            Op::Color => saturation(&mut pixels, 1.0 + strength),
            Op::Contrast => contrast(&mut pixels, 1.0 + strength),
            Op::Sharpness => sharpness(&mut pixels, 1.0 + strength),
            Op::Posterize => posterize(&mut pixels, strength as u32),
            Op::Solarize => solarize(&mut pixels, strength),
            Op::AutoContrast => autocontrast(&mut pixels),
            Op::Equalize => equalize(&mut pixels),
            Op::Identity | Op::ShearX | Op::ShearY | Op::TranslateX | Op::TranslateY | Op::Rotate => {}
        }
        pixels
    }

    /// What an op's magnitude means for a picture of that size: columns a row or rows a column, pixels, degrees, what
    /// is added to a factor of 1, bits that stay, or the least value that is inverted.
    pub(super) fn strength(&self, drawn: Drawn, [width, height]: [usize; 2]) -> f64 {
        let wide = *self == Self::TrivialAugment;
        let part = drawn.magnitude as f64 / MAGNITUDES as f64;
        let upto = |narrow: f64, most: f64| if wide { most * part } else { narrow * part };
        // Whole pixels: up to 150 of 331, the side of the paper's pictures.
        let pixels = |side: usize| {
            let (most, of) = if wide { (32, 1) } else { (150 * side, 331) };
            (most * drawn.magnitude / (of * MAGNITUDES)) as f64
        };
        let strength = match drawn.op {
            Op::ShearX | Op::ShearY => upto(0.3, 0.99),
            Op::TranslateX => pixels(width),
            Op::TranslateY => pixels(height),
            Op::Rotate => upto(30.0, 135.0),
            Op::Brightness | Op::Color | Op::Contrast | Op::Sharpness => upto(0.9, 0.99),
            Op::Posterize => return 8.0 - upto(4.0, 6.0).round(),
            Op::Solarize => return 255.0 * (1.0 - part),
            Op::Identity | Op::AutoContrast | Op::Equalize => return 0.0,
        };
        if drawn.reversed { -strength } else { strength }
    }
}

/// From the result to the picture, of the ops that move pixels. Shears hold the upper left corner.
pub(super) fn affine(op: Op, strength: f64, [width, height]: [usize; 2]) -> Option<Affine> {
    // Between the corner and the centre of the first pixel lies half a pixel.
    let half = 0.5 * strength;
    Some(match op {
        Op::ShearX => Affine { matrix: [[1.0, 0.0], [strength, 1.0]], translation: [0.0, half] },
        Op::ShearY => Affine { matrix: [[1.0, strength], [0.0, 1.0]], translation: [half, 0.0] },
        Op::TranslateX => Affine::translation(0.0, -strength),
        Op::TranslateY => Affine::translation(-strength, 0.0),
        // Anticlockwise.
        Op::Rotate => rotation::rotation(-strength).about_centre(width, height),
        _ => return None,
    })
}

//! The keys of `preprocess.augment`: what makes a copy of a training image differ from it.
//!
//! A key that came later than the first ones is written only where it is given: data sets of before keep their
//! fingerprints.

use super::check::Checks;
use super::copies::Copies;
use super::limits::{ASPECT, MAGNITUDE, OPS, SIGMA};
use super::problem::KeyPath;
use serde::{Deserialize, Serialize};

/// What is drawn anew for every copy: first Keras' `ImageDataGenerator` settings, then those of torchvision's
/// transforms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentSettings {
    /// Augmented copies of every training image (copy 0, the image itself, comes on top). Default 0.
    pub copies: Copies,
    /// Degrees: drawn from [-rotation, rotation]. Default 0.
    pub rotation: f64,
    /// Fractions of width and height: each drawn from [-shift, shift]. Default [0, 0].
    pub shift: [f64; 2],
    /// Degrees: drawn from [-shear, shear]. Default 0.
    pub shear: f64,
    /// Each axis' factor is drawn from [1 - zoom, 1 + zoom]. Default 0.
    pub zoom: f64,
    /// The brightness factor is drawn from [low, high]. Default [1, 1].
    pub brightness: [f64; 2],
    /// Mirrors every second image, on average. Default false.
    pub horizontal_flip: bool,
    /// What lies outside the image. Default `nearest`.
    pub fill: Fill,
    /// A part of the original in place of the whole. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random_resized_crop: Option<CropSettings>,
    /// Some ops of a list, drawn for each copy, of one strength. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rand_augment: Option<RandAugmentSettings>,
    /// One op of a list for each copy, of a strength that is drawn too. Default false.
    #[serde(skip_serializing_if = "is_false")]
    pub trivial_augment: bool,
    /// Contrast, saturation and hue. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<ColorSettings>,
    /// The probability that a copy is grey. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub grayscale: f64,
    /// Gaussian blur. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blur: Option<BlurSettings>,
}

/// What lies outside the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fill {
    /// The nearest edge pixel: `aaaa|abcd|dddd`.
    #[default]
    Nearest,
    /// Black.
    Constant,
    /// Mirrored, the edge pixel repeated: `dcba|abcd|dcba`.
    Reflect,
    /// Repeated: `abcd|abcd|abcd`.
    Wrap,
}

/// Which part of the original a copy shows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CropSettings {
    /// The crop's part of the original's pixels is drawn from [least, most]. Default [0.5, 1].
    pub area: [f64; 2],
    /// Its ratio of width to height is drawn from [low, high], on a logarithmic scale. Default [0.75, 1.3333].
    pub aspect: [f64; 2],
}

/// RandAugment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandAugmentSettings {
    /// Ops one after another. Default 2.
    pub ops: usize,
    /// Their strength, 0 to 30. Default 9.
    pub magnitude: usize,
}

/// How far colours change.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColorSettings {
    /// The contrast's factor is drawn from [1 - contrast, 1 + contrast]. Default 0.
    pub contrast: f64,
    /// The saturation's factor is drawn from [1 - saturation, 1 + saturation]. Default 0.
    pub saturation: f64,
    /// Parts of the colour circle: the hue's shift is drawn from [-hue, hue]. Default 0.
    pub hue: f64,
}

/// How often and how much a copy is blurred.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlurSettings {
    /// The probability.
    pub probability: f64,
    /// The Gaussian's standard deviation, in pixels of the model's size, is drawn from [low, high]. Default [0.1, 2].
    #[serde(default = "default_sigma")]
    pub sigma: [f64; 2],
}

impl Default for AugmentSettings {
    fn default() -> Self {
        Self {
            copies: Copies::default(),
            rotation: 0.0,
            shift: [0.0; 2],
            shear: 0.0,
            zoom: 0.0,
            brightness: [1.0; 2],
            horizontal_flip: false,
            fill: Fill::default(),
            random_resized_crop: None,
            rand_augment: None,
            trivial_augment: false,
            color: None,
            grayscale: 0.0,
            blur: None,
        }
    }
}

impl Default for CropSettings {
    fn default() -> Self {
        Self { area: [0.5, 1.0], aspect: [0.75, 1.3333] }
    }
}

impl Default for RandAugmentSettings {
    fn default() -> Self {
        Self { ops: 2, magnitude: 9 }
    }
}

fn default_sigma() -> [f64; 2] {
    [0.1, 2.0]
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

fn key(path: &[&str]) -> KeyPath {
    KeyPath::of(&[&["preprocess", "augment"], path].concat())
}

impl Checks {
    /// The settings that have sections of their own, and `grayscale`.
    pub(super) fn augment_in_sections(&mut self, augment: &AugmentSettings) {
        if let Some(CropSettings { area, aspect }) = augment.random_resized_crop {
            let must = "two parts of the original's area, above 0 and at most 1, the smaller first";
            self.between(&["random_resized_crop", "area"], area, area[0] > 0.0 && area[1] <= 1.0, must);
            let possible = ASPECT.contains(&aspect[0]) && ASPECT.contains(&aspect[1]);
            let (least, most) = (ASPECT.start(), ASPECT.end());
            let must = format!("two ratios of width to height from {least} to {most}, the lower first");
            self.between(&["random_resized_crop", "aspect"], aspect, possible, &must);
        }
        if let Some(RandAugmentSettings { ops, magnitude }) = augment.rand_augment {
            self.within(key(&["rand_augment", "ops"]), ops, OPS);
            self.within(key(&["rand_augment", "magnitude"]), magnitude, MAGNITUDE);
        }
        if let Some(ColorSettings { contrast, saturation, hue }) = augment.color {
            self.within(key(&["color", "contrast"]), contrast, 0.0..=1.0);
            self.within(key(&["color", "saturation"]), saturation, 0.0..=1.0);
            // Half a circle either way is all of it.
            let must = "from 0 to 0.5: it is a part of the colour circle, not degrees";
            self.require((0.0..=0.5).contains(&hue), key(&["color", "hue"]), hue, must);
        }
        self.chance(&["grayscale"], augment.grayscale);
        if let Some(BlurSettings { probability, sigma }) = augment.blur {
            self.chance(&["blur", "probability"], probability);
            let must = format!("two numbers of pixels above 0 and at most {SIGMA}, the lower first");
            self.between(&["blur", "sigma"], sigma, sigma[0] > 0.0 && sigma[1] <= SIGMA, &must);
        }
    }

    /// What no other setting goes with.
    pub(super) fn augment_combinations(&mut self, augment: &AugmentSettings) {
        self.one_policy(augment);
        if augment.copies == Copies::Fly && augment.random_resized_crop.is_some() {
            self.add(
                key(&["random_resized_crop"]),
                "`preprocess.augment.random_resized_crop` contradicts `preprocess.augment.copies: fly`: crops are taken from \
                 the originals' pixels, which training does not have"
                    .to_owned(),
                "set `copies` to a number, or use `zoom` and `shift` instead of crops",
            );
        }
    }

    /// Each of them alone is a whole recipe: torchvision takes one too.
    fn one_policy(&mut self, augment: &AugmentSettings) {
        if augment.rand_augment.is_some() && augment.trivial_augment {
            self.add(
                key(&["trivial_augment"]),
                "`preprocess.augment.trivial_augment` contradicts `preprocess.augment.rand_augment`: a copy follows one of them"
                    .to_owned(),
                "remove one of the two; `trivial_augment` has nothing to tune",
            );
        }
    }

    fn between(&mut self, path: &[&str], [low, high]: [f64; 2], possible: bool, must: &str) {
        self.require(possible && low <= high, key(path), format!("[{low}, {high}]"), must);
    }

    fn chance(&mut self, path: &[&str], value: f64) {
        self.require((0.0..=1.0).contains(&value), key(path), value, "a probability, from 0 to 1");
    }
}

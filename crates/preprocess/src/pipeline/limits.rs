//! The range of every number that is given to the programs, in a pipeline file, on a command line or in a file that
//! one run writes and another reads. Each end is where a value stops making sense, not where a machine gives up: what
//! lies beyond is a slip of the keyboard or a damaged file, and is refused before any work.

use super::problem::KeyPath;
use std::ops::RangeInclusive;

/// Pixels of either side of the images: four times what large networks take. With three channels an image has 50 MB at
/// most.
pub const IMAGE_SIDE: RangeInclusive<usize> = 1..=4096;
/// The part of an image's side that is kept: weights are trained with 0.8 to 1, and a tenth shows another picture.
pub const CROP_FRACTION: RangeInclusive<f64> = 0.1..=1.0;
/// Megabytes that images take while they are decoded.
pub const MEMORY: RangeInclusive<usize> = 50..=1_000_000;
/// [`MEMORY`] unless the user says otherwise. With what the programs need beside it they stay below 1.5 GB.
pub const DEFAULT_MEMORY: usize = 1000;
/// Folds of the images, each held back once: with one nothing is left to fit to, and of more than 20 each tells little.
pub(crate) const FOLDS: RangeInclusive<usize> = 2..=20;
/// [`FOLDS`] unless the user says otherwise: four fifths of the images are nearly as good to fit to as all.
pub(crate) const DEFAULT_FOLDS: usize = 5;
/// Augmented copies of each training image: names of shards have five digits.
pub(crate) const COPIES: RangeInclusive<usize> = 0..=1000;
/// Images a step.
pub const BATCH_SIZE: RangeInclusive<usize> = 1..=65_536;
/// Numbers (pixels times channels) of the images of one step: as floats 16 GiB, and a network's first maps are a
/// multiple of it.
pub(crate) const BATCH_NUMBERS: usize = 1 << 32;
/// Epochs of a model.
pub const EPOCHS: RangeInclusive<usize> = 1..=1_000_000;
/// Epochs without a better validation loss before training stops.
pub(crate) const PATIENCE: RangeInclusive<usize> = 1..=1_000_000;
/// Seeds: the whole numbers that every reader of JSON reads as they are (`config.json` and `manifest.json` hold them).
pub(crate) const SEED: RangeInclusive<u64> = 0..=(1 << 53) - 1;
/// The highest learning rate of Adam, whose steps are about as long as the rate: weights are around 0.1.
pub(crate) const LEARNING_RATE: f64 = 100.0;
/// The highest weight decay: times a learning rate of 0.01, this takes a weight away in one step.
pub(crate) const WEIGHT_DECAY: f64 = 100.0;
/// The highest norm that gradients are clipped to: beyond it nothing is clipped.
pub(crate) const CLIP_NORM: f64 = 1e6;
/// The highest τ: at 1 all classes are as important, beyond it the rare ones more.
pub(crate) const LOGIT_ADJUSTMENT: f64 = 10.0;
/// The highest alpha of mixed images: shares are within a hundredth of one half then.
pub(crate) const ALPHA: f64 = 1000.0;
/// How much one class may count more than it would.
pub(crate) const CLASS_WEIGHT: f64 = 1000.0;
/// How many times as long as the one before it a cycle of the learning rate is.
pub(crate) const RESTART_FACTOR: RangeInclusive<usize> = 1..=100;
/// The highest factor of brightness: it makes the darkest grey white.
pub(crate) const BRIGHTNESS: f64 = 255.0;
/// The most extreme ratio of a crop's width to its height, either way: no picture is so narrow.
pub(crate) const ASPECT: RangeInclusive<f64> = 0.01..=100.0;
/// The largest standard deviation of a blur, in pixels: a filter of 600.
pub(crate) const SIGMA: f64 = 100.0;
/// Ops that RandAugment puts one after another: the paper tries 1 to 5.
pub(crate) const OPS: RangeInclusive<usize> = 1..=20;
/// How strong they are, on the paper's scale.
pub(crate) const MAGNITUDE: RangeInclusive<usize> = 0..=30;
/// Stages of a network that are trained: no network has more.
pub(crate) const STAGES: RangeInclusive<usize> = 1..=100;
/// Worker threads: more than any machine has cores. Each costs memory for its stack and an image.
pub(crate) const THREADS: RangeInclusive<usize> = 1..=1024;
/// The number of a GPU.
pub(crate) const DEVICE: RangeInclusive<usize> = 0..=255;
/// Classes that `train predict --top` prints for an image.
pub const TOP: RangeInclusive<usize> = 1..=65_536;
/// The growth of the loss that a gate may allow, as a fraction of the baseline's.
pub(crate) const LOSS_TOLERANCE: RangeInclusive<f64> = 0.0..=1000.0;
/// Images that a gate may ask for.
pub(crate) const MINIMUM_IMAGES: RangeInclusive<usize> = 1..=100_000_000;
/// Steps that `train profile` measures.
pub const PROFILE_STEPS: RangeInclusive<usize> = 1..=100_000;

/// What a whole number of the pipeline file may be, in words.
pub(super) fn whole_number_in_words(key: &KeyPath) -> String {
    let range = match key.0.last().map(String::as_str) {
        Some("width" | "height") => &IMAGE_SIDE,
        Some("ops") => &OPS,
        Some("magnitude") => &MAGNITUDE,
        Some("folds") => &FOLDS,
        Some("memory") => &MEMORY,
        Some("batch_size") => &BATCH_SIZE,
        Some("epochs") => &EPOCHS,
        Some("patience") => &PATIENCE,
        Some("last") => &STAGES,
        Some("factor") => &RESTART_FACTOR,
        Some("minimum_images") => &MINIMUM_IMAGES,
        Some("seed") => return format!("a whole number from {} to {}", SEED.start(), SEED.end()),
        _ => return "a whole number, 0 or more".to_owned(),
    };
    format!("a whole number from {} to {}", range.start(), range.end())
}

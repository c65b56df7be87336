//! Every key of the pipeline file, with its default.

use super::augmentation::AugmentSettings;
use super::device::{DeviceChoice, Precision};
use super::limits::{DEFAULT_FOLDS, DEFAULT_MEMORY};
use super::model::ModelSettings;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// The pipeline's name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Where `shards/`, `models/<name>/` and `report/` go; `runs/<name>` unless given. Relative to the working
    /// directory.
    #[serde(default)]
    pub output: PathBuf,
    /// The first stage.
    pub preprocess: PreprocessSettings,
    /// The second stage.
    pub train: TrainSettings,
    /// The third stage.
    #[serde(default)]
    pub report: ReportSettings,
}

impl Pipeline {
    /// `<output>/shards`: what `preprocess` writes.
    pub fn shards_dir(&self) -> PathBuf {
        self.output.join("shards")
    }

    /// `<output>/models/<name>`: what `train` writes for one model.
    pub fn model_dir(&self, model: &str) -> PathBuf {
        self.output.join("models").join(model)
    }

    /// `<output>/report`: what `report` writes.
    pub fn report_dir(&self) -> PathBuf {
        self.output.join("report")
    }
}

/// Folders to shards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreprocessSettings {
    /// Class directories; or `train/`, `validation/` and `test/` holding class directories.
    pub source: PathBuf,
    /// The size that every image is brought to.
    #[serde(default)]
    pub image: ImageSettings,
    /// How images are divided into train, validation and test.
    #[serde(default)]
    pub split: SplitSettings,
    /// What the user says of single images: a CSV file with the columns `path` and `action`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrections: Option<PathBuf>,
    /// What happens to files that look like images and cannot be decoded.
    #[serde(default)]
    pub unreadable: Unreadable,
    /// Megabytes that reading, decoding and resizing images take at once, all threads together; an image that takes
    /// more is not read. Default 1000.
    #[serde(default = "default_memory")]
    pub memory: usize,
    /// Augmented copies of the training images.
    #[serde(default)]
    pub augment: AugmentSettings,
}

/// How a decoded image becomes pixels of the model's size. Travels with the model, so that new images are treated
/// alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageSettings {
    /// Pixels. Default 128.
    pub width: usize,
    /// Pixels. Default 128.
    pub height: usize,
    /// Default `stretch`.
    pub fit: Fit,
    /// The part of either side that is kept, in the middle: timm's `crop_pct`. Default 1.
    #[serde(skip_serializing_if = "is_whole")]
    pub crop_fraction: f64,
    /// Default `bilinear`.
    pub filter: Filter,
}

/// What happens when the aspect ratio differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The aspect ratio is given up.
    #[default]
    Stretch,
    /// The centre of the image is kept, what overhangs is cut off.
    Crop,
    /// The whole image is kept, black bars fill the rest.
    Pad,
}

/// The resampling filter, antialiased when shrinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// The nearest pixel.
    Nearest,
    /// A triangle of one pixel's radius.
    #[default]
    Bilinear,
    /// Catmull-Rom.
    Bicubic,
    /// Three lobes.
    Lanczos,
}

/// Fractions of the images of each class; the rest is the training split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SplitSettings {
    /// Default 0.2.
    pub validation: f64,
    /// Default 0.1.
    pub test: f64,
    /// Default 1.
    pub seed: u64,
    /// Default `together`.
    pub near_duplicates: NearDuplicates,
    /// A file in which the images' splits are kept for ever. Default: none.
    pub keep: Option<PathBuf>,
    /// Which images belong together: a regular expression with a group named `group`, searched in their paths, or a
    /// CSV file with the columns `path` and `group`. Default: none.
    pub group_by: Option<String>,
    /// The folds into which the audit divides the images, each held back once. Default 5.
    #[serde(skip_serializing_if = "is_usual_folds")]
    pub folds: usize,
}

/// Whether near-copies of an image may lie in different splits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NearDuplicates {
    /// Never: a group of near-copies goes into one split as a whole.
    #[default]
    Together,
    /// Yes, as a plain random split does. Scores come out flattered.
    Ignore,
}

/// What happens to a file that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unreadable {
    /// It is left out and listed in `rejected.csv`.
    #[default]
    Skip,
    /// The stage stops.
    Fail,
}

/// Shards to models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSettings {
    /// Determines initial weights, shuffling and dropout. Default 1.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Images a step. Default 32.
    #[serde(default = "default_batch_size")]
    pub batch_size: usize,
    /// What to compute on. Default `auto`. No part of what determines a model: a run may go on on another device.
    #[serde(default)]
    pub device: DeviceChoice,
    /// What convolutions compute with on a GPU. Default `tf32`.
    #[serde(default)]
    pub precision: Precision,
    /// Whether evidence for the report's audit is gathered once models are trained. Default true.
    #[serde(default = "default_audit")]
    pub audit: bool,
    /// Models by name, trained in this order.
    pub models: IndexMap<String, ModelSettings>,
}

/// Predictions to tables.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReportSettings {
    /// The regression gate. Default: none.
    pub gate: Option<GateSettings>,
}

/// The regression gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateSettings {
    /// A file that `report accept` writes and `report check` compares with.
    pub baseline: PathBuf,
    /// How much test accuracy a model may lose, as a fraction. Default 0.02.
    #[serde(default = "default_tolerance")]
    pub tolerance: f64,
    /// How much recall a class may lose, as a fraction. Default 0.1.
    #[serde(default = "default_class_tolerance")]
    pub class_tolerance: f64,
    /// By how much the test loss may grow, as a fraction of the baseline's. Default 0.2.
    #[serde(default = "default_loss_tolerance")]
    pub loss_tolerance: f64,
    /// The fewest test images that a model must share with the baseline. Default: half of the baseline's.
    #[serde(default)]
    pub minimum_images: Option<usize>,
    /// What becomes of a model of which the test images cannot tell whether it got worse. Default `pass`.
    #[serde(default)]
    pub undecidable: Undecidable,
}

/// What `report check` ends with when the test images cannot tell whether a model got worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Undecidable {
    /// Exit code 0, and a warning.
    #[default]
    Pass,
    /// Exit code 1.
    Fail,
}

impl Default for ImageSettings {
    fn default() -> Self {
        Self { width: 128, height: 128, fit: Fit::default(), crop_fraction: 1.0, filter: Filter::default() }
    }
}

/// Data sets and models of before the key keep their fingerprints.
fn is_whole(fraction: &f64) -> bool {
    *fraction == 1.0
}

/// As [`is_whole`].
fn is_usual_folds(folds: &usize) -> bool {
    *folds == DEFAULT_FOLDS
}

fn default_memory() -> usize {
    DEFAULT_MEMORY
}

impl Default for SplitSettings {
    fn default() -> Self {
        Self {
            validation: 0.2,
            test: 0.1,
            seed: 1,
            near_duplicates: NearDuplicates::default(),
            keep: None,
            group_by: None,
            folds: DEFAULT_FOLDS,
        }
    }
}

fn default_seed() -> u64 {
    1
}

fn default_audit() -> bool {
    true
}

fn default_batch_size() -> usize {
    32
}

fn default_tolerance() -> f64 {
    0.02
}

fn default_class_tolerance() -> f64 {
    0.1
}

fn default_loss_tolerance() -> f64 {
    0.2
}

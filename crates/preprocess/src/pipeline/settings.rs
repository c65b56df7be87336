//! Every key of the pipeline file, with its default.

use super::augmentation::AugmentSettings;
use super::device::{DeviceChoice, Precision};
use super::limits::DEFAULT_MEMORY;
use super::tune::Tune;
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageSettings {
    /// Pixels. Default 128.
    pub width: usize,
    /// Pixels. Default 128.
    pub height: usize,
    /// Default `stretch`.
    pub fit: Fit,
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
    /// Models by name, trained in this order.
    pub models: IndexMap<String, ModelSettings>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// Which network.
    pub architecture: Architecture,
    /// Weights to begin with: a safetensors file with the architecture's parameters under timm's names, or a name on the
    /// Hugging Face hub (`timm/tf_efficientnet_lite0.in1k`). Default: none; the first weights are random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<String>,
    /// What of a pretrained network is trained. Default `head`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tune: Option<Tune>,
    /// The backbone's learning rate as a fraction of the head's. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backbone_rate: Option<f64>,
    /// What each stage's learning rate is of that of the stage above. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer_decay: Option<f64>,
    /// Train on the augmented copies, as `copies` says. Default false: copy 0, the images themselves.
    #[serde(default)]
    pub augmented: bool,
    /// Which copies an epoch of an augmented model sees. Default `mixed`.
    #[serde(default)]
    pub copies: CopyOrder,
    /// The most epochs. Default 10.
    #[serde(default = "default_epochs")]
    pub epochs: usize,
    /// Stop when the validation loss no longer improves. Default: never.
    #[serde(default)]
    pub early_stopping: Option<EarlyStopping>,
    /// Adam's learning rate; the highest one where a schedule changes it. Default 0.001.
    #[serde(default = "default_learning_rate")]
    pub learning_rate: f64,
    /// How the learning rate changes from step to step. Default `constant`.
    #[serde(default)]
    pub schedule: Schedule,
    /// Epochs over which the learning rate first rises, in even steps, to its full value. Default 0.
    #[serde(default)]
    pub warmup_epochs: f64,
    /// Decoupled weight decay (AdamW, Loshchilov and Hutter 2019) of convolution kernels and dense matrices: each step
    /// takes away this fraction of a weight times the learning rate. Default 0.
    #[serde(default)]
    pub weight_decay: f64,
    /// What part of the target probability is spread evenly over all classes (Szegedy et al. 2016). Default 0.
    #[serde(default)]
    pub label_smoothing: f64,
    /// Decay of an exponential moving average of all parameters, which is what is validated and kept; 0 keeps none.
    /// Default 0.999.
    #[serde(default = "default_ema_decay")]
    pub ema_decay: f64,
}

impl ModelSettings {
    /// A model with every default.
    pub fn new(architecture: Architecture) -> Self {
        Self {
            architecture,
            pretrained: None,
            tune: None,
            backbone_rate: None,
            layer_decay: None,
            augmented: false,
            copies: CopyOrder::default(),
            epochs: default_epochs(),
            early_stopping: None,
            learning_rate: default_learning_rate(),
            schedule: Schedule::default(),
            warmup_epochs: 0.0,
            weight_decay: 0.0,
            label_smoothing: 0.0,
            ema_decay: default_ema_decay(),
        }
    }
}

/// What only a pretrained network has.
impl ModelSettings {
    /// What is trained: everything, unless the weights are pretrained and the settings do not say otherwise.
    pub fn tuned(&self) -> Tune {
        match self.pretrained {
            Some(_) => self.tune.unwrap_or(Tune::Head),
            None => Tune::All,
        }
    }

    /// The learning rate of a parameter, as a fraction of the head's, whose stage lies so many below the head.
    pub fn rate_at(&self, stages_below: usize) -> f64 {
        match (&self.pretrained, stages_below) {
            (None, _) | (_, 0) => 1.0,
            (Some(_), below) => {
                let decay = self.layer_decay.unwrap_or(DEFAULT_LAYER_DECAY);
                self.backbone_rate.unwrap_or(DEFAULT_BACKBONE_RATE) * decay.powi(below as i32 - 1)
            }
        }
    }
}

/// Of `backbone_rate`: docs/train.md has the measurements.
const DEFAULT_BACKBONE_RATE: f64 = 1.0;

/// Of `layer_decay`.
const DEFAULT_LAYER_DECAY: f64 = 1.0;

/// Which copy of each training image an epoch of an augmented model sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CopyOrder {
    /// Epoch `e` (from 0) sees copy `1 + e mod copies` of all images.
    Cycle,
    /// Every image goes through its copies, itself (copy 0) among them, beginning at one of its own: an epoch sees all
    /// copies.
    #[default]
    Mixed,
}

/// How the learning rate changes from step to step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Not at all.
    #[default]
    Constant,
    /// Falls to 0 at the last of `epochs` along half a cosine (Loshchilov and Hutter 2017, without restarts).
    Cosine,
}

/// The networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// Five convolutions with max pooling, a dense layer of 128, dropout.
    BaselineCnn,
    /// A 7x7 stem and two pre-activation residual units.
    Resnet,
    /// ResNet-18, as torchvision and timm build it.
    Resnet18,
    /// ResNet-34, likewise.
    Resnet34,
    /// ResNet-50, likewise, the stride of a bottleneck in its 3x3 convolution.
    Resnet50,
    /// EfficientNet-Lite0, as timm's `tf_efficientnet_lite0`.
    #[serde(rename = "efficientnet-lite0")]
    EfficientnetLite0,
    /// MobileNetV4-Conv-S, as timm builds it.
    #[serde(rename = "mobilenetv4-conv-small")]
    Mobilenetv4ConvSmall,
}

impl Architecture {
    /// As in the pipeline file.
    pub fn name(self) -> &'static str {
        match self {
            Self::BaselineCnn => "baseline-cnn",
            Self::Resnet => "resnet",
            Self::Resnet18 => "resnet18",
            Self::Resnet34 => "resnet34",
            Self::Resnet50 => "resnet50",
            Self::EfficientnetLite0 => "efficientnet-lite0",
            Self::Mobilenetv4ConvSmall => "mobilenetv4-conv-small",
        }
    }
}

/// When to stop early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Epochs without a better validation loss.
    pub patience: usize,
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
        Self { width: 128, height: 128, fit: Fit::default(), filter: Filter::default() }
    }
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
        }
    }
}

fn default_seed() -> u64 {
    1
}

fn default_batch_size() -> usize {
    32
}

fn default_epochs() -> usize {
    10
}

fn default_learning_rate() -> f64 {
    1e-3
}

fn default_ema_decay() -> f64 {
    0.999
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

//! The settings of one model.

use super::recipe::{ClassWeights, CutMix, MixUp, OptimizerChoice, RandomErasing, Restarts, Sampler};
use super::tune::Tune;
use serde::{Deserialize, Serialize};

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
    /// What moves the weights. Default `adam`.
    #[serde(default)]
    pub optimizer: OptimizerChoice,
    /// What part of its last change a weight goes on with, under `sgd`. Default 0.9.
    #[serde(default = "default_momentum")]
    pub momentum: f64,
    /// The optimiser's learning rate; the highest one where a schedule changes it. Default 0.001.
    #[serde(default = "default_learning_rate")]
    pub learning_rate: f64,
    /// How the learning rate changes from step to step. Default `constant`.
    #[serde(default)]
    pub schedule: Schedule,
    /// Begin a cosine anew now and then. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<Restarts>,
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
    /// The largest norm of all gradients together: where it is more, they are scaled down to it; 0 leaves them. Default
    /// 0.
    #[serde(default)]
    pub clip_norm: f64,
    /// How much an image of each class counts in the loss. Default: all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
    /// Which images an epoch shows. Default `shuffled`.
    #[serde(default)]
    pub sampler: Sampler,
    /// τ of the logit adjustment (Menon et al. 2021): the logarithm of each class' frequency, times this, is added to its
    /// logit while training. Default 0.
    #[serde(default)]
    pub logit_adjustment: f64,
    /// Images of a batch blended with one another (Zhang et al. 2018). Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mixup: Option<MixUp>,
    /// Rectangles of images put into one another (Yun et al. 2019). Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cutmix: Option<CutMix>,
    /// Rectangles painted over (Zhong et al. 2020). Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random_erasing: Option<RandomErasing>,
    /// Predict with the mean of the probabilities of each image and of its mirror image. Default false.
    #[serde(default)]
    pub test_flip: bool,
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
            optimizer: OptimizerChoice::default(),
            momentum: default_momentum(),
            learning_rate: default_learning_rate(),
            schedule: Schedule::default(),
            restarts: None,
            warmup_epochs: 0.0,
            weight_decay: 0.0,
            label_smoothing: 0.0,
            clip_norm: 0.0,
            class_weights: None,
            sampler: Sampler::default(),
            logit_adjustment: 0.0,
            mixup: None,
            cutmix: None,
            random_erasing: None,
            test_flip: false,
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

fn default_epochs() -> usize {
    10
}

fn default_learning_rate() -> f64 {
    1e-3
}

fn default_ema_decay() -> f64 {
    0.999
}

fn default_momentum() -> f64 {
    0.9
}

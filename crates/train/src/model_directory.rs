//! A model on disk: `model.safetensors`, `config.json`, `preprocessor_config.json`, `history.csv`, `timings.csv`,
//! `predictions-<split>.parquet`, `checkpoint/`.

use preprocess::Result;
use preprocess::pipeline::{Architecture, ImageSettings, ModelSettings};
use std::path::Path;

/// `config.json`: all that is needed, beside the weights, to use the model on a raw image. Also written under timm's root
/// keys (`num_classes`, `label_names`, …).
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Config {
    /// Which network.
    pub architecture: Architecture,
    /// Number of classes.
    pub num_classes: usize,
    /// Class names in the order of the logits.
    pub label_names: Vec<String>,
    /// How a raw image becomes the network's input.
    pub image: ImageSettings,
    /// Parameters that the optimiser changes.
    pub trainable_parameters: usize,
    /// Parameters that it does not: moving means and variances.
    pub non_trainable_parameters: usize,
    /// The epoch (from 1) whose weights these are: the one with the lowest validation loss.
    pub best_epoch: usize,
    /// The model's section of the pipeline file.
    pub settings: ModelSettings,
    /// Fingerprint of the data set it was trained on.
    pub dataset_fingerprint: String,
}

impl Config {
    /// Reads `config.json` of a model's directory.
    ///
    /// # Errors
    /// Missing or malformed.
    pub fn read(model_directory: &Path) -> Result<Self> {
        let _ = model_directory;
        unimplemented!()
    }
}

//! `history.csv` (what each epoch scored; reproducible to the bit) and `timings.csv` (how long it took).

use preprocess::Result;
use std::path::Path;

/// Scores of one epoch.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EpochScores {
    /// From 1.
    pub epoch: usize,
    /// Mean cross-entropy over the training images as they were seen (augmented, dropout on), in nats.
    pub loss: f64,
    /// Fraction of the training images classified rightly as they were seen.
    pub accuracy: f64,
    /// Mean cross-entropy over the validation split after the epoch, in nats.
    pub validation_loss: f64,
    /// Fraction of the validation split classified rightly after the epoch.
    pub validation_accuracy: f64,
    /// The optimiser's learning rate.
    pub learning_rate: f64,
}

/// Duration of one epoch.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EpochTiming {
    /// From 1.
    pub epoch: usize,
    /// Seconds of training and validation.
    pub seconds: f64,
    /// Training images a second, validation left out.
    pub images_per_second: f64,
}

/// Reads `history.csv` of a model's directory.
///
/// # Errors
/// The file is missing or malformed.
pub fn read_scores(model_directory: &Path) -> Result<Vec<EpochScores>> {
    let _ = model_directory;
    unimplemented!()
}

/// Reads `timings.csv` of a model's directory.
///
/// # Errors
/// The file is missing or malformed.
pub fn read_timings(model_directory: &Path) -> Result<Vec<EpochTiming>> {
    let _ = model_directory;
    unimplemented!()
}

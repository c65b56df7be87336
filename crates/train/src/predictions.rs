//! `predictions-<split>.parquet`: one row an image, each image exactly once, un-augmented.
//!
//! Columns: `path: string`, `label: int64`, `prediction: int64`, `probabilities: list<float32>` (in the order of the
//! classes, which the schema metadata names the Hugging Face way).

use preprocess::Result;
use std::path::Path;

/// One image's prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Path relative to the source directory.
    pub path: String,
    /// Index of the true class.
    pub label: usize,
    /// Index of the most probable class.
    pub prediction: usize,
    /// Softmax of the logits; one for every class.
    pub probabilities: Vec<f32>,
}

/// All predictions of one model on one split.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// Class names in the order of the labels.
    pub classes: Vec<String>,
    /// In the order of the data set.
    pub rows: Vec<Prediction>,
}

impl Predictions {
    /// Reads a predictions file.
    ///
    /// # Errors
    /// Missing, truncated, or of another schema.
    pub fn read(file: &Path) -> Result<Self> {
        let _ = file;
        unimplemented!()
    }

    /// Writes a predictions file: to a temporary name, then renamed.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&self, file: &Path) -> Result<()> {
        let _ = file;
        unimplemented!()
    }
}

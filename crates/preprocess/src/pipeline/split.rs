//! The parts that a data set is divided into.

use serde::{Deserialize, Serialize};

/// A part of the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Models are fitted on it.
    Train,
    /// Epochs are compared on it.
    Validation,
    /// Models are measured on it, once.
    Test,
}

impl Split {
    /// In the order of the pipeline.
    pub const ALL: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

    /// As in file names.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
        }
    }
}

//! `manifest.json`: names every shard with its rows and checksum, the classes, the counts and the settings. Written last, so
//! that a directory with a manifest is a whole data set.

use crate::pipeline::PreprocessSettings;
use crate::stage::error::Context;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

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

/// One Parquet file. Holds rows of one split and one copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardEntry {
    /// Path relative to the manifest's directory: `data/train-00000-of-00009.parquet`.
    pub file: String,
    /// The split of all its rows.
    pub split: Split,
    /// The copy of all its rows: 0 is the image itself.
    pub copy: usize,
    /// Rows.
    pub rows: usize,
    /// Bytes of the file.
    pub bytes: u64,
    /// BLAKE3 of the file, in hexadecimal.
    pub blake3: String,
}

/// What was found about duplicates.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DuplicateCounts {
    /// Images whose decoded pixels (or bytes) equal an earlier image's.
    pub exact: usize,
    /// Images that have a near-copy.
    pub near: usize,
    /// Groups of two or more.
    pub groups: usize,
    /// Groups that lie in more than one split (only where the directories were already split, or with `ignore`).
    pub across_splits: usize,
    /// Groups whose images have different labels.
    pub across_classes: usize,
}

/// The data set, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format: 1.
    pub format: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// BLAKE3 over the inputs, the settings and the version: the same three, the same data set.
    pub fingerprint: String,
    /// As they were given.
    pub settings: PreprocessSettings,
    /// Class names in the order of their labels.
    pub classes: Vec<String>,
    /// For each split, images per class (copy 0 only).
    pub counts: indexmap::IndexMap<Split, Vec<usize>>,
    /// What was found about duplicates.
    pub duplicates: DuplicateCounts,
    /// Files left out because they could not be decoded; they are listed in `rejected.csv`.
    pub rejected: usize,
    /// Every shard, ordered by split, copy and number.
    pub shards: Vec<ShardEntry>,
}

/// The manifest's file name within the shards' directory.
pub const FILE_NAME: &str = "manifest.json";

impl Manifest {
    /// Reads the manifest of a shards' directory, without looking at the shards.
    ///
    /// # Errors
    /// Missing (preprocess has not finished), malformed, or of another format.
    pub fn read(directory: &Path) -> Result<Self> {
        let file = directory.join(FILE_NAME);
        if !file.exists() {
            return Err(Error::new(format!("there is no data set at `{}`", directory.display()))
                .hint("run `preprocess` with the same pipeline file first"));
        }
        let text = std::fs::read_to_string(&file).context(|| format!("cannot read `{}`", file.display()))?;
        let malformed = || Error::new(format!("`{}` is not a manifest of this version", file.display()));
        let manifest: Self = serde_json::from_str(&text)
            .map_err(|error| malformed().caused_by(error).hint("run `preprocess` with the same pipeline file again"))?;
        match manifest.format {
            1 => Ok(manifest),
            format => Err(malformed()
                .because(format!("it has format {format}, not 1"))
                .hint("run `preprocess` with the same pipeline file again")),
        }
    }
}

//! What a manifest says.

use crate::pipeline::{PreprocessSettings, Split};
use serde::{Deserialize, Serialize};

/// The version of the format that this program writes and reads.
pub const FORMAT: u32 = 3;

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
    /// Images that have a copy, exact or near.
    pub near: usize,
    /// Groups of two or more.
    pub groups: usize,
    /// Groups that lie in more than one split (only where the directories were already split, or with `ignore`).
    pub across_splits: usize,
    /// Groups whose images have different labels.
    pub across_classes: usize,
}

/// A class that got another number of images of a split than its fraction asks for, by more than rounding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unmet {
    /// The class's name.
    pub class: String,
    /// The split.
    pub split: Split,
    /// The images that the fraction asks for.
    pub wanted: f64,
    /// The images that it got.
    pub images: usize,
}

/// The data set, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format: [`FORMAT`].
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
    /// Fractions that could not be met: too few images, or groups that stay together.
    #[serde(default)]
    pub unmet: Vec<Unmet>,
    /// Fingerprint of the images' splits in the file that `preprocess.split.keep` names, as this run left it.
    #[serde(default)]
    pub kept: Option<String>,
    /// Files left out because they could not be decoded; they are listed in `rejected.csv`.
    pub rejected: usize,
    /// Every shard, ordered by split, copy and number.
    pub shards: Vec<ShardEntry>,
}

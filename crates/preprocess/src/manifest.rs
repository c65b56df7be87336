//! `manifest.json`: names every shard with its rows and checksum, the classes, the counts and the settings. Written
//! last, so that a directory with a manifest is a whole data set.

mod check;

pub(crate) use check::miscounted;

use crate::pipeline::{PreprocessSettings, Split};
use crate::stage::sealed::{self, Unsealed};
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The manifest's name in its directory.
pub const FILE_NAME: &str = "manifest.json";

/// The version of the format that this program writes and reads.
pub const FORMAT: u32 = 2;

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

impl Manifest {
    /// Reads the manifest of a `shards/` directory.
    ///
    /// # Errors
    /// There is none, it is of another format, not as it was written, or not of a data set that can be.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE_NAME);
        let text = crate::stage::files::read(&path).map_err(|error| {
            Error::new(format!("`{}` holds no finished data set", directory.display()))
                .because(format!("cannot read `{}`: {error}", path.display()))
                .hint("run `preprocess` with the same pipeline file first")
        })?;
        let refuse = |what: &str, reason: String| {
            Error::new(format!("`{}` {what}", path.display()))
                .of_kind(ErrorKind::Damaged)
                .because(reason)
                .hint("run `preprocess` with the same pipeline file again: it keeps the shards that are whole")
        };
        const FOREIGN: &str = "is not a manifest of this program";
        let value: serde_json::Value =
            serde_json::from_slice(&text).map_err(|error| refuse(FOREIGN, error.to_string()))?;
        let format = value.get("format").and_then(serde_json::Value::as_u64);
        if format != Some(FORMAT.into()) {
            let found = format.map_or("none".to_owned(), |format| format.to_string());
            return Err(refuse(FOREIGN, format!("its format is {found}, this program's is {FORMAT}")));
        }
        let manifest: Self = sealed::from_bytes(&text).map_err(|unsealed| match unsealed {
            Unsealed::Altered(reason) => refuse("is not as it was written", reason),
            Unsealed::Unreadable(reason) => refuse(FOREIGN, reason),
            Unsealed::Missing => refuse(FOREIGN, "it is gone".to_owned()),
        })?;
        match check::impossible(&manifest) {
            Some(reason) => Err(refuse("describes no possible data set", reason)),
            None => Ok(manifest),
        }
    }

    /// Writes the manifest, whole or not at all.
    ///
    /// # Errors
    /// The disk is full or refuses.
    pub fn write(&self, directory: &Path) -> Result<()> {
        sealed::write(&directory.join(FILE_NAME), self)
    }

    /// The shards of one split and copy, in the order of their rows.
    pub(crate) fn shards_of(&self, split: Split, copy: usize) -> impl Iterator<Item = &ShardEntry> {
        self.shards.iter().filter(move |shard| shard.split == split && shard.copy == copy)
    }
}

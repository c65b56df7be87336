//! A manifest as a file.

use super::check;
use super::contents::{FORMAT, Manifest, ShardEntry};
use crate::pipeline::Split;
use crate::stage::files;
use crate::stage::sealed::{self, Unsealed};
use crate::{Error, Result};
use std::path::Path;

/// The manifest's name in its directory.
pub const FILE_NAME: &str = "manifest.json";

impl Manifest {
    /// Reads the manifest of a `shards/` directory.
    ///
    /// # Errors
    /// There is none, it is of another format, not as it was written, or not of a data set that can be.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE_NAME);
        let text = files::read(&path).map_err(|error| {
            Error::new(format!("`{}` holds no finished data set", directory.display()))
                .because(format!("cannot read `{}`: {error}", path.display()))
                .hint("run `preprocess` with the same pipeline file first")
        })?;
        let refuse = |what: &str, reason: String| {
            Error::new(format!("`{}` {what}", path.display()))
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

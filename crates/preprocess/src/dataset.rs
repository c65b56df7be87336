//! What the next stages read: a manifest and the rows of its shards.

use crate::Result;
use crate::manifest::{Manifest, Split};
use std::path::{Path, PathBuf};

/// A finished data set on disk.
#[derive(Debug)]
pub struct Dataset {
    directory: PathBuf,
    manifest: Manifest,
}

impl Dataset {
    /// Opens the `shards/` directory of a run.
    ///
    /// # Errors
    /// No manifest (preprocess has not finished), a manifest of another format, a shard missing or of another length.
    pub fn open(directory: &Path) -> Result<Self> {
        let _ = directory;
        unimplemented!()
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The directory that holds the manifest.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The rows of one split and copy (0 is the image itself), with random access. Each shard's checksum is verified once, here.
    ///
    /// # Errors
    /// A shard missing, truncated or altered; a copy that the data set does not hold.
    pub fn rows(&self, split: Split, copy: usize) -> Result<Rows> {
        let _ = (split, copy);
        unimplemented!()
    }
}

/// Rows of one split and copy. Holds labels, names and file offsets, not pixels: flat in the size of the images.
#[derive(Debug)]
pub struct Rows {}

impl Rows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Index of the row's class.
    pub fn label(&self, row: usize) -> usize {
        let _ = row;
        unimplemented!()
    }

    /// The image's path relative to the source directory.
    pub fn source(&self, row: usize) -> &str {
        let _ = row;
        unimplemented!()
    }

    /// Reads and decodes the row's image into `pixels` (`[height, width, 3]`, 8-bit RGB). Callable from many threads at once.
    ///
    /// # Errors
    /// The shard changed or vanished under the reader.
    pub fn read_pixels(&self, row: usize, pixels: &mut [u8]) -> Result<()> {
        let _ = (row, pixels);
        unimplemented!()
    }
}

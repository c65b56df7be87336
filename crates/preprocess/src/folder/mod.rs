//! Finds classes and images in a directory.

use crate::Result;
use crate::manifest::Split;
use std::path::{Path, PathBuf};

/// One image file and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// The path relative to the source directory, with `/` between its parts: the image's name in all outputs.
    pub source: String,
    /// Where the file is.
    pub path: PathBuf,
    /// Index into [`Folder::classes`].
    pub label: usize,
    /// The split that the directory layout gives (`train/`, `validation/`, `test/`), if it gives any.
    pub split: Option<Split>,
}

/// The classes and images of a source directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Names of the class directories, sorted (digits by value: `1, 2, 10`).
    pub classes: Vec<String>,
    /// All images, sorted by `source`.
    pub images: Vec<ImageFile>,
    /// Files passed over because they are hidden.
    pub hidden: usize,
    /// Files passed over because their content is not an image's.
    pub not_images: usize,
}

impl Folder {
    /// Looks through `directory` two levels deep (three where it is already split). By content, not by extension.
    pub fn discover(directory: &Path) -> Result<Self> {
        let _ = directory;
        unimplemented!()
    }
}

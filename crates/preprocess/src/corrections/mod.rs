//! What the user says of single images: `preprocess.corrections`.
//!
//! A CSV file with the columns `path` and `action` (and `class`, if one likes) corrects a data set without touching
//! the source directory: an image gets another class, is left out, or is right as it is, whatever anybody suspects.
//! The file's form is read in [`read`]; what it does to a folder is up to the stage.

mod read;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What becomes of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It is of this class.
    Relabel(String),
    /// It is left out of the data set.
    Drop,
    /// It stays as it is; the report does not suspect it again.
    Keep,
}

/// The lines of a file of corrections, by the image's path relative to the source directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corrections {
    file: PathBuf,
    entries: BTreeMap<String, Entry>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub action: Action,
    /// Where it is in the file, from 1.
    pub line: u64,
}

impl Corrections {
    /// The file that they are from.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What is said of an image, given by its path as the data set has it (`source` in the shards).
    pub fn action(&self, path: &str) -> Option<&Action> {
        self.entries.get(path).map(|entry| &entry.action)
    }

    /// All images of which something is said, in the order of their paths, whether or not there are such images.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Action)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), &entry.action))
    }

    /// As [`iter`](Self::iter), with the lines.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }
}

#[cfg(test)]
mod tests;

//! `manifest.json`: names every shard with its rows and checksum, the classes, the counts and the settings. Written
//! last, so that a directory with a manifest is a whole data set.

mod check;
mod contents;
mod file;

pub(crate) use check::miscounted;
pub use contents::{DuplicateCounts, FORMAT, Manifest, ShardEntry, Unmet};
pub use file::FILE_NAME;

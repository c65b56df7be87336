//! The first stage: folders of images in, Parquet shards and a manifest out.
//!
//! The data flow, module by module: [`folder`] finds the images, [`image`] decodes and resizes them, [`shard`] writes
//! and reads the rows, [`manifest`] names every shard, [`dataset`] is what the next stage reads.
//! [`pipeline`] is the pipeline file (all sections, so that a misspelt `train` key is refused before an hour of
//! preprocessing), [`stage`] is what every stage program shares: errors, exit codes, progress, locks, atomic files.

pub mod cli;
pub mod dataset;
pub mod folder;
pub mod image;
pub mod manifest;
pub mod pipeline;
pub mod stage;

pub use stage::error::{Error, Result};

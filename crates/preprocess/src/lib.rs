//! The first stage: folders of images in, Parquet shards and a manifest out.
//!
//! The data flow, module by module: [`folder`] finds the images, [`corrections`] are what the user says of
//! single ones, [`image`] decodes and resizes them, [`duplicates`]
//! groups near-copies, [`split`] divides the groups into train, validation and test, [`augment`] makes copies,
//! [`shard`] writes and reads the rows, [`manifest`] names every shard, [`dataset`] is what the next stage reads.
//! [`run`] puts them together, `init` looks at a folder and writes a pipeline file for it. [`pipeline`] is the pipeline file (all sections, so that a misspelt `train` key is
//! refused before an hour of preprocessing), [`stage`] is what every stage program shares: errors, exit codes,
//! progress, locks, atomic files.

pub mod augment;
pub mod cli;
pub mod contact_sheet;
pub mod corrections;
pub mod dataset;
pub mod duplicates;
pub mod folder;
pub mod image;
pub(crate) mod init;
pub mod manifest;
pub mod pipeline;
pub mod run;
pub mod shard;
pub mod split;
pub mod stage;

pub use stage::error::{Error, ErrorKind, Result};

//! The second stage: Parquet shards in, models and their predictions out.

pub mod arrays;
pub mod cli;
mod files;
pub mod history;
pub mod model_directory;
pub mod predictions;

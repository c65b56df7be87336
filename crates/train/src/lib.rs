//! The second stage: Parquet shards in, models and their predictions out.

pub mod arrays;
pub mod batches;
pub mod checkpoint;
pub mod cli;
pub mod early_stopping;
pub mod history;
pub mod metrics;
pub mod model_directory;
pub mod predictions;

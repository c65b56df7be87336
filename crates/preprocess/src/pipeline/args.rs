//! The part of the command line that all programs have.

use super::limits;
use super::settings::Pipeline;
use crate::Result;
use clap::builder::RangedU64ValueParser;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// `--pipeline FILE --set KEY=VALUE…`, for `#[command(flatten)]`.
#[derive(clap::Args, Debug, Clone, PartialEq, Eq)]
pub struct PipelineArgs {
    /// The pipeline file
    #[arg(long, value_name = "FILE", default_value = "pipelines/fashion-mnist.yaml")]
    pub pipeline: PathBuf,
    /// Overrides one key of the pipeline file, for example `train.batch_size=64`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl PipelineArgs {
    /// Reads and checks the pipeline file with the overrides.
    ///
    /// # Errors
    /// As [`Pipeline::load`].
    pub fn load(&self) -> Result<Pipeline> {
        Pipeline::load(&self.pipeline, &self.set)
    }
}

/// Reads a count of threads.
pub fn threads() -> RangedU64ValueParser<usize> {
    whole_number(&limits::THREADS)
}

/// Reads a whole number within `range`.
pub fn whole_number(range: &RangeInclusive<usize>) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(*range.start() as u64..=*range.end() as u64)
}

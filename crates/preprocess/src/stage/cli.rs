//! The part of the command line that all stages have, and the way from a result to an exit code.

use super::{interrupt, output};
use crate::pipeline::{Pipeline, limits};
use crate::{Error, Result};
use clap::builder::RangedU64ValueParser;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;

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

/// Runs a stage's work with Ctrl-C handled; prints its error to stderr and turns the outcome into an exit code: 0 done, 1 a gate
/// failed, 2 could not run. `name` is the program's, for the notice that Ctrl-C prints.
pub fn run(name: &'static str, work: impl FnOnce() -> Result<()>) -> ExitCode {
    let outcome = interrupt::install(name).and_then(|()| work()).and(output::finish());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            show(&error);
            error.exit_code()
        }
    }
}

/// Prints the error to stderr; a closed stderr is no reason to panic.
fn show(error: &Error) {
    output::note(format_args!("{error}"));
}

//! The command line.

use crate::pipeline::args::{PipelineArgs, threads};
use crate::stage::error::Context;
use crate::stage::program;
use clap::Parser;
use std::process::ExitCode;

/// Turns folders of images into Parquet shards: splits them by class with near-copies kept together, resizes and
/// augments them.
#[derive(Parser, Debug)]
#[command(name = "preprocess", version)]
struct Args {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Worker threads; the number of cores unless given. The output does not depend on it
    #[arg(long, value_name = "N", value_parser = threads())]
    threads: Option<usize>,
}

/// Runs the stage and turns its outcome into an exit code.
pub fn main() -> ExitCode {
    let args = Args::parse();
    program::run("preprocess", || {
        let pipeline = args.pipeline.load()?;
        if let Some(threads) = args.threads {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build_global()
                .context(|| format!("cannot start {threads} threads"))?;
        }
        crate::run::run(&pipeline)
    })
}

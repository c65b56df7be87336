//! The command line.

use crate::stage::cli::{PipelineArgs, run};
use crate::stage::error::Context;
use clap::Parser;
use std::process::ExitCode;

/// Turns folders of images into Parquet shards: splits them by class with near-copies kept together, resizes and augments them.
#[derive(Parser, Debug)]
#[command(name = "preprocess", version)]
struct Args {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Worker threads; the number of cores unless given. The output does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

/// Runs the stage and turns its outcome into an exit code.
pub fn main() -> ExitCode {
    let args = Args::parse();
    run("preprocess", || {
        let pipeline = args.pipeline.load()?;
        if let Some(threads) = args.threads {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads.into())
                .build_global()
                .context(|| format!("cannot start {threads} threads"))?;
        }
        crate::run::run(&pipeline)
    })
}

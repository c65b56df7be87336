//! The command line.

use crate::pipeline::args::{PipelineArgs, threads};
use crate::stage::error::Context;
use crate::stage::program;
use crate::{Result, init};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Turns folders of images into Parquet shards: splits them by class with near-copies kept together, resizes and
/// augments them.
#[derive(Parser, Debug)]
#[command(name = "preprocess", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Looks at a folder of images and prints a pipeline file that fits it
    Init(InitArgs),
}

#[derive(Args, Debug)]
struct RunArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Worker threads; the number of cores unless given. The output does not depend on it
    #[arg(long, value_name = "N", value_parser = threads())]
    threads: Option<usize>,
}

#[derive(Args, Debug)]
struct InitArgs {
    /// A directory of class directories
    #[arg(value_name = "PHOTOS")]
    source: PathBuf,
    /// Pretrained weights: a safetensors file, or a name on the Hugging Face hub
    #[arg(long, value_name = "FILE|HUB-NAME")]
    pretrained: Option<String>,
    /// The pipeline's name [default: the directory's]
    #[arg(long)]
    name: Option<String>,
}

/// Runs the stage and turns its outcome into an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    program::run("preprocess", || match cli.command {
        Some(Command::Init(args)) => init::run(&args.source, args.pretrained.as_deref(), args.name.as_deref()),
        None => run(&cli.run),
    })
}

fn run(args: &RunArgs) -> Result<()> {
    let pipeline = args.pipeline.load()?;
    if let Some(threads) = args.threads {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .context(|| format!("cannot start {threads} threads"))?;
    }
    crate::run::run(&pipeline)
}

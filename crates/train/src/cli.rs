//! The command line.

use crate::evaluate::{self, evaluate};
use crate::model::Model;
use crate::ops::simd::{self, Level};
use crate::predict::{self, predict};
use crate::{plan, profile, run, summary};
use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand};
use dfdx::tensor::Cpu;
use preprocess::dataset::Dataset;
use preprocess::folder::Folder;
use preprocess::pipeline::Pipeline;
use preprocess::stage::cli::PipelineArgs;
use preprocess::stage::error::Context;
use preprocess::{Result, note, say, stage};
use std::path::PathBuf;
use std::process::ExitCode;

/// Fits models on Parquet shards.
///
/// Without a command it trains the models of the pipeline file. A model that is up to date is left as it is; a run that was
/// interrupted goes on after its last whole epoch.
#[derive(Debug, Parser)]
#[command(name = "train", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    fit: FitArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Trains the models of the pipeline file, as without a command
    Fit(FitArgs),
    /// Prints the layers of a model with their output shapes and parameters
    Summary(SummaryArgs),
    /// Trains some steps and prints where their time goes, op by op; writes nothing
    Profile(ProfileArgs),
    /// Classifies image files
    ///
    /// Files that cannot be read are reported and passed over; the exit code is 2 only if no file could be classified.
    Predict(PredictArgs),
    /// Scores a model on class directories, matched to its classes by name
    Evaluate(EvaluateArgs),
}

#[derive(Debug, Args)]
struct FitArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Trains only this model; may be repeated
    #[arg(long = "model", value_name = "NAME")]
    models: Vec<String>,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Debug, Args)]
struct SummaryArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// The model's name in the pipeline file
    #[arg(long, value_name = "NAME")]
    model: String,
}

#[derive(Debug, Args)]
struct ProfileArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// The model's name in the pipeline file
    #[arg(long, value_name = "NAME")]
    model: String,
    /// Steps to measure
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    steps: usize,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Debug, Args)]
struct PredictArgs {
    /// The model's directory
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Image files, or directories to look through for them
    #[arg(required = true, value_name = "FILE|DIR")]
    images: Vec<PathBuf>,
    /// Most probable classes to print
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = positive)]
    top: usize,
    #[arg(long, value_enum, default_value_t = predict::Format::Table)]
    format: predict::Format,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Debug, Args)]
struct EvaluateArgs {
    /// The model's directory
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// A directory of class directories
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    #[arg(long, value_enum, default_value_t = evaluate::Format::Table)]
    format: evaluate::Format,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Debug, Args)]
struct DeviceArgs {
    /// Threads to compute with [default: one a core]
    #[arg(long, value_name = "N", value_parser = positive)]
    threads: Option<usize>,
}

/// Runs the stage and turns its outcome into an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    stage::cli::run("train", || match cli.command.unwrap_or(Command::Fit(cli.fit)) {
        Command::Fit(args) => {
            let pipeline = args.pipeline.load()?;
            run::run(&pipeline, &args.models, &open(&args.device)?)
        }
        Command::Summary(args) => print_summary(&args),
        Command::Profile(args) => {
            let pipeline = args.pipeline.load()?;
            profile::profile(&pipeline, &args.model, args.steps, &open(&args.device)?)
        }
        Command::Predict(args) => predict(&args.model, &args.images, args.top, args.format, &open(&args.device)?),
        Command::Evaluate(args) => evaluate(&args.model, &args.images, args.format, &open(&args.device)?),
    })
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("it must be a whole number above 0".into()),
    }
}

/// Starts the threads and says on stderr what the work will run on.
fn open(args: &DeviceArgs) -> Result<Cpu> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads.unwrap_or(0));
    pool.build_global().context(|| "cannot start the threads".into())?;
    let threads = rayon::current_num_threads();
    let instructions = match simd::level() {
        Level::Reference => "reference ops",
        Level::Portable => "portable instructions",
        Level::Avx2 => "AVX2",
        Level::Avx512 => "AVX-512",
    };
    note!("device: cpu, {threads} {}, {instructions}", if threads == 1 { "thread" } else { "threads" });
    Ok(Cpu::default())
}

fn print_summary(args: &SummaryArgs) -> Result<()> {
    let pipeline = args.pipeline.load()?;
    let settings = plan::find(&pipeline, &args.model)?;
    let (classes, image) = (class_count(&pipeline)?, &pipeline.preprocess.image);
    let model = Model::new(settings.architecture, classes, image, pipeline.train.seed, &Cpu::default())?;
    say!("{}: {}x{} images, {classes} classes", args.model, image.width, image.height);
    say!("{}", summary::table(&*model.network).trim_end());
    Ok(())
}

/// From the shards if there are any, otherwise from the class directories.
fn class_count(pipeline: &Pipeline) -> Result<usize> {
    if pipeline.shards_dir().join(preprocess::manifest::FILE_NAME).exists() {
        return Ok(Dataset::open(&pipeline.shards_dir())?.manifest().classes.len());
    }
    Ok(Folder::discover(&pipeline.preprocess.source)?.classes.len())
}

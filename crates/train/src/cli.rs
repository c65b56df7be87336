//! The command line.

use crate::commands::evaluate::{self, evaluate};
use crate::commands::predict::{self, predict};
use crate::commands::{profile, train, weights};
use crate::device::Device;
use crate::network::{architectures, summary};
use crate::training::plan;
use crate::{device, on_device};
use clap::{Args, Parser, Subcommand};
use preprocess::dataset::Dataset;
use preprocess::folder::Folder;
use preprocess::image::budget::limit_memory;
use preprocess::pipeline::args::{PipelineArgs, threads, whole_number};
use preprocess::pipeline::{DeviceChoice, Pipeline, Precision, limits};
use preprocess::stage::error::Context;
use preprocess::{Result, say, stage};
use std::path::PathBuf;
use std::process::ExitCode;

/// Fits models on Parquet shards.
///
/// Without a command it trains the models of the pipeline file. A model that is up to date is left as it is; a run
/// that was interrupted goes on after its last whole epoch.
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
    /// Works on files of weights
    #[command(subcommand)]
    Weights(WeightsCommand),
}

#[derive(Debug, Subcommand)]
enum WeightsCommand {
    /// Makes a safetensors file of PyTorch's `.pth`, `.pt` or `.bin`
    ///
    /// Reads a state dict that `torch.save` wrote, or the one in a checkpoint. Nothing in the file is executed.
    Import {
        /// The file that `torch.save` wrote
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// What to write; must not exist [default: FILE with the ending .safetensors]
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
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
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = whole_number(&limits::PROFILE_STEPS))]
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
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = whole_number(&limits::TOP))]
    top: usize,
    /// Answer with the mean of the probabilities of each image and of its mirror image, whatever the model's settings say
    #[arg(long)]
    flip: bool,
    #[arg(long, value_enum, default_value_t = predict::Format::Table)]
    format: predict::Format,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    memory: MemoryArgs,
}

#[derive(Debug, Args)]
struct EvaluateArgs {
    /// The model's directory
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// A directory of class directories
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Answer with the mean of the probabilities of each image and of its mirror image, whatever the model's settings say
    #[arg(long)]
    flip: bool,
    #[arg(long, value_enum, default_value_t = evaluate::Format::Table)]
    format: evaluate::Format,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    memory: MemoryArgs,
}

#[derive(Debug, Args)]
struct DeviceArgs {
    /// What to compute on: auto, cpu, cuda or cuda:N [default: the pipeline file's `train.device`, or auto]
    #[arg(long, value_name = "DEVICE")]
    device: Option<DeviceChoice>,
    /// Threads to compute with [default: one a core]
    #[arg(long, value_name = "N", value_parser = threads())]
    threads: Option<usize>,
}

#[derive(Debug, Args)]
struct MemoryArgs {
    /// Megabytes that reading, decoding and resizing images take at once; an image that takes more is not read
    #[arg(long, value_name = "MB", default_value_t = limits::DEFAULT_MEMORY, value_parser = whole_number(&limits::MEMORY))]
    memory: usize,
}

/// Runs the stage and turns its outcome into an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    stage::program::run("train", || match cli.command.unwrap_or(Command::Fit(cli.fit)) {
        Command::Fit(args) => {
            let pipeline = args.pipeline.load()?;
            on_device!(open(&args.device, Some(&pipeline))?, |device| train::run(&pipeline, &args.models, &device))
        }
        Command::Summary(args) => print_summary(&args),
        Command::Profile(args) => {
            let pipeline = args.pipeline.load()?;
            let (model, steps) = (&args.model, args.steps);
            on_device!(open(&args.device, Some(&pipeline))?, |device| profile::profile(
                &pipeline, model, steps, &device
            ))
        }
        Command::Predict(PredictArgs { model, images, top, flip, format, device, memory }) => {
            limit_memory(memory.memory);
            on_device!(open(&device, None)?, |device| predict(&model, &images, flip, (top, format), &device))
        }
        Command::Evaluate(EvaluateArgs { model, images, flip, format, device, memory }) => {
            limit_memory(memory.memory);
            on_device!(open(&device, None)?, |device| evaluate(&model, &images, flip, format, &device))
        }
        Command::Weights(WeightsCommand::Import { file, output }) => weights::import(&file, output.as_deref()),
    })
}

/// Starts the threads and opens the device: the command line's, or else the pipeline file's. What is classified
/// without a pipeline file is classified in full precision.
fn open(args: &DeviceArgs, pipeline: Option<&Pipeline>) -> Result<Device> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads.unwrap_or(0));
    pool.build_global().context(|| "cannot start the threads".into())?;
    let (device, precision) = pipeline
        .map_or((DeviceChoice::Auto, Precision::Fp32), |pipeline| (pipeline.train.device, pipeline.train.precision));
    device::open(args.device.unwrap_or(device), precision)
}

fn print_summary(args: &SummaryArgs) -> Result<()> {
    let pipeline = args.pipeline.load()?;
    let settings = plan::find(&pipeline, &args.model)?;
    let (classes, image) = (class_count(&pipeline)?, &pipeline.preprocess.image);
    let graph = architectures::graph(settings.architecture, classes, [image.width, image.height])?;
    say!("{}: {}x{} images, {classes} classes", args.model, image.width, image.height);
    say!("{}", summary::table(&graph).trim_end());
    Ok(())
}

/// From the shards if there are any, otherwise from the class directories.
fn class_count(pipeline: &Pipeline) -> Result<usize> {
    if pipeline.shards_dir().join(preprocess::manifest::FILE_NAME).exists() {
        return Ok(Dataset::open(&pipeline.shards_dir())?.manifest().classes.len());
    }
    Ok(Folder::discover(&pipeline.preprocess.source)?.classes.len())
}

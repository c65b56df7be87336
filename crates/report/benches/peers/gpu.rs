//! The networks beside PyTorch on one GPU: precision for precision, in both memory layouts, of which the faster is the
//! peer.
//!
//! Images lie on the GPU on both sides: ours as the bytes that training keeps there, PyTorch's as the floats of one
//! batch. Steps of ours take their batches from all training images and count loss and accuracy.

use crate::contest::{Goal, Outcome, Peers};
use crate::peer::{self, Peer, Started};
use crate::shared::gpu::{self, Gpu};
use crate::shared::programs::{self, Programs};
use crate::shared::table::number;
use preprocess::pipeline::{Architecture, Precision};
use preprocess::{Error, Result};
use std::process::Stdio;
use train::commands::profile::{inference_time, step_time};
use train::data::shards::TrainingData;
use train::model::Model;
use train::training::plan;

/// Steps, or batches of inference, in a turn: so many images, whatever the batch.
const IMAGES_A_TURN: usize = 6400;
/// Training steps after which PyTorch's memory no longer grows.
const MEMORY_STEPS: &str = "12";
const MEGABYTE: f64 = 1e6;

/// The ratio to PyTorch that has to be reached, and the one that is aimed at.
const MUST: f64 = 1.0;
const AIM: f64 = 1.2;

/// A network by its name in the pipeline, by that of the peers, and for people.
pub struct Network {
    pub model: &'static str,
    pub peer: &'static str,
    pub title: &'static str,
    /// Where it is not the pipeline's model but another network with that model's settings.
    pub architecture: Option<Architecture>,
}

pub const RESNET: Network = Network { model: "resnet", peer: "resnet", title: "ResNet", architecture: None };
pub const BASELINE: Network =
    Network { model: "baseline", peer: "baseline-cnn", title: "baseline CNN", architecture: None };

/// The networks that pretrained weights are for.
pub const BACKBONES: [Network; 4] = [
    backbone(Architecture::EfficientnetLite0, "tf_efficientnet_lite0", "efficientnet-lite0"),
    backbone(Architecture::Mobilenetv4ConvSmall, "mobilenetv4_conv_small", "mobilenetv4-conv-small"),
    backbone(Architecture::Resnet18, "resnet18", "resnet18"),
    backbone(Architecture::Resnet50, "resnet50", "resnet50"),
];

const fn backbone(architecture: Architecture, peer: &'static str, title: &'static str) -> Network {
    Network { model: "resnet", peer, title, architecture: Some(architecture) }
}

/// Training steps and inference at both batch sizes and precisions; every row goes to `take`.
///
/// # Errors
/// The Python has no PyTorch, or one that finds no GPU; the device failed.
pub fn network(
    gpu: &Gpu,
    programs: &Programs,
    network: &Network,
    rounds: usize,
    mut take: impl FnMut(&Goal, &Outcome),
) -> Result<()> {
    let pipeline = programs.pipeline()?;
    let data = TrainingData::open(&pipeline)?;
    let plans = plan::plan(&pipeline, &[network.model.to_owned()], &data)?;
    let plan = plans.first().ok_or_else(|| Error::new(format!("the benchmark has no model `{}`", network.model)))?;
    for precision in gpu::PRECISIONS {
        gpu.select(precision);
        let mut peers = torch(precision)?;
        for batch in gpu.sizes.batches {
            let mut plan = plan.with_batch_size(batch);
            plan.settings.architecture = network.architecture.unwrap_or(plan.settings.architecture);
            let runs = if gpu.is_emulated() { 1 } else { IMAGES_A_TURN.div_ceil(batch) };
            let goal = |what| {
                Goal::more(format!("{}, {what}, {batch} images, {}", network.title, gpu::name(precision)), MUST, AIM)
            };
            let ours = || Ok(step_time(&plan, &data, runs, &gpu.device)?.rate());
            take(&goal("training step"), &peers.race(rounds, &format!("{} train {runs} {batch}", network.peer), ours)?);
            let (architecture, classes) = (plan.settings.architecture, plan.classes.len());
            let model = Model::new(architecture, classes, &plan.image, plan.seed, &gpu.device)?;
            let ours = || inference_time(&model, batch, runs).map(|time| time.rate());
            take(&goal("inference"), &peers.race(rounds, &format!("{} infer {runs} {batch}", network.peer), ours)?);
        }
    }
    Ok(())
}

fn torch(precision: Precision) -> Result<Peers> {
    let precision = gpu::name(precision);
    let peers = Peers::start(&[
        ("PyTorch contiguous", "torch_networks.py", &["contiguous", "cuda", precision]),
        ("PyTorch channels-last", "torch_networks.py", &["channels-last", "cuda", precision]),
    ])?;
    peers.all_ready().map_err(|error| {
        error.hint("PEERS_PYTHON must be a Python that has torch, torchvision, numpy, pillow and safetensors")
    })
}

/// The most of the GPU's memory that whole processes take: ours trains an epoch, validates, and keeps what training
/// images fit beside; PyTorch trains 12 steps. What else uses the GPU must not change meanwhile.
///
/// # Errors
/// As [`network`].
pub fn memory(gpu: &Gpu, programs: &Programs, mut take: impl FnMut(&Goal, &Outcome)) -> Result<()> {
    if let Started::Missing(library) = Peer::start("PyTorch", "torch_networks.py", &["contiguous", "cuda", "tf32"])? {
        return Err(Error::new(format!("PEERS_PYTHON has no `{library}`")));
    }
    for network in [RESNET, BASELINE] {
        for batch in gpu.sizes.batches {
            let batch_size = format!("train.batch_size={batch}");
            let arguments = ["--model", network.model, "--device", "cuda", "--set", &batch_size];
            let ours = peak(gpu, |look| programs.run_watched("train", &arguments, look).map(drop))?;
            let torch = peak(gpu, |look| {
                let batch = batch.to_string();
                let mut command = peer::command(
                    "torch_memory.py",
                    &[network.peer, &programs.source()?, MEMORY_STEPS, "cuda", &batch],
                );
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                programs::run(command, "PyTorch", look).map(drop)
            })?;
            let remarks = vec![format!("in use before: {}", number(gpu.used_memory()? as f64 / MEGABYTE))];
            let work = format!("{}, peak of GPU memory of a training process, {batch} images", network.title);
            let goal = Goal { work, must: 1.0, aim: 0.7, less_is_better: true };
            take(&goal, &Outcome { ours, peers: vec![("PyTorch".to_owned(), torch)], remarks });
        }
    }
    Ok(())
}

/// How much more of the GPU's memory, in MB, is in use at the most while something runs. It is to look now and then.
fn peak(gpu: &Gpu, run: impl FnOnce(&mut dyn FnMut()) -> Result<()>) -> Result<f64> {
    let before = gpu.used_memory()?;
    let mut most = before;
    run(&mut || most = most.max(gpu.used_memory().unwrap_or(0)))?;
    Ok((most - before) as f64 / MEGABYTE)
}

//! `make bench-peers`: ours and what a user would run instead, in turn on the same machine, in one table of ratios.
//!
//! `PEERS_PYTHON` is a Python that has the peers (torch, torchvision, timm, tensorflow-cpu, opencv-python-headless,
//! albumentations, pillow, safetensors, numpy); a peer that it lacks is named in the table. `IMAGES=DIR` takes the
//! photographs from class directories, `ONLY='resnet memory'` some of the sections, `TRAIN_SIMD=avx2` limits both
//! sides to AVX2, `ROUNDS` says how often each has its turn. Built with CUDA, the networks and their memory are
//! measured on the GPU, beside PyTorch alone; what never runs there is left out.

// On a GPU, the networks and their memory only.
#![cfg_attr(feature = "cuda", allow(dead_code))]

#[path = "../shared/mod.rs"]
mod shared;

mod backbones;
mod contest;
#[cfg(feature = "cuda")]
mod gpu;
mod ours;
mod peer;

use contest::{Goal, Outcome, Peers, Ratios};
use dfdx::tensor::Cpu;
use preprocess::{Error, Result};
use shared::batches::images_a_second_on_one_core;
use shared::photos::Photos;
use shared::programs::{self, Programs};
use shared::sections::Sections;
use shared::table::number;
use shared::timing::median;
use shared::{BATCH, SIDE, machine};
use std::process::{ExitCode, Stdio};
use std::time::Duration;
use train::data::shards::TrainingData;
use train::model::Model;
use train::training::plan;

/// The most photographs: enough that the start and the end of `preprocess` weigh little, few enough for some seconds a
/// turn.
const PHOTOS: usize = 2048;
/// Turns of each side.
const ROUNDS: usize = 5;
/// Training steps, or batches of inference, in a turn.
const STEPS: usize = 4;
/// Photographs that an image library handles in a turn.
const PHOTOS_A_TURN: usize = 768;
/// Training steps after which a PyTorch process no longer grows.
const MEMORY_STEPS: &str = "12";
const MEGABYTE: f64 = 1e6;

const SECTIONS: [&str; 7] = ["resnet", "baseline", "backbones", "images", "preprocess", "batches", "memory"];

fn main() -> ExitCode {
    #[cfg(feature = "cuda")]
    let run = run_on_gpu;
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<()> {
    let sections = Sections::from_environment(&SECTIONS)?;
    let photos = Photos::gather(PHOTOS)?;
    let programs = Programs::new(photos.directory())?;
    programs.run("preprocess", &[])?;
    let bench = Bench { rounds: rounds()?, photos, programs };
    let mut ratios = Ratios::new();
    for (section, measure) in SECTIONS.into_iter().zip([
        Bench::resnet as fn(&Bench, &mut Ratios) -> Result<()>,
        Bench::baseline,
        Bench::backbones,
        Bench::images,
        Bench::preprocess,
        Bench::batches,
        Bench::memory,
    ]) {
        if sections.want(section) {
            measure(&bench, &mut ratios)?;
        }
    }
    println!("{}; {}; {BATCH} images of {SIDE}x{SIDE} a batch.", machine::describe(), bench.photos.origin);
    println!("Medians of {} turns each. Images/s, memory in MB.", bench.rounds);
    println!();
    ratios.print();
    Ok(())
}

#[cfg(feature = "cuda")]
fn run_on_gpu() -> Result<()> {
    let sections = Sections::from_environment(&["resnet", "baseline", "backbones", "memory"])?;
    let gpu = shared::gpu::Gpu::open()?;
    let photos = Photos::gather(gpu.sizes.photos)?;
    let programs = Programs::of_size(photos.directory(), gpu.sizes.side, gpu.sizes.batches[0])?;
    programs.run("preprocess", &[])?;
    let (rounds, mut ratios) = (rounds()?, Ratios::new());
    let backbones = gpu::BACKBONES.map(|network| ("backbones", network));
    for (section, network) in [("resnet", gpu::RESNET), ("baseline", gpu::BASELINE)].into_iter().chain(backbones) {
        if sections.want(section) {
            gpu::network(&gpu, &programs, &network, rounds, |goal, outcome| ratios.add(goal, outcome))?;
        }
    }
    if sections.want("memory") {
        gpu::memory(&gpu, &programs, |goal, outcome| ratios.add(goal, outcome))?;
    }
    println!("{}; {}.\n\n{}", machine::describe(), photos.origin, gpu.describe());
    println!("Medians of {rounds} turns each. Images/s, memory in MB.");
    println!();
    ratios.print();
    Ok(())
}

fn rounds() -> Result<usize> {
    let given = std::env::var("ROUNDS").unwrap_or_default();
    match given.parse() {
        _ if given.is_empty() => Ok(ROUNDS),
        Ok(rounds) if rounds > 0 => Ok(rounds),
        _ => Err(Error::new(format!("`ROUNDS` is `{given}`")).hint("it must be a whole number above 0")),
    }
}

struct Bench {
    rounds: usize,
    photos: Photos,
    programs: Programs,
}

impl Bench {
    fn resnet(&self, ratios: &mut Ratios) -> Result<()> {
        let goals = [Goal::more("ResNet, training step", 2.0, 3.0), Goal::more("ResNet, inference", 1.5, 2.0)];
        self.network("resnet", "resnet", &goals, ratios)
    }

    fn baseline(&self, ratios: &mut Ratios) -> Result<()> {
        let goals =
            [Goal::more("baseline CNN, training step", 2.0, 3.0), Goal::more("baseline CNN, inference", 1.5, 2.0)];
        self.network("baseline", "baseline-cnn", &goals, ratios)
    }

    fn backbones(&self, ratios: &mut Ratios) -> Result<()> {
        backbones::race(self.photos.directory(), self.rounds, |goal, outcome| ratios.add(goal, outcome))
    }

    /// One model, named in the pipeline and by the peers; goals of training and of inference.
    fn network(&self, model: &str, peers_name: &str, goals: &[Goal; 2], ratios: &mut Ratios) -> Result<()> {
        let pipeline = self.programs.pipeline()?;
        let data = TrainingData::open(&pipeline)?;
        let plans = plan::plan(&pipeline, &[model.to_owned()], &data)?;
        let plan = plans.first().ok_or_else(|| Error::new(format!("the benchmark has no model `{model}`")))?;
        let settings = &plan.settings;
        let device = Cpu::default();
        let trained = Model::new(settings.architecture, plan.classes.len(), &plan.image, plan.seed, &device)?;
        let mut peers = Peers::start(&[
            ("PyTorch contiguous", "torch_networks.py", &["contiguous"]),
            ("PyTorch channels-last", "torch_networks.py", &["channels-last"]),
            ("Keras", "keras_networks.py", &[]),
        ])?;
        let training =
            peers.race(self.rounds, &format!("{peers_name} train {STEPS}"), || ours::training(plan, &data, STEPS))?;
        ratios.add(&goals[0], &training);
        let inference =
            peers.race(self.rounds, &format!("{peers_name} infer {STEPS}"), || ours::inference(&trained, STEPS))?;
        ratios.add(&goals[1], &inference);
        Ok(())
    }

    /// The best has been Pillow; the others are there to be seen.
    fn images(&self, ratios: &mut Ratios) -> Result<()> {
        let settings = self.programs.pipeline()?.preprocess;
        let directory = self.photos.directory().to_string_lossy();
        let mut peers = Peers::start(&[
            ("Pillow draft", "image_files.py", &["pillow", &directory]),
            ("OpenCV + albumentations", "image_files.py", &["opencv", &directory]),
            ("torchvision v2", "image_files.py", &["torchvision", &directory]),
            ("Keras ImageDataGenerator", "image_files.py", &["keras", &directory]),
        ])?;
        let some = &self.photos.files[..PHOTOS_A_TURN.min(self.photos.files.len())];
        let request = PHOTOS_A_TURN.to_string();
        let outcome = peers.race(self.rounds, &request, || ours::augmented(some, &settings))?;
        ratios.add(&Goal::more("decode, resize, one augmented copy, in memory", 2.0, 2.5), &outcome);
        Ok(())
    }

    fn preprocess(&self, ratios: &mut Ratios) -> Result<()> {
        let directory = self.photos.directory().to_string_lossy();
        let mut peers = Peers::start(&[("Pillow draft, in memory", "image_files.py", &["pillow", &directory])])?;
        let outcome = peers.race(self.rounds, &PHOTOS_A_TURN.to_string(), || {
            self.programs.clear()?;
            let usage = self.programs.run("preprocess", &[])?;
            Ok(self.photos.files.len() as f64 / usage.time.as_secs_f64())
        })?;
        let work = "the whole `preprocess`: files to shards, 1 copy of each training image";
        ratios.add(&Goal::more(work, 1.0, 1.5), &outcome);
        Ok(())
    }

    fn batches(&self, ratios: &mut Ratios) -> Result<()> {
        let rates = (0..self.rounds).map(|_| images_a_second_on_one_core(&self.programs, Duration::from_millis(500)));
        let rate = median(rates.collect::<Result<_>>()?);
        ratios.add_absolute(&Goal::more("shards to shuffled batches, one core", 4000.0, 10000.0), rate);
        Ok(())
    }

    /// A whole run of `train` (an epoch, validation, checkpoint, predictions) beside steps of training in PyTorch.
    fn memory(&self, ratios: &mut Ratios) -> Result<()> {
        for (model, peers_name, work) in [
            ("resnet", "resnet", "ResNet, peak memory of a training process"),
            ("baseline", "baseline-cnn", "baseline CNN, peak memory of a training process"),
        ] {
            let ours = self.programs.run("train", &["--model", model])?.peak_bytes as f64 / MEGABYTE;
            let directory = self.photos.directory().to_string_lossy();
            let mut outcome = Outcome { ours, peers: Vec::new(), remarks: Vec::new() };
            match peer::Peer::start("PyTorch", "torch_memory.py", &["import", &directory, "0"])? {
                peer::Started::Missing(library) => outcome.remarks.push(format!("PyTorch: missing (no `{library}`)")),
                peer::Started::Ready(_) => {
                    outcome.peers.push(("PyTorch".to_owned(), torch_peak(peers_name, &directory)?));
                    let libraries = torch_peak("import", &directory)?;
                    outcome.remarks.push(format!("of which its libraries, loaded and idle, {}", number(libraries)));
                }
            }
            ratios.add(&Goal { work: work.to_owned(), must: 0.7, aim: 0.5, less_is_better: true }, &outcome);
        }
        Ok(())
    }
}

/// Peak memory of a PyTorch process, in MB.
fn torch_peak(what: &str, directory: &str) -> Result<f64> {
    let mut command = peer::command("torch_memory.py", &[what, directory, MEMORY_STEPS]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(programs::run(command, "PyTorch", || ())?.peak_bytes as f64 / MEGABYTE)
}

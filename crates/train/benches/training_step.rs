//! How long a training step takes, and which ops take it: `cargo bench -p train --bench training_step [-- STEPS]`.
//!
//! 128x128 images, 32 a batch, 19 classes. Medians over the steps, of each op the fastest run; operations are those of the direct algorithm.

use dfdx::losses::cross_entropy_with_logits_loss;
use dfdx::tensor::{AsArray, Cache, Cpu, PutTape, TensorFromVec};
use dfdx::tensor_ops::Backward;
use preprocess::pipeline::Architecture;
use std::time::{Duration, Instant};
use train::architectures::build;
use train::backend::BufferPool;
use train::feature_map::images_to_feature_map;
use train::network::Network;
use train::ops::simd;
use train::optimizer::Adam;
use train::pass::{Pass, Profile};

const BATCH: usize = 32;
const SIDE: usize = 128;
const CLASSES: usize = 19;

struct Bench {
    device: Cpu,
    pool: BufferPool,
    network: Box<dyn Network<Cpu>>,
    adam: Adam<Cpu>,
    images: Vec<u8>,
    targets: Vec<f32>,
    step: u64,
    /// The fastest step of the optimiser.
    update: Duration,
}

impl Bench {
    fn new(architecture: Architecture) -> preprocess::Result<Self> {
        let (device, pool) = (Cpu::default(), BufferPool::default());
        device.enable_cache();
        let network = build(architecture, CLASSES, SIDE, SIDE, 1, &device)?;
        let adam = Adam::new(1e-3, &network.parameters(), &device)?;
        let images = (0..BATCH * SIDE * SIDE * 3).map(|at| ((at * 2_654_435_761) >> 13) as u8).collect();
        let targets =
            (0..BATCH * CLASSES).map(|at| f32::from(u8::from(at % CLASSES == at / CLASSES % CLASSES))).collect();
        Ok(Self { device, pool, network, adam, images, targets, step: 0, update: Duration::MAX })
    }

    fn train(&mut self, profile: &Profile) -> preprocess::Result<Duration> {
        let start = Instant::now();
        let mut pass = Pass::train(&self.device, &self.pool, 1, self.step).with_profile(profile);
        let x = images_to_feature_map(&self.images, BATCH, SIDE, SIDE, &pass)?;
        let logits = self.network.forward(x, &mut pass)?;
        let targets = self.device.tensor_from_vec(self.targets.clone(), (BATCH, CLASSES));
        let loss = cross_entropy_with_logits_loss(logits.put_tape(pass.take_tape()), targets);
        assert!(loss.array().is_finite());
        let mut gradients = loss.backward();
        let update = Instant::now();
        self.adam.update(self.network.parameters_mut(), &mut gradients)?;
        self.update = self.update.min(update.elapsed());
        self.step += 1;
        Ok(start.elapsed())
    }

    fn infer(&mut self) -> preprocess::Result<Duration> {
        let start = Instant::now();
        let mut pass = Pass::infer(&self.device, &self.pool);
        let x = images_to_feature_map(&self.images, BATCH, SIDE, SIDE, &pass)?;
        self.network.forward(x, &mut pass)?;
        Ok(start.elapsed())
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

fn run(name: &str, architecture: Architecture, steps: usize) -> preprocess::Result<()> {
    let mut bench = Bench::new(architecture)?;
    bench.train(&Profile::default())?;
    let profile = Profile::default();
    let train = median((0..steps).map(|_| bench.train(&profile)).collect::<preprocess::Result<_>>()?);
    let infer = median((0..steps).map(|_| bench.infer()).collect::<preprocess::Result<_>>()?);
    let rate = |seconds: f64| BATCH as f64 / seconds;
    println!(
        "{name}: training step {:.1} ms, {:.1} images/s; inference {:.1} ms, {:.1} images/s",
        train * 1e3,
        rate(train),
        infer * 1e3,
        rate(infer)
    );
    for row in profile.rows() {
        let milliseconds = row.fastest.as_secs_f64() * 1e3;
        let speed = match row.flops {
            0 => String::new(),
            flops => format!("{:8.1} GFLOP/s", flops as f64 / row.runs as f64 / row.fastest.as_secs_f64() / 1e9),
        };
        println!("  {:16} {:8} {milliseconds:8.2} ms {speed}", row.op, row.direction);
    }
    println!("  {:16} {:8} {:8.2} ms", "adam", "", bench.update.as_secs_f64() * 1e3);
    Ok(())
}

fn main() -> preprocess::Result<()> {
    let steps = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(7);
    println!("{:?}, {} threads, {BATCH} images of {SIDE}x{SIDE}", simd::level(), rayon::current_num_threads());
    run("resnet", Architecture::Resnet, steps)?;
    run("baseline-cnn", Architecture::BaselineCnn, steps)
}

//! Where the time of a training step goes: some steps on the real shards, every part of them on a clock, nothing
//! written.
//!
//! A step is what the training loop ([`fit`](crate::training::fit)) does with a batch. Each of its parts has a clock,
//! each op within the forward and the backward pass has its own, and what no clock caught is shown as the rest, so
//! that the lines add up to the step.

use crate::data::copies::EpochImages;
use crate::data::feed::Batch;
use crate::data::images::Images;
use crate::data::order::shuffled;
use crate::data::shards::{Data, TrainingData};
use crate::data::store::Pixels;
use crate::model::Model;
use crate::model::inference::Inference;
use crate::model::score::Score;
use crate::ops::Backend;
use crate::tensor::failure::device_error;
use crate::tensor::op_times::{Direction, Profile, ProfileRow};
use crate::training::plan::{self, ModelPlan};
use crate::training::step::{Clock, Learner, StepClocks};
use preprocess::pipeline::Pipeline;
use preprocess::stage::interrupt;
use preprocess::{Error, Result, say};
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Steps before the clocks start: the first ones fetch memory that later ones reuse.
const WARM_UP: usize = 2;
/// Steps in which a device may fetch the images that it keeps, before whole steps are timed.
const MOST_WARM_UP: usize = 500;

/// Forward ops that the clock of the loss already holds.
const IN_LOSS: [&str; 2] = ["matrix", "cross-entropy"];

/// One part of a training step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The layer's name; or what is done, where no layer does it.
    pub name: String,
    /// Within which pass; none outside of both.
    pub direction: Option<Direction>,
    /// Over all steps.
    pub time: Duration,
    /// Of the fastest step.
    pub fastest: Duration,
    /// Floating-point operations over all steps, as the direct algorithm has them; 0 where they do not matter.
    pub flops: usize,
}

/// Where the time of some training steps went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepProfile {
    /// Images a step.
    pub images: usize,
    /// Each step, from asking for its batch to freeing its memory.
    pub steps: Vec<Duration>,
    /// In the order of a step.
    pub parts: Vec<Part>,
}

impl StepProfile {
    /// All steps together.
    pub fn time(&self) -> Duration {
        self.steps.iter().sum()
    }

    /// What is in no part.
    pub(crate) fn rest(&self) -> Duration {
        self.time().saturating_sub(self.parts.iter().map(|part| part.time).sum())
    }

    /// Floating-point operations of a step, as the direct algorithms have them.
    pub fn flops(&self) -> usize {
        self.parts.iter().map(|part| part.flops).sum::<usize>() / self.steps.len().max(1)
    }

    /// A line a part: milliseconds a step, share of the step, GFLOP/s. The shares add up to 100 %.
    pub(crate) fn table(&self) -> String {
        let steps = self.steps.len().max(1) as f64;
        let per_step = |time: Duration| time.as_secs_f64() * 1e3 / steps;
        let whole = per_step(self.time());
        let width = self.parts.iter().map(|part| part.name.len()).max().unwrap_or(0).max("rest of the step".len());
        let mut text = format!("{:width$}  {:8}  {:>9}  {:>7}  {:>8}\n", "part", "pass", "ms/step", "share", "GFLOP/s");
        let mut line = |name: &str, direction: String, time: Duration, flops: usize| {
            let share = 100.0 * per_step(time) / whole;
            let speed = match flops {
                0 => String::new(),
                flops => format!("{:.1}", flops as f64 / time.as_secs_f64() / 1e9),
            };
            let cells = format!("{name:width$}  {direction:8}  {:9.3}  {share:5.1} %  {speed:>8}", per_step(time));
            let _ = writeln!(text, "{}", cells.trim_end());
        };
        for part in &self.parts {
            let direction = part.direction.map(|direction| direction.to_string()).unwrap_or_default();
            line(&part.name, direction, part.time, part.flops);
        }
        line("rest of the step", String::new(), self.rest(), 0);
        line("step", String::new(), self.time(), self.parts.iter().map(|part| part.flops).sum());
        text
    }
}

/// Measures `steps` steps of one model of the pipeline file on its shards and prints where their time went. On a GPU
/// the steps are measured twice: undisturbed, and with a wait for every op.
///
/// # Errors
/// No such model, no finished shards, or what stops training.
pub(crate) fn profile<B: Backend>(pipeline: &Pipeline, name: &str, steps: usize, device: &B) -> Result<()> {
    plan::find(pipeline, name)?;
    let data = TrainingData::open(pipeline)?;
    for plan in plan::plan(pipeline, &[name.to_owned()], &data)? {
        let measured = measure(&plan, &data, steps, device)?;
        let disturbed = measured.time() / steps as u32;
        let step = if B::ASYNCHRONOUS { step_time(&plan, &data, steps, device)?.time } else { disturbed };
        let seconds = step.as_secs_f64();
        say!(
            "{name}: {steps} steps of {} images of {}x{}, {:.1} ms a step, {:.1} images/s",
            measured.images,
            plan.image.width,
            plan.image.height,
            seconds * 1e3,
            measured.images as f64 / seconds,
        );
        if B::ASYNCHRONOUS {
            say!(
                "with a wait for every op, to see what each takes, a step takes {:.3} ms:",
                disturbed.as_secs_f64() * 1e3
            );
        }
        say!("{}", measured.table().trim_end());
    }
    Ok(())
}

/// Trains a new model for `steps` steps (at least one), and some before them that are not measured. Every step has a
/// whole batch, or all images where there are fewer.
///
/// # Errors
/// No training images, a shard missing or altered, a failure of the device, an interruption.
pub fn measure<B: Backend, D: Data>(plan: &ModelPlan, data: &D, steps: usize, device: &B) -> Result<StepProfile> {
    let Run { stepper, images, .. } = run(plan, data, steps, device, Clocks::EveryOp)?;
    Ok(stepper.profile(images))
}

/// The mean time of a step of training with nothing that disturbs it: the device is waited for only once, after all
/// steps, which begin when it has all images that it keeps.
///
/// # Errors
/// As [`measure`].
pub fn step_time<B: Backend, D: Data>(plan: &ModelPlan, data: &D, steps: usize, device: &B) -> Result<MeanTime> {
    let Run { images, time, .. } = run(plan, data, steps, device, Clocks::StepsOnly)?;
    Ok(MeanTime { images, time: time / steps as u32 })
}

/// The mean time of inference: from the bytes of a batch, on the device if it keeps images, to logits on the device,
/// which is waited for only once, after all batches.
///
/// # Errors
/// The device failed.
pub fn inference_time<B: Backend>(model: &Model<B>, images: usize, runs: usize) -> Result<MeanTime> {
    let noise = Arc::new(Noise(images));
    let mut feed = model.feed(images, images)?;
    let mut batches = feed.epoch(&noise, (0..images).cycle().take(images * (WARM_UP + runs)).collect())?;
    let mut inference = Inference::of(model)?;
    let mut infer = |runs: usize| {
        for batch in batches.by_ref().take(runs) {
            inference.forward_batch(&batch?)?;
        }
        model.device.try_synchronize().map_err(device_error("the wait for logits"))
    };
    infer(WARM_UP)?;
    let started = Instant::now();
    infer(runs)?;
    Ok(MeanTime { images, time: started.elapsed() / runs as u32 })
}

/// So many images of noise.
struct Noise(usize);

impl Images for Noise {
    fn count(&self) -> usize {
        self.0
    }

    fn label(&self, _image: usize) -> usize {
        0
    }

    fn source(&self, _image: usize) -> &str {
        "noise"
    }

    fn read_pixels(&self, image: usize, pixels: &mut [u8]) -> Result<()> {
        let noise = |at: usize| (((image * 31 + at) * 2_654_435_761) >> 13) as u8;
        pixels.iter_mut().enumerate().for_each(|(at, pixel)| *pixel = noise(at));
        Ok(())
    }
}

/// What a batch takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeanTime {
    /// Images of a batch.
    pub images: usize,
    /// The mean over some batches.
    pub time: Duration,
}

impl MeanTime {
    /// Images a second.
    pub fn rate(&self) -> f64 {
        self.images as f64 / self.time.as_secs_f64()
    }
}

/// What has a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clocks {
    EveryOp,
    StepsOnly,
}

/// Some measured steps.
struct Run<B: Backend> {
    stepper: Stepper<B>,
    /// Images a step.
    images: usize,
    /// Of all measured steps.
    time: Duration,
}

fn run<B: Backend, D: Data>(plan: &ModelPlan, data: &D, steps: usize, device: &B, clocks: Clocks) -> Result<Run<B>> {
    let rows = Arc::new(EpochImages::of(data, plan.copies(), plan.seed, 0)?);
    let count = rows.count();
    if count == 0 {
        return Err(Error::new("the training split is empty").hint("lower `preprocess.split.validation` and `.test`"));
    }
    let mut stepper = Stepper::new(plan, device)?;
    let images = plan.batch_size.min(count);
    let warm_up = match clocks {
        Clocks::EveryOp => WARM_UP,
        Clocks::StepsOnly => count.div_ceil(images).clamp(WARM_UP, MOST_WARM_UP),
    };
    let order = whole_batches(count, images, steps + warm_up, plan.seed);
    let mut feed = stepper.learner.model.feed(rows.keys(), images)?;
    let mut batches = feed.epoch(&rows, order)?;
    let wait = || device.try_synchronize().map_err(device_error("the wait for a step"));
    for _ in 0..warm_up {
        stepper.step(&mut batches)?;
    }
    wait()?;
    stepper.restart_clocks(clocks);
    let started = Instant::now();
    for _ in 0..steps {
        interrupt::check()?;
        stepper.step(&mut batches)?;
    }
    wait()?;
    let time = started.elapsed();
    drop(batches);
    Ok(Run { stepper, images, time })
}

/// The images of `steps` batches, through as many epochs as that takes; what is left over at the end of an epoch is
/// passed over.
fn whole_batches(count: usize, images: usize, steps: usize, seed: u64) -> Vec<usize> {
    let whole = count / images * images;
    let epoch = |epoch| shuffled(count, seed, epoch).into_iter().take(whole);
    (0..).flat_map(epoch).take(steps * images).collect()
}

/// A model in training, and the clocks around its steps.
struct Stepper<B: Backend> {
    learner: Learner<B>,
    score: Score,
    steps: Vec<Duration>,
    wait: Clock,
    ops: Profile,
}

impl<B: Backend> Stepper<B> {
    fn new(plan: &ModelPlan, device: &B) -> Result<Self> {
        let learner = Learner::new(plan, device)?;
        let (steps, wait, ops) = (Vec::new(), Clock::default(), Profile::default());
        Ok(Self { learner, score: Score::default(), steps, wait, ops })
    }

    fn restart_clocks(&mut self, clocks: Clocks) {
        (self.steps, self.wait, self.ops) = (Vec::new(), Clock::default(), Profile::default());
        self.learner.clocks = StepClocks::default();
        self.learner.ops = (clocks == Clocks::EveryOp).then(|| self.ops.clone());
    }

    /// What the training loop does with a batch.
    fn step(&mut self, batches: &mut impl Iterator<Item = Result<Batch<Pixels<B>>>>) -> Result<()> {
        let started = Instant::now();
        let ended = || {
            Err(Error::new(
                "there were fewer batches than steps: the data set changed meanwhile, or this is a mistake in this program",
            ))
        };
        let batch = self.wait.time(|| batches.next().unwrap_or_else(ended))?;
        self.learner.step(&batch, &mut self.score)?;
        drop(batch);
        self.steps.push(started.elapsed());
        Ok(())
    }

    fn profile(self, images: usize) -> StepProfile {
        let StepClocks { input, forward, metrics, loss, backward, optimizer, average } = self.learner.clocks;
        let in_pass = |direction: Direction, clock: Clock, rest: &str| {
            let is_in_loss = |row: &ProfileRow| direction == Direction::Forward && IN_LOSS.contains(&row.op.as_str());
            let rows = self.ops.rows().into_iter().filter(|row| row.direction == direction && !is_in_loss(row));
            let mut parts: Vec<Part> = rows.map(op_part).collect();
            let ops = parts.iter().map(|part| part.time).sum();
            let between = Clock { time: clock.time.saturating_sub(ops), fastest: None };
            parts.push(Part { direction: Some(direction), ..part(between, rest) });
            parts
        };
        let mut parts = vec![part(self.wait, "waiting for a batch"), part(input, "bytes to floats")];
        parts.extend(in_pass(Direction::Forward, forward, "between the ops"));
        parts.push(part(loss, "loss"));
        parts.extend(in_pass(Direction::Backward, backward, "loss, between the ops"));
        parts.push(part(optimizer, "optimiser"));
        if self.learner.average.is_some() {
            parts.push(part(average, "moving average"));
        }
        parts.push(part(metrics, "metrics"));
        StepProfile { images, steps: self.steps, parts }
    }
}

fn op_part(row: ProfileRow) -> Part {
    let ProfileRow { op: name, direction, time, fastest, flops, .. } = row;
    Part { name, direction: Some(direction), time, fastest, flops }
}

fn part(clock: Clock, name: &str) -> Part {
    let fastest = clock.fastest.unwrap_or_default();
    Part { name: name.to_owned(), direction: None, time: clock.time, fastest, flops: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn the_lines_of_the_table_add_up_to_the_step() {
        let part = |name: &str, direction, time, flops| Part {
            name: name.to_owned(),
            direction,
            time: milliseconds(time),
            fastest: milliseconds(time / 2),
            flops,
        };
        let profile = StepProfile {
            images: 32,
            steps: vec![milliseconds(60), milliseconds(40)],
            parts: vec![
                part("waiting for a batch", None, 10, 0),
                part("conv1", Some(Direction::Forward), 30, 6_000_000_000),
                part("conv1", Some(Direction::Backward), 50, 12_000_000_000),
            ],
        };
        assert_eq!((profile.rest(), profile.flops()), (milliseconds(10), 9_000_000_000));
        let table = profile.table();
        for (name, line) in [
            ("no pass, no operations", "waiting for a batch 5.000 10.0 %"),
            ("forward", "conv1 forward 15.000 30.0 % 200.0"),
            ("backward", "conv1 backward 25.000 50.0 % 240.0"),
            ("what no part holds", "rest of the step 5.000 10.0 %"),
            ("all", "step 50.000 100.0 % 180.0"),
        ] {
            let is_there = table.lines().any(|found| found.split_whitespace().eq(line.split_whitespace()));
            assert!(is_there, "{name}: no `{line}` in\n{table}");
        }
    }

    #[test]
    fn every_batch_is_whole_and_no_image_comes_twice_in_an_epoch() {
        for (name, count, images, steps) in
            [("within an epoch", 100, 8, 5), ("several epochs", 21, 8, 9), ("one batch an epoch", 5, 5, 3)]
        {
            let order = whole_batches(count, images, steps, 1);
            assert_eq!(order.len(), images * steps, "{name}");
            for epoch in order.chunks(count / images * images) {
                let distinct: std::collections::HashSet<_> = epoch.iter().collect();
                assert_eq!(distinct.len(), epoch.len(), "{name}");
            }
        }
    }
}

//! Where the time of a training step goes: some steps on the real shards, every part of them on a clock, nothing written.
//!
//! A step is what the training loop ([`fit`](crate::fit)) does with a batch. Each of its parts has a clock, each op within the forward
//! and the backward pass has its own, and what no clock caught is shown as the rest, so that the lines add up to the step.

use crate::backend::{Backend, Pixels};
use crate::batches::{Images, shuffled};
use crate::copies::EpochImages;
use crate::feed::Batch;
use crate::metrics::Score;
use crate::pass::{Direction, Profile, ProfileRow};
use crate::plan::{self, ModelPlan};
use crate::step::{Clock, Learner, StepClocks};
use crate::training_data::{Data, TrainingData};
use preprocess::pipeline::Pipeline;
use preprocess::stage::interrupt;
use preprocess::{Error, Result, say};
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Steps before the clocks start: the first ones fetch memory that later ones reuse.
const WARM_UP: usize = 2;

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
    pub fn rest(&self) -> Duration {
        self.time().saturating_sub(self.parts.iter().map(|part| part.time).sum())
    }

    /// Floating-point operations of a step, as the direct algorithms have them.
    pub fn flops(&self) -> usize {
        self.parts.iter().map(|part| part.flops).sum::<usize>() / self.steps.len().max(1)
    }

    /// A line a part: milliseconds a step, share of the step, GFLOP/s. The shares add up to 100 %.
    pub fn table(&self) -> String {
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

/// Measures `steps` steps of one model of the pipeline file on its shards and prints where their time went.
///
/// # Errors
/// No such model, no finished shards, or what stops training.
pub fn profile<B: Backend>(pipeline: &Pipeline, name: &str, steps: usize, device: &B) -> Result<()> {
    plan::find(pipeline, name)?;
    let data = TrainingData::open(pipeline)?;
    for plan in plan::plan(pipeline, &[name.to_owned()], &data)? {
        let measured = measure(&plan, &data, steps, device)?;
        let seconds = measured.time().as_secs_f64() / steps as f64;
        say!(
            "{name}: {steps} steps of {} images of {}x{}, {:.1} ms a step, {:.1} images/s",
            measured.images,
            plan.image.width,
            plan.image.height,
            seconds * 1e3,
            measured.images as f64 / seconds,
        );
        say!("{}", measured.table().trim_end());
    }
    Ok(())
}

/// Trains a new model for `steps` steps (at least one), and some before them that are not measured. Every step has a whole batch, or all
/// images where there are fewer.
///
/// # Errors
/// No training images, a shard missing or altered, a failure of the device, an interruption.
pub fn measure<B: Backend, D: Data>(plan: &ModelPlan, data: &D, steps: usize, device: &B) -> Result<StepProfile> {
    let rows = Arc::new(EpochImages::of(data, plan, 0)?);
    let count = rows.count();
    if count == 0 {
        return Err(Error::new("the training split is empty").hint("lower `preprocess.split.validation` and `.test`"));
    }
    let mut stepper = Stepper::new(plan, device)?;
    let images = plan.batch_size.min(count);
    let order = whole_batches(count, images, steps + WARM_UP, plan.seed);
    let mut feed = stepper.learner.model.feed(rows.keys(), images)?;
    let mut batches = feed.epoch(&rows, order)?;
    for _ in 0..WARM_UP {
        stepper.step(&mut batches)?;
    }
    stepper.restart_clocks();
    for _ in 0..steps {
        interrupt::check()?;
        stepper.step(&mut batches)?;
    }
    Ok(stepper.profile(images))
}

/// The images of `steps` batches, through as many epochs as that takes; what is left over at the end of an epoch is passed over.
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
        let mut stepper = Self {
            learner,
            score: Score::default(),
            steps: Vec::new(),
            wait: Clock::default(),
            ops: Profile::default(),
        };
        stepper.restart_clocks();
        Ok(stepper)
    }

    fn restart_clocks(&mut self) {
        (self.steps, self.wait, self.ops) = (Vec::new(), Clock::default(), Profile::default());
        (self.learner.clocks, self.learner.ops) = (StepClocks::default(), Some(self.ops.clone()));
    }

    /// What the training loop does with a batch.
    fn step(&mut self, batches: &mut impl Iterator<Item = Result<Batch<Pixels<B>>>>) -> Result<()> {
        let started = Instant::now();
        let ended = || Err(Error::new("the images ended early"));
        let batch = self.wait.time(|| batches.next().unwrap_or_else(ended))?;
        self.learner.step(&batch, &mut self.score)?;
        drop(batch);
        self.steps.push(started.elapsed());
        Ok(())
    }

    fn profile(self, images: usize) -> StepProfile {
        let StepClocks { input, forward, metrics, loss, backward, optimizer, average } = self.learner.clocks;
        let in_pass = |direction: Direction, clock: Clock, rest: &str| {
            let rows = self.ops.rows().into_iter().filter(|row| row.direction == direction);
            let mut parts: Vec<Part> = rows.map(op_part).collect();
            let ops = parts.iter().map(|part| part.time).sum();
            let between = Clock { time: clock.time.saturating_sub(ops), fastest: None };
            parts.push(Part { direction: Some(direction), ..part(between, rest) });
            parts
        };
        let mut parts = vec![part(self.wait, "waiting for a batch"), part(input, "bytes to floats")];
        parts.extend(in_pass(Direction::Forward, forward, "between the ops"));
        parts.extend([part(metrics, "metrics"), part(loss, "loss")]);
        parts.extend(in_pass(Direction::Backward, backward, "loss, between the ops"));
        parts.push(part(optimizer, "optimiser"));
        if self.learner.average.is_some() {
            parts.push(part(average, "moving average"));
        }
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

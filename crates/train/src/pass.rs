//! One pass through a network: the mode, the tape, the memory, and where the time went.

use crate::backend::{Backend, DeviceFailure};
use dfdx::tensor::{Gradients, OwnedTape, Tape};
use indexmap::IndexMap;
use preprocess::{Error, Result};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// State of one forward pass and of the backward pass that follows it.
#[derive(Debug)]
pub struct Pass<B: Backend> {
    device: B,
    pool: B::Pool,
    tape: Option<OwnedTape<f32, B>>,
    training: bool,
    randomness: Randomness,
    profile: Option<Profile>,
}

/// What determines the random choices of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Randomness {
    /// The run's seed.
    pub seed: u64,
    /// The step, counted through the whole run.
    pub step: u64,
    /// The layer within the network, counted as the pass goes on.
    pub layer: u64,
}

impl<B: Backend> Pass<B> {
    /// A training pass: statistics of the batch, dropout, and a tape for the gradients. `pool` is to be kept from step to step.
    pub fn train(device: &B, pool: &B::Pool, seed: u64, step: u64) -> Self {
        let randomness = Randomness { seed, step, layer: 0 };
        let tape = Some(OwnedTape::default());
        Self { device: device.clone(), pool: pool.clone(), tape, training: true, randomness, profile: None }
    }

    /// An inference pass: moving statistics, no dropout, no tape.
    pub fn infer(device: &B, pool: &B::Pool) -> Self {
        let (device, pool) = (device.clone(), pool.clone());
        Self { device, pool, tape: None, training: false, randomness: Randomness::default(), profile: None }
    }

    /// Records in `profile` what each op takes, forward and backward.
    pub fn with_profile(mut self, profile: &Profile) -> Self {
        self.profile = Some(profile.clone());
        self
    }

    /// Where the tensors live.
    pub fn device(&self) -> &B {
        &self.device
    }

    /// Free buffers.
    pub fn pool(&self) -> &B::Pool {
        &self.pool
    }

    /// Whether layers behave as in training.
    pub fn is_training(&self) -> bool {
        self.training
    }

    /// Whether gradients are recorded.
    pub fn has_tape(&self) -> bool {
        self.tape.is_some()
    }

    /// Hands out the tape, to be put on the logits; an empty one in an inference pass.
    pub fn take_tape(&mut self) -> OwnedTape<f32, B> {
        self.tape.take().unwrap_or_default()
    }

    /// What determines the random choices of the next layer that makes some.
    pub(crate) fn next_randomness(&mut self) -> Randomness {
        let current = self.randomness;
        self.randomness.layer += 1;
        current
    }

    /// Runs an op's forward kernel under its name in the profile and in an error.
    pub(crate) fn forward<'a, R>(&self, op: impl Into<Op<'a>>, run: impl FnOnce(&B) -> Result<R, B::Err>) -> Result<R> {
        let op = op.into();
        timed(self.profile.as_ref(), &self.device, op, Direction::Forward, || run(&self.device))
            .map_err(device_error(op.name))
    }

    /// Puts an op's backward kernel on the tape, if there is one.
    pub(crate) fn on_backward<'a>(
        &mut self,
        op: impl Into<Op<'a>>,
        run: impl 'static + FnOnce(&B, &B::Pool, &mut Gradients<f32, B>) -> Result<(), B::Err>,
    ) {
        let Some(tape) = &mut self.tape else { return };
        let Op { name, flops } = op.into();
        let (device, pool, profile, name) =
            (self.device.clone(), self.pool.clone(), self.profile.clone(), name.to_owned());
        tape.add_backward_op(move |gradients| {
            let op = Op { name: &name, flops };
            timed(profile.as_ref(), &device, op, Direction::Backward, || run(&device, &pool, gradients))
        });
    }
}

/// How an error begins that says that a device had too little memory.
const OUT_OF_MEMORY: &str = "the device's memory is not enough";

/// Turns a device's error into one that names the op.
pub(crate) fn device_error<E: DeviceFailure>(op: &str) -> impl FnOnce(E) -> Error {
    move |error| match error.is_out_of_memory() {
        true => Error::new(format!("{OUT_OF_MEMORY} for {op}"))
            .because(error.in_words())
            .hint("set a smaller `train.batch_size` or smaller images, or compute on the processor: `--device cpu`"),
        false => Error::new(format!("the device failed in {op}")).because(error.in_words()),
    }
}

/// Whether [`device_error`] made this error of one that says so.
pub(crate) fn is_out_of_memory(error: &Error) -> bool {
    error.message().starts_with(OUT_OF_MEMORY)
}

/// Which way an op ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Computing activations.
    Forward,
    /// Computing gradients.
    Backward,
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
        })
    }
}

/// Time spent in each op, summed over passes. A clone shares the sums.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    rows: Rc<RefCell<IndexMap<(String, Direction), ProfileRow>>>,
}

/// Time spent in one op.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileRow {
    /// The layer's name, or the op's where there is no layer.
    pub op: String,
    /// Which way.
    pub direction: Direction,
    /// Over all runs.
    pub time: Duration,
    /// Of the fastest run: what the op takes where nothing disturbs it.
    pub fastest: Duration,
    /// Floating-point operations over all runs, as the direct algorithm has them; 0 where they do not matter.
    pub flops: usize,
    /// Times that the op ran.
    pub runs: usize,
}

impl Profile {
    /// In the order in which the ops first ran.
    pub fn rows(&self) -> Vec<ProfileRow> {
        self.rows.borrow().values().cloned().collect()
    }

    fn record(&self, op: &str, direction: Direction, time: Duration, flops: usize) {
        let mut rows = self.rows.borrow_mut();
        let new = || ProfileRow {
            op: op.to_owned(),
            direction,
            time: Duration::ZERO,
            fastest: Duration::MAX,
            flops: 0,
            runs: 0,
        };
        let row = rows.entry((op.to_owned(), direction)).or_insert_with(new);
        row.time += time;
        row.fastest = row.fastest.min(time);
        row.flops += flops;
        row.runs += 1;
    }
}

/// Runs an op and records its time. A device that works on its own is waited for before and after: what it takes to ask for the op
/// would say nothing. Without a profile nobody waits.
fn timed<B: Backend, R>(
    profile: Option<&Profile>,
    device: &B,
    op: Op<'_>,
    direction: Direction,
    run: impl FnOnce() -> Result<R, B::Err>,
) -> Result<R, B::Err> {
    let Some(profile) = profile else { return run() };
    device.try_synchronize()?;
    let start = Instant::now();
    let result = run()?;
    device.try_synchronize()?;
    profile.record(op.name, direction, start.elapsed(), op.flops);
    Ok(result)
}

/// What a profile says about a run of an op.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Op<'a> {
    pub name: &'a str,
    /// Floating-point operations; 0 where they do not matter.
    pub flops: usize,
}

impl<'a> From<&'a str> for Op<'a> {
    fn from(name: &'a str) -> Self {
        Self { name, flops: 0 }
    }
}

impl<'a> From<&'a String> for Op<'a> {
    fn from(name: &'a String) -> Self {
        Self { name, flops: 0 }
    }
}

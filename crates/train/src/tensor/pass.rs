//! One pass through a network: the mode, the tape, the memory, and where the time went.

use super::failure::device_error;
use super::memory::Memory;
use super::op_times::{Direction, Op, Profile, timed};
use dfdx::tensor::{Gradients, OwnedTape, Tape};
use preprocess::Result;

/// State of one forward pass and of the backward pass that follows it.
#[derive(Debug)]
pub struct Pass<B: Memory> {
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

impl<B: Memory> Pass<B> {
    /// A training pass: statistics of the batch, dropout, and a tape for the gradients. `pool` is to be kept from step
    /// to step.
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

    /// Runs `run` as part of an inference pass: nothing of it is changed by training, and no gradient goes there.
    pub(crate) fn standing_still<R>(&mut self, run: impl FnOnce(&mut Self) -> R) -> R {
        let (tape, training) = (self.tape.take(), std::mem::replace(&mut self.training, false));
        let result = run(self);
        (self.tape, self.training) = (tape, training);
        result
    }

    /// Records in `profile` what each op takes, forward and backward.
    pub(crate) fn with_profile(mut self, profile: &Profile) -> Self {
        self.profile = Some(profile.clone());
        self
    }

    /// Where the tensors live.
    pub(crate) fn device(&self) -> &B {
        &self.device
    }

    /// Free buffers.
    pub(crate) fn pool(&self) -> &B::Pool {
        &self.pool
    }

    /// Whether layers behave as in training.
    pub(crate) fn is_training(&self) -> bool {
        self.training
    }

    /// Whether gradients are recorded.
    pub(crate) fn has_tape(&self) -> bool {
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

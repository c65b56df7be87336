//! What happens while a model is trained. The loop trains; who listens prints, draws, records.

use crate::model::history::{EpochScores, EpochTiming};
use crate::training::head::Passed;

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Event<'a> {
    /// There are checkpoints, but of another run: this one begins from the start.
    StartedOver {
        /// Whether the number of epochs is among what makes a run another.
        epochs_count: bool,
    },
    /// The run goes on after so many epochs.
    Resumed {
        /// Epochs done.
        epochs: usize,
    },
    /// The head of a pretrained network has been fitted to the features of the rest.
    HeadFitted {
        /// Passes over the features.
        passes: usize,
        /// λ that was chosen.
        penalty: f64,
        /// What the last pass saw.
        last: Passed,
    },
    /// All is ready for the first step.
    Began {
        /// Values in all parameters.
        parameters: usize,
        /// Training images of an epoch.
        images: usize,
        /// Images of a step, at most.
        batch_size: usize,
        /// Images that each epoch is validated on.
        validation_images: usize,
    },
    /// The device keeps training images between epochs.
    ImagesKept {
        /// Images kept.
        kept: usize,
        /// Images in all, copies included.
        all: usize,
        /// What they take.
        bytes: usize,
    },
    /// An epoch begins.
    EpochBegan {
        /// From 1.
        epoch: usize,
        /// The most epochs that there will be.
        epochs: usize,
        /// Images of the epoch.
        images: usize,
    },
    /// A step has been taken.
    Stepped {
        /// Images of the step.
        images: usize,
        /// Mean over the epoch so far, in nats.
        loss: f64,
        /// Over the epoch so far.
        accuracy: f64,
    },
    /// All steps of an epoch have been taken; validation comes next.
    EpochTrained,
    /// An epoch has been validated.
    EpochEnded {
        /// Its row in the history.
        scores: &'a EpochScores,
        /// How long it took.
        timing: &'a EpochTiming,
        /// The most epochs that there will be.
        epochs: usize,
        /// Images that it was validated on.
        validation_images: usize,
    },
}

/// Somebody who is told.
pub(crate) trait Listener {
    /// Called in the order of the events, between the steps: what takes long here makes training wait.
    fn hear(&mut self, event: Event<'_>);
}

/// Nobody.
impl Listener for () {
    fn hear(&mut self, _: Event<'_>) {}
}

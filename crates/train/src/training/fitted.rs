//! What training ends with.

use crate::model::Model;
use crate::model::history::{EpochScores, EpochTiming};
use crate::ops::Backend;
use crate::training::early_stopping::Stop;
use crate::training::margins::Margins;

/// A model that has been trained to the end.
pub(crate) struct Fitted<B: Backend> {
    /// The weights of the best epoch.
    pub model: Model<B>,
    /// One row an epoch.
    pub scores: Vec<EpochScores>,
    /// One row an epoch.
    pub timings: Vec<EpochTiming>,
    /// Of the training images.
    pub margins: Margins,
    /// From 1.
    pub best_epoch: usize,
    /// Why training ended.
    pub stop: Stop,
}

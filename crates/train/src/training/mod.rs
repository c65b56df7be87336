//! From batches to trained weights, epoch by epoch.

pub(crate) mod average;
pub(crate) mod checkpoint;
pub(crate) mod early_stopping;
pub(crate) mod events;
pub(crate) mod fit;
pub mod optimizer;
pub(crate) mod ownership;
pub mod plan;
pub(crate) mod schedule;
pub(crate) mod step;
pub mod succession;

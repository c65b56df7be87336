//! From batches to trained weights, epoch by epoch.

pub mod average;
pub mod checkpoint;
pub mod early_stopping;
pub mod events;
pub mod fit;
pub mod optimizer;
pub mod ownership;
pub mod plan;
pub mod schedule;
pub mod step;
pub mod succession;

//! From batches to trained weights, epoch by epoch.

pub(crate) mod average;
pub(crate) mod checkpoint;
pub(crate) mod early_stopping;
pub(crate) mod events;
pub(crate) mod features;
pub(crate) mod fit;
pub(crate) mod fitted;
pub(crate) mod head;
pub(crate) mod lbfgs;
pub(crate) mod margins;
pub(crate) mod mixing;
pub mod optimizer;
pub(crate) mod ownership;
pub mod plan;
pub(crate) mod rare_classes;
pub(crate) mod schedule;
pub(crate) mod step;
pub mod succession;
pub(crate) mod tuning;

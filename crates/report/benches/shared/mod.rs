//! What the benchmarks need: the machine and its peaks, photographs, a run of the real programs, and a table to print.

// Each of them uses a part.
#![allow(dead_code)]

pub mod batches;
#[cfg(feature = "cuda")]
pub mod gpu;
pub mod machine;
pub mod peak;
pub mod photos;
pub mod programs;
pub mod sections;
pub mod table;
pub mod timing;

/// Images a step.
pub const BATCH: usize = 32;
/// Width and height of the model's images, in pixels.
pub const SIDE: usize = 128;
/// Classes of drawn photographs: the notebook's.
pub const CLASSES: usize = 19;

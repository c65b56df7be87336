//! End-to-end tests: the real binaries on real small images (`data/fashion-mnist`).

// A failed expectation is how a test reports.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod harness;

mod artefacts;
mod audit;
mod bad_input;
mod changed_files;
#[cfg(feature = "cuda")]
mod cuda;
mod foreign_files;
mod gate;
mod interruption;
mod preprocess;
mod train;
mod training_beside;
mod whole_pipeline;

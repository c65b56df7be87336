//! End-to-end tests: the real binaries on real small images (`data/fashion-mnist`).

mod harness;

mod bad_input;
mod gate;
mod interruption;
mod preprocess;
mod train;
mod whole_pipeline;

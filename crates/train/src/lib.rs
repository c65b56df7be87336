//! The second stage: Parquet shards in, models and their predictions out.
//!
//! Its rooms, from the ground up; each imports those above it in this list alone, but for the edge between data and devices:
//!
//! - [`tensor`]: what an op is written in terms of: memory, feature maps, gradients, parameters;
//! - [`data`]: from shards to batches on a device;
//! - [`device`]: what is computed on: the processor, and GPUs by CUDA;
//! - [`ops`]: what networks are made of, each with its kernels and its backward pass on dfdx's tape;
//! - [`weights`]: files of weights from elsewhere;
//! - [`network`]: a description as data, and a network with weights that runs it;
//! - [`model`]: a network with all it takes to be used on images, and its directory;
//! - [`training`]: from batches to trained weights, epoch by epoch;
//! - [`audit`]: what can be told of each image from frozen features;
//! - [`commands`]: what the sub-commands do.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod audit;
pub mod cli;
pub mod commands;
pub mod data;
pub mod device;
pub mod model;
pub mod network;
pub mod ops;
pub mod tensor;
pub mod training;
pub(crate) mod weights;

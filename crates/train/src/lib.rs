//! The second stage: Parquet shards in, models and their predictions out.
//!
//! The network, from the ground up: [`backend`] is the seam between devices, [`feature_map`] holds activations in a
//! layout of our own, [`ops`] compute on them and record their gradients on dfdx's tape through a [`pass`], [`layers`]
//! own the parameters, [`architectures`] put layers together, [`optimizer`] moves the parameters.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod architectures;
pub mod backend;
pub mod cli;
pub mod feature_map;
pub mod history;
pub mod initialization;
pub mod layers;
pub mod model_directory;
pub mod network;
pub mod ops;
pub mod optimizer;
pub mod parameter;
pub mod pass;
pub mod predictions;
pub mod summary;

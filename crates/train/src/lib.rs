//! The second stage: Parquet shards in, models and their predictions out.
//!
//! The network, from the ground up: [`device`] is what is computed on, [`backend`] the seam between devices, [`feature_map`] holds activations in a
//! layout of our own, [`ops`] compute on them and record their gradients on dfdx's tape through a [`pass`], [`layers`]
//! own the parameters, [`architectures`] put layers together, [`optimizer`] moves the parameters, and [`average`] keeps a
//! moving average of them.
//!
//! The run: [`plan`] is what is to be trained, [`training_data`] and [`batches`] read the images, [`copies`] says which copy of
//! each an epoch sees, [`feed`] brings them to the device, [`fit`] is the loop of [`step`]s, with the learning rates of its [`schedule`], [`early_stopping`] and [`checkpoint`], [`run`]
//! does it for every model and publishes the [`model_directory`] with its [`history`] and [`predictions`]. [`predict`] and
//! [`evaluate`] use a finished [`model`] on image files; [`profile`] says where the time of a step goes.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod architectures;
pub mod arrays;
pub mod average;
pub mod backend;
pub mod batches;
pub mod checkpoint;
pub mod cli;
mod config_check;
pub mod copies;
pub mod device;
pub mod early_stopping;
pub mod evaluate;
pub mod feature_map;
pub mod feed;
pub mod fit;
pub mod history;
pub mod image_files;
pub mod initialization;
pub mod layers;
pub mod metrics;
pub mod model;
pub mod model_directory;
pub mod network;
pub mod ops;
pub mod optimizer;
mod ownership;
pub mod parameter;
pub mod pass;
pub mod plan;
pub mod predict;
pub mod predictions;
pub mod profile;
pub mod run;
pub mod schedule;
pub mod step;
pub mod succession;
pub mod summary;
pub mod training_data;

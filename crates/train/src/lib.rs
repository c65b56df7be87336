//! The second stage: Parquet shards in, models and their predictions out.
//!
//! The network, from the ground up: [`device`] is what is computed on, [`backend`] the seam between devices,
//! [`feature_map`] holds activations in a layout of our own, [`ops`] compute on them and record their gradients on
//! dfdx's tape through a [`pass`], [`layers`] own the parameters, [`architectures`] put layers together, [`optimizer`]
//! moves the parameters, and [`average`] keeps a moving average of them.
//!
//! The run: [`plan`] is what is to be trained, [`training_data`] and [`batches`] read the images, [`copies`] says
//! which copy of each an epoch sees, [`feed`] brings them to the device, [`fit`] is the loop of [`step`]s, with the
//! learning rates of its [`schedule`], [`early_stopping`] and [`checkpoint`], [`run`] does it for every model and
//! publishes the [`model_directory`] with its [`history`] and [`predictions`]. [`predict`] and [`evaluate`] use a
//! finished [`model`] on image files; [`profile`] says where the time of a step goes.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod cli;
pub mod commands;
pub mod data;
pub mod device;
pub mod model;
pub mod network;
pub mod ops;
pub mod tensor;
pub mod training;

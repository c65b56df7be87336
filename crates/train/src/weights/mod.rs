//! Weights from elsewhere: safetensors files of other programs, and what is said beside them.

pub(crate) mod config;
pub(crate) mod foreign;
pub(crate) mod hub;
mod kind;
mod numbers;

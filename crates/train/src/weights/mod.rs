//! Weights from elsewhere.

pub(crate) mod config;
pub(crate) mod foreign;
pub(crate) mod hub;
mod kind;
mod numbers;

//! Weights from elsewhere: safetensors files of other programs.

pub(crate) mod foreign;
mod kind;
mod numbers;

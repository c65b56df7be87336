//! What ops compute on: memory, activations, gradients, a pass.

pub mod activation;
pub(crate) mod arrays;
pub(crate) mod failure;
pub mod feature_map;
pub(crate) mod gradient;
pub mod memory;
pub mod op_times;
pub mod parameter;
pub mod pass;
pub mod pending;
pub mod standardization;

//! What ops compute on: memory, activations, gradients, a pass.

pub mod activation;
pub mod arrays;
pub mod failure;
pub mod feature_map;
pub mod gradient;
pub mod memory;
pub mod op_times;
pub mod parameter;
pub mod pass;
pub mod pending;
pub mod standardization;

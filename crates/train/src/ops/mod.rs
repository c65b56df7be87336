//! The ops that networks are built from. One folder each: `mod.rs` says what it computes, with formula and shapes, and
//! puts its backward pass on the tape; `reference.rs` computes it in plain loops; `cpu.rs` computes it fast.

pub mod add;
pub mod batch_norm2d;
pub mod conv2d;
pub mod dense;
pub mod dropout;
pub mod flatten;
#[cfg(feature = "cuda")]
pub(crate) mod gemm;
pub mod layout;
pub mod max_pool2d;
pub(crate) mod parallel;
pub mod relu;
pub mod simd;
pub(crate) mod sums;
#[cfg(test)]
mod testing;

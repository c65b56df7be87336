//! The ops that networks are built from. One folder each: `mod.rs` says what it computes, with formula and shapes, and
//! puts its backward pass on the tape; `reference.rs` computes it in plain loops; `cpu.rs` and `cuda.cu` compute it fast.

pub mod adam;
pub mod add;
pub mod batch_norm2d;
pub mod conv2d;
pub mod cross_entropy;
pub mod dense;
pub mod dropout;
pub mod flatten;
#[cfg(feature = "cuda")]
pub(crate) mod gemm;
pub mod images;
pub mod layout;
pub mod max_pool2d;
pub mod moving_average;
pub(crate) mod parallel;
#[cfg(feature = "cuda")]
pub mod peak;
pub mod relu;
pub mod simd;
pub(crate) mod sums;
#[cfg(test)]
mod testing;

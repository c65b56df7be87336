//! The rectifier of a fused op: `y = max(x, 0)`, `dx = dy` where `y > 0` and zero elsewhere.
//!
//! Convolutions and dense layers clamp as they store, so there is only a gradient here.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub mod reference;

use crate::tensor::pending::PendingKernel;

/// Kernels of the rectifier's gradient.
pub trait ReluKernel: PendingKernel {
    /// Zeroes `gradient` where the output `y` of the ReLU is not positive.
    fn relu_gradient(&self, y: &Self::Buffer, gradient: &mut Self::Buffer) -> Result<(), Self::Err>;
}

//! The ops that networks are built from. One folder each: `mod.rs` says what it computes, with formula and shapes, and
//! puts its backward pass on the tape; `reference.rs` computes it in plain loops; `cpu.rs` and `cuda.cu` compute it
//! fast.

pub mod activation;
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
pub mod global_avg_pool2d;
pub mod gradient_norm;
pub mod max_pool2d;
pub mod mix;
pub mod moving_average;
pub mod sgd;
#[cfg(test)]
pub(crate) mod testing;

use crate::data::store::ImageMemory;
use crate::tensor::memory::Memory;
use crate::tensor::pending::PendingKernel;
use activation::ActivationKernel;
use adam::AdamKernel;
use add::SumKernel;
use batch_norm2d::BatchNorm2dKernel;
use conv2d::Conv2dKernel;
use cross_entropy::CrossEntropyKernel;
use dense::DenseKernel;
use dfdx::tensor::Cpu;
use dropout::DropoutKernel;
use flatten::FlattenKernel;
use global_avg_pool2d::GlobalAvgPool2dKernel;
use gradient_norm::GradientNormKernel;
use max_pool2d::MaxPool2dKernel;
use mix::MixKernel;
use moving_average::MovingAverageKernel;
use sgd::SgdKernel;

/// A device that networks run on: memory and one kernel for every op.
pub trait Backend:
    Memory
    + ImageMemory
    + Conv2dKernel
    + MaxPool2dKernel
    + GlobalAvgPool2dKernel
    + SumKernel
    + BatchNorm2dKernel
    + PendingKernel
    + ActivationKernel
    + FlattenKernel
    + DenseKernel
    + DropoutKernel
    + CrossEntropyKernel
    + MixKernel
    + AdamKernel
    + SgdKernel
    + GradientNormKernel
    + MovingAverageKernel
{
}

impl Backend for Cpu {}

#[cfg(feature = "cuda")]
impl Backend for dfdx::tensor::Cuda {}

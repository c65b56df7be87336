//! A step of an exponential moving average of many parameters: `average ← d · average + (1 - d) · parameter`.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub mod reference;

use crate::tensor::memory::{Memory, Vector};

/// Kernels of the average.
pub trait MovingAverageKernel: Memory {
    /// Moves all averages, each towards the parameter beside it, which is as long. `decay` is d.
    ///
    /// An average's memory may be written in place, so nobody else may hold the same tensor.
    fn moving_average(
        &self,
        pool: &Self::Pool,
        decay: f64,
        averages: Vec<(&mut Vector<Self>, &Vector<Self>)>,
    ) -> Result<(), Self::Err>
    where
        Self: Sized;
}

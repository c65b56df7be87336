//! A step of stochastic gradient descent over many parameters, with Nesterov's momentum (Sutskever et al. 2013; as
//! PyTorch's `SGD(nesterov=True)`) and decoupled weight decay.
//!
//! ```text
//! m ← μ m + g      p ← p - α (g + μ m) - α λ p
//! ```

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub mod reference;

use crate::tensor::memory::{Memory, Slot, Vector};
use dfdx::tensor::Gradients;

/// What a step is the same in for all parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// α.
    pub learning_rate: f64,
    /// μ.
    pub momentum: f64,
}

/// A parameter and what its last changes were.
#[derive(Debug)]
pub struct ParameterUpdate<'a, B: Memory> {
    /// p.
    pub parameter: &'a mut Vector<B>,
    /// m.
    pub momentum: &'a mut Slot<B>,
    /// λ; 0 for none.
    pub weight_decay: f64,
    /// This parameter's learning rate, as a fraction of the step's.
    pub rate: f64,
}

/// Kernels of the step.
pub trait SgdKernel: Memory {
    /// Moves all parameters; one without a gradient as if that were zero.
    ///
    /// A parameter's memory may be written in place, so nobody else may hold the same tensor.
    fn sgd(
        &self,
        pool: &Self::Pool,
        step: &Step,
        parameters: Vec<ParameterUpdate<'_, Self>>,
        gradients: &mut Gradients<f32, Self>,
    ) -> Result<(), Self::Err>
    where
        Self: Sized;
}

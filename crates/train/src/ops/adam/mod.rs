//! A step of Adam over many parameters (Kingma and Ba 2015), with decoupled weight decay (Loshchilov and Hutter 2019).
//!
//! ```text
//! m ← β₁ m + (1 - β₁) g      v ← β₂ v + (1 - β₂) g²
//! p ← p - α · m / (1 - β₁ᵗ) / (sqrt(v / (1 - β₂ᵗ)) + ε) - α λ p
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
    /// t, counted from 1.
    pub count: u32,
    /// α.
    pub learning_rate: f64,
    /// β₁ and β₂.
    pub betas: [f64; 2],
    /// ε.
    pub epsilon: f64,
}

/// A parameter and the moving averages of its gradient.
#[derive(Debug)]
pub struct ParameterUpdate<'a, B: Memory> {
    /// p.
    pub parameter: &'a mut Vector<B>,
    /// m.
    pub first: &'a mut Slot<B>,
    /// v.
    pub second: &'a mut Slot<B>,
    /// λ; 0 for none.
    pub weight_decay: f64,
    /// This parameter's learning rate, as a fraction of the step's.
    pub rate: f64,
}

/// Kernels of the step.
pub trait AdamKernel: Memory {
    /// Moves all parameters; one without a gradient as if that were zero.
    ///
    /// A parameter's memory may be written in place, so nobody else may hold the same tensor.
    fn adam(
        &self,
        pool: &Self::Pool,
        step: &Step,
        parameters: Vec<ParameterUpdate<'_, Self>>,
        gradients: &mut Gradients<f32, Self>,
    ) -> Result<(), Self::Err>
    where
        Self: Sized;
}

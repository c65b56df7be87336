//! The norm of all gradients together, and the gradients scaled down where it is too large (Pascanu et al. 2013; as
//! PyTorch's `clip_grad_norm_`).
//!
//! ```text
//! ‖g‖ = sqrt(Σ over parameters Σ g²)      g ← g · most / ‖g‖   where ‖g‖ > most
//! ```

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use crate::tensor::memory::{Memory, Vector};
use dfdx::tensor::Gradients;

/// Kernels of the op.
pub trait GradientNormKernel: Memory {
    /// The sum of the squares of these parameters' gradients; one without a gradient adds nothing.
    fn gradient_squares(
        &self,
        pool: &Self::Pool,
        parameters: &[&Vector<Self>],
        gradients: &mut Gradients<f32, Self>,
    ) -> Result<f64, Self::Err>
    where
        Self: Sized;

    /// Multiplies these parameters' gradients.
    fn scale_gradients(
        &self,
        pool: &Self::Pool,
        parameters: &[&Vector<Self>],
        gradients: &mut Gradients<f32, Self>,
        factor: f32,
    ) -> Result<(), Self::Err>
    where
        Self: Sized;
}

/// Scales the gradients of these parameters down to a norm of `most`, where it is more. What is not finite stays: the
/// training loop tells of it.
///
/// # Errors
/// The device failed.
pub fn clip_gradients<B: GradientNormKernel>(
    device: &B,
    pool: &B::Pool,
    parameters: &[&Vector<B>],
    gradients: &mut Gradients<f32, B>,
    most: f64,
) -> Result<f64, B::Err> {
    let norm = device.gradient_squares(pool, parameters, gradients)?.sqrt();
    if norm.is_finite() && norm > most {
        device.scale_gradients(pool, parameters, gradients, (most / norm) as f32)?;
    }
    Ok(norm)
}

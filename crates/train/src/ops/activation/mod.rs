//! Activations: the gradient of those that ops end with, and one by itself.
//!
//! ```text
//! y = f(x)      dx = dy where x lies strictly inside f's limits, zero elsewhere
//! ```
//! Convolutions, normalisations, additions and dense layers apply theirs as they store or are read, so the op by
//! itself is for what follows something else.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub mod reference;

use crate::tensor::activation::Activation;
use crate::tensor::failure::device_error;
use crate::tensor::feature_map::FeatureMap;
use crate::tensor::memory::Vector;
use crate::tensor::pass::Pass;
use crate::tensor::pending::{Affine, PendingKernel};
use preprocess::Result;

/// Kernels of the activations.
pub trait ActivationKernel: PendingKernel {
    /// Zeroes `gradient` where the output `y` of the activation says that none goes through.
    fn activation_gradient(
        &self,
        activation: Activation,
        y: &Self::Buffer,
        gradient: &mut Self::Buffer,
    ) -> Result<(), Self::Err>;
}

/// Applies an activation by itself.
///
/// # Errors
/// The device failed.
pub fn activate<B: ActivationKernel>(
    op: &str,
    x: &FeatureMap<B>,
    activation: Activation,
    pass: &mut Pass<B>,
) -> Result<FeatureMap<B>> {
    let shape @ [_, c, _, _] = x.shape;
    let x_data = x.activations(op, pass)?;
    let constant = |value: f32| -> Result<Vector<B>> {
        pass.device().try_tensor_from_vec(vec![value; c], (c,)).map_err(device_error(op))
    };
    let affine = Affine { scale: constant(1.0)?, shift: constant(0.0)?, activation };
    let y = pass.forward(op, |device| {
        let mut y = device.allocate(pass.pool(), shape)?;
        device.apply_affine(shape, &affine, &x_data, &mut y)?;
        Ok(y)
    })?;
    let y = FeatureMap::new(shape, y, pass);
    if let (Some(y_gradient), Some(x_gradient)) = (y.gradient.clone(), x.gradient.clone()) {
        let y_data = y.data.clone();
        pass.on_backward(op, move |device, pool, _| {
            let Some(mut dy) = y_gradient.take(device, pool, shape)? else { return Ok(()) };
            device.activation_gradient(activation, &y_data, &mut dy)?;
            x_gradient.add(device, pool, shape, dy)
        });
    }
    Ok(y)
}

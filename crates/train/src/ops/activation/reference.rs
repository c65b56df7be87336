//! The activations' gradient in a plain loop.

use crate::tensor::activation::Activation;

/// Zeroes `gradient` where the output `y` says that none goes through.
pub fn activation_gradient(activation: Activation, y: &[f32], gradient: &mut [f32]) {
    gradient.iter_mut().zip(y).filter(|&(_, &y)| !activation.passes(y)).for_each(|(gradient, _)| *gradient = 0.0);
}

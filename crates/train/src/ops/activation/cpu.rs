//! The activations' gradient on the CPU.

use super::{ActivationKernel, reference};
use crate::device::cpu::{Buffer, parallel, simd};
use crate::tensor::activation::Activation;
use dfdx::tensor::{Cpu, HasErr};

impl ActivationKernel for Cpu {
    fn activation_gradient(
        &self,
        activation: Activation,
        y: &Buffer,
        gradient: &mut Buffer,
    ) -> Result<(), <Self as HasErr>::Err> {
        match (simd::is_reference(), activation) {
            (true, _) => reference::activation_gradient(activation, y, gradient),
            (false, Activation::None) => {}
            (false, Activation::Relu) => parallel::zip2(gradient, y, mask),
            (false, Activation::Relu6) => parallel::zip2(gradient, y, mask6),
        }
        Ok(())
    }
}

#[inline(always)]
fn mask(gradient: &mut [f32], y: &[f32]) {
    for (gradient, &y) in gradient.iter_mut().zip(y) {
        *gradient = if y > 0.0 { *gradient } else { 0.0 };
    }
}

#[inline(always)]
fn mask6(gradient: &mut [f32], y: &[f32]) {
    for (gradient, &y) in gradient.iter_mut().zip(y) {
        *gradient = if y > 0.0 && y < 6.0 { *gradient } else { 0.0 };
    }
}

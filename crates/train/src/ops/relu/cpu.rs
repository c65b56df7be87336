//! The rectifier's gradient on the CPU.

use super::{ReluKernel, reference};
use crate::device::cpu::{Buffer, parallel, simd};
use dfdx::tensor::{Cpu, HasErr};

impl ReluKernel for Cpu {
    fn relu_gradient(&self, y: &Buffer, gradient: &mut Buffer) -> Result<(), <Self as HasErr>::Err> {
        match simd::is_reference() {
            true => reference::relu_gradient(y, gradient),
            false => parallel::zip2(gradient, y, mask),
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

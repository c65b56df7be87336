//! The rectifier's gradient on the CPU.

use super::ReluKernel;
use crate::backend::Buffer;
use crate::ops::parallel;
use dfdx::tensor::{Cpu, HasErr};

impl ReluKernel for Cpu {
    fn relu_gradient(&self, y: &Buffer, gradient: &mut Buffer) -> Result<(), <Self as HasErr>::Err> {
        parallel::zip2(gradient, y, mask);
        Ok(())
    }
}

#[inline(always)]
fn mask(gradient: &mut [f32], y: &[f32]) {
    for (gradient, &y) in gradient.iter_mut().zip(y) {
        *gradient = if y > 0.0 { *gradient } else { 0.0 };
    }
}

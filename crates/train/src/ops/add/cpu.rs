//! Addition on the CPU.

use super::reference;
use crate::device::cpu::{Buffer, parallel, simd};
use crate::tensor::pending::AddKernel;
use dfdx::tensor::{Cpu, HasErr};

impl AddKernel for Cpu {
    fn add_assign(&self, sum: &mut Buffer, term: &Buffer) -> Result<(), <Self as HasErr>::Err> {
        match simd::is_reference() {
            true => reference::add_assign(sum, term),
            false => parallel::zip2(sum, term, add),
        }
        Ok(())
    }
}

#[inline(always)]
fn add(sum: &mut [f32], term: &[f32]) {
    for (sum, term) in sum.iter_mut().zip(term) {
        *sum += term;
    }
}

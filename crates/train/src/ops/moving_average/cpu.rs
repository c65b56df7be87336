//! The average on the CPU, through dfdx's kernel, a parameter at a time.

use super::MovingAverageKernel;
use crate::device::cpu::BufferPool;
use crate::tensor::memory::Vector;
use dfdx::tensor::{Cpu, HasErr};

impl MovingAverageKernel for Cpu {
    fn moving_average(
        &self,
        _: &BufferPool,
        decay: f64,
        averages: Vec<(&mut Vector<Self>, &Vector<Self>)>,
    ) -> Result<(), <Self as HasErr>::Err> {
        averages.into_iter().try_for_each(|(average, parameter)| average.try_axpy(decay, parameter, 1.0 - decay))
    }
}

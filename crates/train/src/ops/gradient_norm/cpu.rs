//! The op on the CPU, a parameter at a time.

use super::GradientNormKernel;
use crate::device::cpu::BufferPool;
use crate::tensor::memory::Vector;
use dfdx::tensor::{Cpu, Gradients, HasErr};
use rayon::prelude::*;

/// Values that a task adds up: a fixed number, so that the sum does not depend on the number of threads.
const CHUNK: usize = 1 << 14;

impl GradientNormKernel for Cpu {
    fn gradient_squares(
        &self,
        _: &BufferPool,
        parameters: &[&Vector<Self>],
        gradients: &mut Gradients<f32, Self>,
    ) -> Result<f64, <Self as HasErr>::Err> {
        let mut sum = 0.0;
        for parameter in parameters {
            let gradient = &gradients.get_or_alloc_mut(*parameter)?[..];
            let squares = |values: &[f32]| values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>();
            sum += gradient.par_chunks(CHUNK).map(squares).collect::<Vec<_>>().iter().sum::<f64>();
        }
        Ok(sum)
    }

    fn scale_gradients(
        &self,
        _: &BufferPool,
        parameters: &[&Vector<Self>],
        gradients: &mut Gradients<f32, Self>,
        factor: f32,
    ) -> Result<(), <Self as HasErr>::Err> {
        for parameter in parameters {
            let gradient = &mut gradients.get_or_alloc_mut(*parameter)?[..];
            gradient.par_chunks_mut(CHUNK).for_each(|values| values.iter_mut().for_each(|value| *value *= factor));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::clip_gradients;
    use super::*;
    use dfdx::tensor::TensorFromVec;

    #[test]
    fn gradients_get_the_norm_that_is_the_most_and_smaller_ones_stay() {
        let device = Cpu::default();
        let parameters: Vec<Vector<Cpu>> = [2, 1, 3].map(|len| device.tensor_from_vec(vec![0.0; len], (len,))).into();
        let all: Vec<&Vector<Cpu>> = parameters.iter().collect();
        for (most, expected) in [(10.0, [3.0, 0.0, 4.0]), (5.0, [3.0, 0.0, 4.0]), (2.5, [1.5, 0.0, 2.0])] {
            let mut gradients = Gradients::leaky();
            // The last has no gradient.
            gradients.get_or_alloc_mut(&parameters[0]).unwrap()[0] = 3.0;
            gradients.get_or_alloc_mut(&parameters[1]).unwrap()[0] = 4.0;
            let norm = clip_gradients(&device, &BufferPool::default(), &all, &mut gradients, most).unwrap();
            let clipped: Vec<f32> = parameters[..2].iter().flat_map(|p| gradients.get(p).as_vec()).collect();
            assert_eq!((norm, &clipped[..]), (5.0, &expected[..]), "{most}");
        }
    }
}

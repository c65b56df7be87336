//! The step on the CPU, through dfdx's kernel, a parameter at a time.

use super::{ParameterUpdate, SgdKernel, Step};
use crate::device::cpu::BufferPool;
use dfdx::tensor::{Cpu, Gradients, HasErr};
use dfdx::tensor_ops::{Momentum, SgdConfig, WeightDecay};

impl SgdKernel for Cpu {
    fn sgd(
        &self,
        _: &BufferPool,
        step: &Step,
        parameters: Vec<ParameterUpdate<'_, Self>>,
        gradients: &mut Gradients<f32, Self>,
    ) -> Result<(), <Self as HasErr>::Err> {
        for ParameterUpdate { parameter, momentum, weight_decay, rate } in parameters {
            let gradient = gradients.get_or_alloc_mut(parameter)?;
            let config = SgdConfig {
                lr: step.learning_rate * rate,
                momentum: Some(Momentum::Nesterov(step.momentum)),
                weight_decay: (weight_decay > 0.0).then_some(WeightDecay::Decoupled(weight_decay)),
            };
            config.try_update(parameter, momentum, gradient)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;
    use crate::ops::testing::{assert_close, noise};
    use crate::tensor::memory::{Memory, Vector};
    use dfdx::tensor::{Storage, TensorFromVec};

    #[test]
    fn equals_the_reference() {
        let device = Cpu::default();
        let (mut values, mut moved) = (noise(1, 33), vec![0.0; 33]);
        let mut parameter: Vector<Cpu> = device.tensor_from_vec(values.clone(), (33,));
        let mut momentum = Storage::<f32>::try_alloc_len(&device, 33).unwrap();
        for count in 0..3 {
            let step = Step { learning_rate: 0.1, momentum: 0.9 };
            let gradient = noise(10 + count, 33);
            let mut gradients = Gradients::leaky();
            device.storage_from_host(gradients.get_or_alloc_mut(&parameter).unwrap(), &gradient).unwrap();
            let update =
                ParameterUpdate { parameter: &mut parameter, momentum: &mut momentum, weight_decay: 0.05, rate: 0.5 };
            device.sgd(&BufferPool::default(), &step, vec![update], &mut gradients).unwrap();
            let step = Step { learning_rate: 0.05, ..step };
            reference::step(&step, 0.05, &gradient, &mut values, &mut moved);
            assert_close("values", &parameter.as_vec(), &values);
            assert_close("momentum", &device.storage_to_host(&momentum).unwrap(), &moved);
        }
    }
}

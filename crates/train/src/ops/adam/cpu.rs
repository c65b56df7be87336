//! The step on the CPU, through dfdx's kernel, a parameter at a time.

use super::{AdamKernel, ParameterUpdate, Step};
use crate::device::cpu::BufferPool;
use dfdx::tensor::{Cpu, Gradients, HasErr};
use dfdx::tensor_ops::{AdamConfig, WeightDecay};

impl AdamKernel for Cpu {
    fn adam(
        &self,
        _: &BufferPool,
        step: &Step,
        parameters: Vec<ParameterUpdate<'_, Self>>,
        gradients: &mut Gradients<f32, Self>,
    ) -> Result<(), <Self as HasErr>::Err> {
        for ParameterUpdate { parameter, first, second, weight_decay, rate } in parameters {
            let gradient = gradients.get_or_alloc_mut(parameter)?;
            let config = AdamConfig {
                lr: step.learning_rate * rate,
                betas: step.betas,
                eps: step.epsilon,
                weight_decay: (weight_decay > 0.0).then_some(WeightDecay::Decoupled(weight_decay)),
            };
            config.try_update(step.count as i32, parameter, first, second, gradient)?;
        }
        Ok(())
    }
}

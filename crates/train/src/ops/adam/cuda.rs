//! The step on NVIDIA GPUs: one launch for up to 64 parameters.

use super::{AdamKernel, ParameterUpdate, Step};
use crate::device::cuda::{CudaPool, kernel_size, pointer};
use cudarc::driver::{DevicePtr, DeviceRepr, DeviceSlice};
use dfdx::shapes::HasShape;
use dfdx::tensor::{Cuda, CudaError, Gradients};

/// Parameters of one launch. As in `cuda.cu`.
const TENSORS: usize = 64;

/// Values that a block works on. As in `cuda.cu`.
const CHUNK: usize = 1024;

/// Threads of a block.
const THREADS: usize = 256;

/// `AdamTensor` in `cuda.cu`: where a parameter and what belongs to it lie.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Tensor {
    parameter: u64,
    gradient: u64,
    first: u64,
    second: u64,
    decay: f32,
    len: u32,
    /// The first block that works on it.
    block: u32,
    /// Its learning rate, as a fraction of the step's.
    rate: f32,
}

/// `AdamTensors` in `cuda.cu`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Tensors {
    of: [Tensor; TENSORS],
    count: u32,
    learning_rate: f32,
    betas: [f32; 2],
    epsilon: f32,
    corrections: [f32; 2],
}

// SAFETY: plain numbers, laid out as the kernel's argument.
unsafe impl DeviceRepr for Tensors {}

impl AdamKernel for Cuda {
    fn adam(
        &self,
        pool: &CudaPool,
        step: &Step,
        mut parameters: Vec<ParameterUpdate<'_, Self>>,
        gradients: &mut Gradients<f32, Self>,
    ) -> Result<(), CudaError> {
        for parameters in parameters.chunks_mut(TENSORS) {
            let mut all = arguments(step);
            let mut blocks = 0;
            for (tensor, moved) in all.of.iter_mut().zip(parameters.iter_mut()) {
                *tensor = self::tensor(step, moved, gradients)?;
                tensor.block = kernel_size(blocks);
                blocks += (tensor.len as usize).div_ceil(CHUNK);
                all.count += 1;
            }
            // SAFETY: the kernel's one parameter; `tensor` has checked the lengths, and parameters and moments are
            // borrowed mutably. Nobody else holds the parameters' memory, as the trait demands.
            unsafe { pool.context().launch("adam_step", [blocks, 1, 1], THREADS, (all,)) }?;
        }
        Ok(())
    }
}

/// What is the same for all parameters, computed in single precision as on the CPU.
fn arguments(step: &Step) -> Tensors {
    let betas = step.betas.map(|beta| beta as f32);
    let (learning_rate, epsilon) = (step.learning_rate as f32, step.epsilon as f32);
    let corrections = betas.map(|beta| (1.0 - beta.powi(step.count as i32)).recip());
    Tensors { of: [Tensor::default(); TENSORS], count: 0, learning_rate, betas, epsilon, corrections }
}

fn tensor(
    step: &Step,
    moved: &mut ParameterUpdate<'_, Cuda>,
    gradients: &mut Gradients<f32, Cuda>,
) -> Result<Tensor, CudaError> {
    let len = moved.parameter.shape().0;
    let gradient = gradients.get_or_alloc_mut(&*moved.parameter)?;
    let lengths = [gradient.len(), moved.first.len(), moved.second.len()];
    assert_eq!(lengths, [len; 3], "a gradient or moments of another parameter");
    Ok(Tensor {
        parameter: pointer(moved.parameter),
        gradient: *gradient.device_ptr(),
        first: *moved.first.device_ptr(),
        second: *moved.second.device_ptr(),
        decay: (moved.weight_decay * step.learning_rate * moved.rate) as f32,
        rate: moved.rate as f32,
        len: kernel_size(len),
        ..Tensor::default()
    })
}

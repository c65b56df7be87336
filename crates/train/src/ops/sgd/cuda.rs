//! The step on NVIDIA GPUs: one launch for up to 64 parameters.

use super::{ParameterUpdate, SgdKernel, Step};
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

/// `SgdTensor` in `cuda.cu`: where a parameter and what belongs to it lie.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Tensor {
    parameter: u64,
    gradient: u64,
    momentum: u64,
    decay: f32,
    len: u32,
    /// The first block that works on it.
    block: u32,
    /// Its learning rate, as a fraction of the step's.
    rate: f32,
}

/// `SgdTensors` in `cuda.cu`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Tensors {
    of: [Tensor; TENSORS],
    count: u32,
    learning_rate: f32,
    momentum: f32,
    unused: u32,
}

// SAFETY: plain numbers, laid out as the kernel's argument.
unsafe impl DeviceRepr for Tensors {}

impl SgdKernel for Cuda {
    fn sgd(
        &self,
        pool: &CudaPool,
        step: &Step,
        mut parameters: Vec<ParameterUpdate<'_, Self>>,
        gradients: &mut Gradients<f32, Self>,
    ) -> Result<(), CudaError> {
        for parameters in parameters.chunks_mut(TENSORS) {
            let (learning_rate, momentum) = (step.learning_rate as f32, step.momentum as f32);
            let of = [Tensor::default(); TENSORS];
            let mut all = Tensors { of, count: 0, learning_rate, momentum, unused: 0 };
            let mut blocks = 0;
            for (tensor, moved) in all.of.iter_mut().zip(parameters.iter_mut()) {
                *tensor = self::tensor(step, moved, gradients)?;
                tensor.block = kernel_size(blocks);
                blocks += (tensor.len as usize).div_ceil(CHUNK);
                all.count += 1;
            }
            // SAFETY: the kernel's one parameter; `tensor` has checked the lengths, and parameters and momentum are
            // borrowed mutably. Nobody else holds the parameters' memory, as the trait demands.
            unsafe { pool.context().launch("sgd_step", [blocks, 1, 1], THREADS, (all,)) }?;
        }
        Ok(())
    }
}

fn tensor(
    step: &Step,
    moved: &mut ParameterUpdate<'_, Cuda>,
    gradients: &mut Gradients<f32, Cuda>,
) -> Result<Tensor, CudaError> {
    let len = moved.parameter.shape().0;
    let gradient = gradients.get_or_alloc_mut(&*moved.parameter)?;
    assert_eq!([gradient.len(), moved.momentum.len()], [len; 2], "a gradient or momentum of another parameter");
    Ok(Tensor {
        parameter: pointer(moved.parameter),
        gradient: *gradient.device_ptr(),
        momentum: *moved.momentum.device_ptr(),
        decay: (moved.weight_decay * step.learning_rate * moved.rate) as f32,
        rate: moved.rate as f32,
        len: kernel_size(len),
        block: 0,
    })
}

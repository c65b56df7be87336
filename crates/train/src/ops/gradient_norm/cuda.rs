//! The op on NVIDIA GPUs: one launch for up to 128 gradients.

use super::GradientNormKernel;
use crate::device::cuda::{CudaPool, kernel_size};
use crate::tensor::memory::Vector;
use cudarc::driver::{DevicePtr, DeviceRepr, DeviceSlice};
use dfdx::tensor::{Cuda, CudaError, Gradients};

/// Gradients of one launch. As in `cuda.cu`.
const TENSORS: usize = 128;

/// Values that a block works on. As in `cuda.cu`.
const CHUNK: usize = 4096;

/// Threads of a block. As in `cuda.cu`.
const THREADS: usize = 256;

/// `GradientTensor` in `cuda.cu`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Tensor {
    gradient: u64,
    len: u32,
    /// The first block that works on it.
    block: u32,
}

/// `GradientTensors` in `cuda.cu`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Tensors {
    of: [Tensor; TENSORS],
    count: u32,
    factor: f32,
}

// SAFETY: plain numbers, laid out as the kernel's argument.
unsafe impl DeviceRepr for Tensors {}

impl Tensors {
    /// Up to 128 gradients, and the blocks that work on them.
    fn new(
        parameters: &[&Vector<Cuda>],
        gradients: &mut Gradients<f32, Cuda>,
        factor: f32,
    ) -> Result<(Self, usize), CudaError> {
        let (mut all, mut blocks) = (Self { of: [Tensor::default(); TENSORS], count: 0, factor }, 0);
        for (tensor, parameter) in all.of.iter_mut().zip(parameters) {
            let gradient = gradients.get_or_alloc_mut(*parameter)?;
            let (len, block) = (kernel_size(gradient.len()), kernel_size(blocks));
            *tensor = Tensor { gradient: *gradient.device_ptr(), len, block };
            blocks += gradient.len().div_ceil(CHUNK);
            all.count += 1;
        }
        Ok((all, blocks))
    }
}

impl GradientNormKernel for Cuda {
    fn gradient_squares(
        &self,
        pool: &CudaPool,
        parameters: &[&Vector<Self>],
        gradients: &mut Gradients<f32, Self>,
    ) -> Result<f64, CudaError> {
        let mut all = Vec::new();
        for parameters in parameters.chunks(TENSORS) {
            let (tensors, blocks) = Tensors::new(parameters, gradients, 1.0)?;
            let sums = pool.take(blocks)?;
            // SAFETY: the kernel's parameters; a block for each chunk of a live gradient, a sum for each block.
            unsafe { pool.context().launch("gradient_squares", [blocks, 1, 1], THREADS, (tensors, sums.pointer())) }?;
            all.push(sums);
        }
        let mut sum = 0.0;
        for sums in all {
            sum += sums.to_host()?.into_iter().map(f64::from).sum::<f64>();
        }
        Ok(sum)
    }

    fn scale_gradients(
        &self,
        pool: &CudaPool,
        parameters: &[&Vector<Self>],
        gradients: &mut Gradients<f32, Self>,
        factor: f32,
    ) -> Result<(), CudaError> {
        for parameters in parameters.chunks(TENSORS) {
            let (tensors, blocks) = Tensors::new(parameters, gradients, factor)?;
            // SAFETY: the kernel's parameter; gradients are borrowed mutably, a block for each chunk of a live one.
            unsafe { pool.context().launch("scale_gradients", [blocks, 1, 1], THREADS, (tensors,)) }?;
        }
        Ok(())
    }
}

//! The average on NVIDIA GPUs: one launch for up to 64 parameters.

use super::MovingAverageKernel;
use crate::device::cuda::{CudaPool, kernel_size, pointer};
use crate::tensor::memory::Vector;
use cudarc::driver::DeviceRepr;
use dfdx::shapes::HasShape;
use dfdx::tensor::{Cuda, CudaError};

/// Parameters of one launch. As in `cuda.cu`.
const TENSORS: usize = 64;

/// Values that a block works on. As in `cuda.cu`.
const CHUNK: usize = 1024;

/// Threads of a block.
const THREADS: usize = 256;

/// `AveragedTensor` in `cuda.cu`: where an average and its parameter lie.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Tensor {
    average: u64,
    parameter: u64,
    len: u32,
    /// The first block that works on it.
    block: u32,
}

/// `AveragedTensors` in `cuda.cu`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Tensors {
    of: [Tensor; TENSORS],
    count: u32,
    kept: f32,
    share: f32,
}

// SAFETY: plain numbers, laid out as the kernel's argument.
unsafe impl DeviceRepr for Tensors {}

impl MovingAverageKernel for Cuda {
    fn moving_average(
        &self,
        pool: &CudaPool,
        decay: f64,
        averages: Vec<(&mut Vector<Self>, &Vector<Self>)>,
    ) -> Result<(), CudaError> {
        for averages in averages.chunks(TENSORS) {
            let (kept, share) = (decay as f32, (1.0 - decay) as f32);
            let mut all = Tensors { of: [Tensor::default(); TENSORS], count: 0, kept, share };
            let mut blocks = 0;
            for (tensor, (average, parameter)) in all.of.iter_mut().zip(averages) {
                let len = parameter.shape().0;
                assert_eq!(average.shape().0, len, "an average of another parameter");
                let [average, parameter] = [pointer(average), pointer(parameter)];
                assert_ne!(average, parameter, "an average that shares its memory with the parameter");
                *tensor = Tensor { average, parameter, len: kernel_size(len), block: kernel_size(blocks) };
                blocks += len.div_ceil(CHUNK);
                all.count += 1;
            }
            // SAFETY: the kernel's one parameter; lengths are checked; averages are borrowed mutably, and nobody else
            // holds their memory, as the trait demands.
            unsafe { pool.context().launch("moving_average_step", [blocks, 1, 1], THREADS, (all,)) }?;
        }
        Ok(())
    }
}

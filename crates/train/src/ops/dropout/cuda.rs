//! Dropout on NVIDIA GPUs: the same values are dropped as on the CPU.

use super::{DropoutKernel, key};
use crate::device::cuda::{CudaBuffer, blocks};
use crate::tensor::memory::Accumulate;
use crate::tensor::pass::Randomness;
use dfdx::tensor::{Cuda, CudaError};

/// Threads of a block.
const THREADS: usize = 256;

impl DropoutKernel for Cuda {
    fn dropout(
        &self,
        rate: f32,
        randomness: Randomness,
        shape: [usize; 2],
        x: &CudaBuffer,
        y: &mut CudaBuffer,
    ) -> Result<(), CudaError> {
        scale(rate, randomness, shape, x, y, Accumulate::Overwrite)
    }

    fn dropout_gradient(
        &self,
        rate: f32,
        randomness: Randomness,
        shape: [usize; 2],
        dy: &CudaBuffer,
        dx: &mut CudaBuffer,
        accumulate: Accumulate,
    ) -> Result<(), CudaError> {
        scale(rate, randomness, shape, dy, dx, accumulate)
    }
}

fn scale(
    rate: f32,
    randomness: Randomness,
    shape: [usize; 2],
    from: &CudaBuffer,
    to: &mut CudaBuffer,
    accumulate: Accumulate,
) -> Result<(), CudaError> {
    let len = shape.iter().product();
    assert_eq!([from.len(), to.len()], [len; 2], "features of another size than {shape:?}");
    let kept = 1.0 / (1.0 - rate);
    let parameters = (from.pointer(), key(randomness), rate, kept, accumulate.flag(), to.pointer(), len);
    // SAFETY: the kernel's parameters; both buffers hold `len` floats, and they are two, as one is borrowed mutably.
    unsafe { to.context().launch("dropout_scale", blocks(len, THREADS), THREADS, parameters) }
}

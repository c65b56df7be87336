//! Flattening on NVIDIA GPUs, where the values are in the flattened order already.

use super::FlattenKernel;
use crate::device::cuda::{CudaBuffer, blocks};
use crate::tensor::memory::Accumulate;
use dfdx::tensor::{Cuda, CudaError};

/// Threads of a block.
const THREADS: usize = 256;

impl FlattenKernel for Cuda {
    fn flatten(&self, shape: [usize; 4], x: &CudaBuffer, y: &mut CudaBuffer) -> Result<(), CudaError> {
        copy(shape, x, y, Accumulate::Overwrite)
    }

    fn flatten_gradient(
        &self,
        shape: [usize; 4],
        dy: &CudaBuffer,
        dx: &mut CudaBuffer,
        accumulate: Accumulate,
    ) -> Result<(), CudaError> {
        copy(shape, dy, dx, accumulate)
    }
}

fn copy(shape: [usize; 4], from: &CudaBuffer, to: &mut CudaBuffer, accumulate: Accumulate) -> Result<(), CudaError> {
    let len = shape.iter().product();
    assert_eq!([from.len(), to.len()], [len; 2], "maps of another size than {shape:?}");
    let parameters = (from.pointer(), accumulate.flag(), to.pointer(), len);
    // SAFETY: the kernel's parameters; both buffers hold `len` floats, and they are two, as one is borrowed mutably.
    unsafe { to.context().launch("flatten_copy", blocks(len, THREADS), THREADS, parameters) }
}

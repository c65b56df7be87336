//! The rectifier's gradient on NVIDIA GPUs.

use super::ReluKernel;
use crate::device::cuda::{CudaBuffer, blocks};
use dfdx::tensor::{Cuda, CudaError};

/// Threads of a block.
const THREADS: usize = 256;

impl ReluKernel for Cuda {
    fn relu_gradient(&self, y: &CudaBuffer, gradient: &mut CudaBuffer) -> Result<(), CudaError> {
        let len = gradient.len();
        assert_eq!(y.len(), len, "an output and a gradient of different sizes");
        let parameters = (y.pointer(), gradient.pointer(), len);
        // SAFETY: the kernel's parameters; both buffers hold `len` floats, and they are two, as one is borrowed mutably.
        unsafe { gradient.context().launch("relu_gradient", blocks(len, THREADS), THREADS, parameters) }
    }
}

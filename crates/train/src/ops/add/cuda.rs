//! Addition on NVIDIA GPUs.

use crate::device::cuda::{CudaBuffer, blocks};
use crate::tensor::pending::AddKernel;
use dfdx::tensor::{Cuda, CudaError};

/// Threads of a block.
const THREADS: usize = 256;

impl AddKernel for Cuda {
    fn add_assign(&self, sum: &mut CudaBuffer, term: &CudaBuffer) -> Result<(), CudaError> {
        let len = sum.len();
        assert_eq!(term.len(), len, "a sum of maps of different sizes");
        let parameters = (sum.pointer(), term.pointer(), len);
        // SAFETY: the kernel's parameters; both buffers hold `len` floats, and they are two, as one is borrowed mutably.
        unsafe { sum.context().launch("add_assign", blocks(len, THREADS), THREADS, parameters) }
    }
}

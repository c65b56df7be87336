//! The activations' gradient on NVIDIA GPUs.

use super::ActivationKernel;
use crate::device::cuda::{CudaBuffer, blocks};
use crate::tensor::activation::Activation;
use dfdx::tensor::{Cuda, CudaError};

/// Threads of a block.
const THREADS: usize = 256;

impl ActivationKernel for Cuda {
    fn activation_gradient(
        &self,
        activation: Activation,
        y: &CudaBuffer,
        gradient: &mut CudaBuffer,
    ) -> Result<(), CudaError> {
        let len = gradient.len();
        assert_eq!(y.len(), len, "an output and a gradient of different sizes");
        let parameters = (activation.code(), y.pointer(), gradient.pointer(), len);
        // SAFETY: the kernel's parameters; both buffers hold `len` floats, and they are two, as one is borrowed
        // mutably.
        unsafe { gradient.context().launch("activation_gradient", blocks(len, THREADS), THREADS, parameters) }
    }
}

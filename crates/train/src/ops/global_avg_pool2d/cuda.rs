//! The mean on NVIDIA GPUs: a block a plane.

use super::GlobalAvgPool2dKernel;
use crate::device::cuda::{CudaBuffer, Pending, kernel_size};
use crate::tensor::memory::Accumulate;
use crate::tensor::pending::Affine;
use dfdx::tensor::{Cuda, CudaError};

/// Threads of a block. As in `cuda.cu`.
const THREADS: usize = 128;

impl GlobalAvgPool2dKernel for Cuda {
    fn global_avg_pool2d(
        &self,
        shape @ [n, c, h, w]: [usize; 4],
        x: &CudaBuffer,
        affine: Option<&Affine<Self>>,
        y: &mut CudaBuffer,
    ) -> Result<(), CudaError> {
        assert_eq!([x.len(), y.len()], [n * c * h * w, n * c], "maps of other sizes than {shape:?}");
        let parameters = (x.pointer(), Pending::new(affine, c), kernel_size(c), kernel_size(h * w), y.pointer());
        // SAFETY: the kernel's parameters; lengths are checked, and `y` is borrowed mutably, so not `x`.
        unsafe { y.context().launch("global_avg_pool2d_forward", [n * c, 1, 1], THREADS, parameters) }
    }

    fn global_avg_pool2d_gradient(
        &self,
        shape @ [n, c, h, w]: [usize; 4],
        dy: &CudaBuffer,
        dx: &mut CudaBuffer,
        accumulate: Accumulate,
    ) -> Result<(), CudaError> {
        assert_eq!([dx.len(), dy.len()], [n * c * h * w, n * c], "maps of other sizes than {shape:?}");
        let parameters = (dy.pointer(), kernel_size(h * w), accumulate.flag(), dx.pointer());
        // SAFETY: the kernel's parameters; lengths are checked, and `dx` is borrowed mutably, so not `dy`.
        unsafe { dx.context().launch("global_avg_pool2d_gradient", [n * c, 1, 1], THREADS, parameters) }
    }
}

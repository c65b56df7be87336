//! The pooling on NVIDIA GPUs: a block a plane.

use super::MaxPool2dKernel;
use crate::device::cuda::{CudaBuffer, CudaPool, kernel_size};
use crate::tensor::memory::Accumulate;
use dfdx::tensor::{Cuda, CudaError};

/// Threads of a block.
const THREADS: usize = 256;

impl MaxPool2dKernel for Cuda {
    fn max_pool2d(
        &self,
        pool: &CudaPool,
        shape @ [n, c, h, w]: [usize; 4],
        x: &CudaBuffer,
        y: &mut CudaBuffer,
    ) -> Result<CudaBuffer, CudaError> {
        let windows = n * c * (h / 2) * (w / 2);
        assert_eq!([x.len(), y.len()], [n * c * h * w, windows], "maps of other sizes than {shape:?}");
        kernel_size(h * w);
        let largest = pool.take(windows.div_ceil(size_of::<f32>()))?;
        let parameters = (x.pointer(), kernel_size(h), kernel_size(w), y.pointer(), largest.pointer());
        // SAFETY: the kernel's parameters; lengths are checked, and `largest`, which is new, has a byte a window.
        unsafe { pool.context().launch("max_pool2d_forward", [n * c, 1, 1], THREADS, parameters) }?;
        Ok(largest)
    }

    fn max_pool2d_gradient(
        &self,
        shape @ [n, c, h, w]: [usize; 4],
        largest: &CudaBuffer,
        dy: &CudaBuffer,
        dx: &mut CudaBuffer,
        accumulate: Accumulate,
    ) -> Result<(), CudaError> {
        let windows = n * c * (h / 2) * (w / 2);
        assert_eq!([dy.len(), dx.len()], [windows, n * c * h * w], "maps of other sizes than {shape:?}");
        assert_eq!(largest.len(), windows.div_ceil(size_of::<f32>()), "maxima of another map than {shape:?}");
        kernel_size(h * w);
        let (h, w) = (kernel_size(h), kernel_size(w));
        let parameters = (largest.pointer(), dy.pointer(), h, w, accumulate.flag(), dx.pointer());
        // SAFETY: the kernel's parameters; lengths are checked, and `dx` is borrowed mutably, so none of the others.
        unsafe { dx.context().launch("max_pool2d_gradient", [n * c, 1, 1], THREADS, parameters) }
    }
}

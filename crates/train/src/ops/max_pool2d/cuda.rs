//! The pooling on NVIDIA GPUs: a block a plane.

use super::{MaxPool2dKernel, Window};
use crate::device::cuda::{CudaBuffer, CudaPool, Pending, kernel_size};
use crate::tensor::memory::Accumulate;
use crate::tensor::pending::Affine;
use cudarc::driver::DeviceRepr;
use dfdx::tensor::{Cuda, CudaError};

/// Threads of a block.
const THREADS: usize = 256;

/// `Windows` in `cuda.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Windows([i32; 7]);

// SAFETY: plain numbers, laid out as in C.
unsafe impl DeviceRepr for Windows {}

impl Windows {
    fn new(Window { size, stride, padding }: Window, [[_, _, h, w], [_, _, out_h, out_w]]: [[usize; 4]; 2]) -> Self {
        kernel_size(h * w);
        Self([size, stride, padding, h, w, out_h, out_w].map(|size| size as i32))
    }
}

impl MaxPool2dKernel for Cuda {
    fn max_pool2d(
        &self,
        pool: &CudaPool,
        window: Window,
        shapes @ [shape @ [n, c, h, w], out]: [[usize; 4]; 2],
        x: &CudaBuffer,
        affine: Option<&Affine<Self>>,
        y: &mut CudaBuffer,
    ) -> Result<CudaBuffer, CudaError> {
        let windows = out.iter().product::<usize>();
        assert_eq!([x.len(), y.len()], [n * c * h * w, windows], "maps of other sizes than {shape:?}");
        assert_eq!(window.output_shape(shape), Some(out), "an output of other windows");
        let largest = pool.take(windows.div_ceil(size_of::<f32>()))?;
        let (pending, channels) = (Pending::new(affine, c), kernel_size(c));
        if window != Window::HALVING {
            let windows = Windows::new(window, shapes);
            let parameters = (x.pointer(), pending, channels, windows, y.pointer(), largest.pointer());
            // SAFETY: as below.
            unsafe { pool.context().launch("max_pool2d_windows_forward", [n * c, 1, 1], THREADS, parameters) }?;
            return Ok(largest);
        }
        kernel_size(h * w);
        let (h, w) = (kernel_size(h), kernel_size(w));
        let parameters = (x.pointer(), pending, channels, h, w, y.pointer(), largest.pointer());
        // SAFETY: the kernel's parameters; lengths are checked, and `largest`, which is new, has a byte a window.
        unsafe { pool.context().launch("max_pool2d_forward", [n * c, 1, 1], THREADS, parameters) }?;
        Ok(largest)
    }

    fn max_pool2d_gradient(
        &self,
        window: Window,
        shapes @ [shape @ [n, c, h, w], out]: [[usize; 4]; 2],
        largest: &CudaBuffer,
        dy: &CudaBuffer,
        dx: &mut CudaBuffer,
        accumulate: Accumulate,
    ) -> Result<(), CudaError> {
        let windows = out.iter().product::<usize>();
        assert_eq!([dy.len(), dx.len()], [windows, n * c * h * w], "maps of other sizes than {shape:?}");
        assert_eq!(largest.len(), windows.div_ceil(size_of::<f32>()), "maxima of another map than {shape:?}");
        assert_eq!(window.output_shape(shape), Some(out), "an output of other windows");
        let (largest, dy, add) = (largest.pointer(), dy.pointer(), accumulate.flag());
        if window != Window::HALVING {
            let parameters = (largest, dy, Windows::new(window, shapes), add, dx.pointer());
            // SAFETY: as below.
            return unsafe { dx.context().launch("max_pool2d_windows_gradient", [n * c, 1, 1], THREADS, parameters) };
        }
        kernel_size(h * w);
        let parameters = (largest, dy, kernel_size(h), kernel_size(w), add, dx.pointer());
        // SAFETY: the kernel's parameters; lengths are checked, and `dx` is borrowed mutably, so none of the others.
        unsafe { dx.context().launch("max_pool2d_gradient", [n * c, 1, 1], THREADS, parameters) }
    }
}

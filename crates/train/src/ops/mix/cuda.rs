//! The op on NVIDIA GPUs: a thread a value.

use super::{Mix, MixKernel, Rectangle};
use crate::device::cuda::{CudaBuffer, CudaPool, blocks, kernel_size};
use cudarc::driver::{DevicePtr, DeviceRepr};
use dfdx::tensor::{Cuda, CudaError};

/// Threads of a block.
const THREADS: usize = 256;

/// `Mix` in `cuda.cu`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct OnDevice {
    patch: Rectangle,
    erased: Rectangle,
    other: u32,
    share: f32,
    mirrored: u32,
    unused: u32,
}

// SAFETY: plain numbers, laid out as in C.
unsafe impl DeviceRepr for OnDevice {}

/// `Fill` in `cuda.cu`.
#[repr(C)]
struct Fill([f32; 3]);

// SAFETY: plain numbers, laid out as in C.
unsafe impl DeviceRepr for Fill {}

impl MixKernel for Cuda {
    fn mix_images(
        &self,
        pool: &CudaPool,
        [n, channels, h, w]: [usize; 4],
        x: &CudaBuffer,
        mixes: &[Mix],
        fill: [f32; 3],
    ) -> Result<CudaBuffer, CudaError> {
        let len = n * channels * h * w;
        assert!(channels == 3 && x.len() == len && mixes.len() == n, "mixes of other images");
        assert!(mixes.iter().all(|mix| mix.other < n), "an image that the batch does not have");
        let on_device = |mix: &Mix| OnDevice {
            patch: mix.patch,
            erased: mix.erased,
            other: kernel_size(mix.other),
            share: mix.share,
            mirrored: u32::from(mix.mirrored),
            unused: 0,
        };
        let mixes = pool.context().device().htod_sync_copy(&mixes.iter().map(on_device).collect::<Vec<_>>())?;
        let y = pool.take(len)?;
        let (images, rows, columns) = (kernel_size(n), kernel_size(h), kernel_size(w));
        let parameters = (x.pointer(), *mixes.device_ptr(), images, rows, columns, Fill(fill), y.pointer());
        // SAFETY: the kernel's parameters; lengths and indices are checked, `y` is new.
        unsafe { pool.context().launch("mix_images", blocks(len, THREADS), THREADS, parameters) }?;
        Ok(y)
    }
}

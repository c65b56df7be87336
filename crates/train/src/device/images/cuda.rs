//! The conversion on NVIDIA GPUs.

use crate::device::cuda::buffer::{CudaBuffer, CudaPool};
use crate::device::cuda::context::{blocks, kernel_size};
use crate::tensor::standardization::Standardization;
use cudarc::driver::{DevicePtr, DeviceRepr};
use dfdx::tensor::CudaError;

/// `Factors` in `cuda.cu`.
#[repr(C)]
struct Factors {
    scale: [f32; 3],
    shift: [f32; 3],
}

// SAFETY: plain numbers, laid out as in C.
unsafe impl DeviceRepr for Factors {}

impl Factors {
    fn new(of: Standardization) -> Self {
        let factors = of.factors();
        Self { scale: factors.map(|[scale, _]| scale), shift: factors.map(|[_, shift]| shift) }
    }
}

/// Threads of a block.
const THREADS: usize = 256;

/// `[n, 3, h, w]` from 8-bit images `[n, h, w, 3]` on the host.
///
/// # Errors
/// The device failed.
///
/// # Panics
/// `shape` is not that of as many pixels of three channels.
pub(crate) fn upload(
    pool: &CudaPool,
    shape @ [n, _, h, w]: [usize; 4],
    rgb: &[u8],
    of: Standardization,
) -> Result<CudaBuffer, CudaError> {
    let len = shape.iter().product::<usize>();
    assert_eq!((rgb.len(), shape[1]), (len, 3), "bytes of other images than {shape:?}");
    let bytes = pool.context().device().htod_sync_copy(rgb)?;
    let images = pool.take(len)?;
    // SAFETY: `bytes` holds n * h * w * 3, `images`, which is new, as many floats; there are no indices.
    unsafe { launch(&images, *bytes.device_ptr(), 0, n, h * w, of) }?;
    Ok(images)
}

/// `[n, 3, h, w]`: the images of size `[h, w]` at `n` indices, 32 bits each. Nothing is waited for.
///
/// # Errors
/// The device failed.
///
/// # Safety
/// `bytes` is the address of all images that the indices name, on the pool's device; nothing writes them until dfdx's
/// stream has come that far.
pub(crate) unsafe fn gather(
    pool: &CudaPool,
    bytes: u64,
    indices: u64,
    n: usize,
    [h, w]: [usize; 2],
    of: Standardization,
) -> Result<CudaBuffer, CudaError> {
    let images = pool.take(n * 3 * h * w)?;
    // SAFETY: the caller's promise; `images` is new.
    unsafe { launch(&images, bytes, indices, n, h * w, of) }?;
    Ok(images)
}

/// # Safety
/// `bytes` is the address of all images that the `n` indices name (of `n` images if that address is zero), `images`
/// nobody else's.
unsafe fn launch(
    images: &CudaBuffer,
    bytes: u64,
    indices: u64,
    n: usize,
    pixels: usize,
    of: Standardization,
) -> Result<(), CudaError> {
    assert_eq!(images.len(), n * 3 * pixels, "room for other images");
    kernel_size(n * pixels);
    let parameters = (bytes, indices, kernel_size(n), kernel_size(pixels), Factors::new(of), images.pointer());
    // SAFETY: the kernel's parameters, and the caller's promise.
    unsafe { images.context().launch("images_gather", blocks(n * pixels, THREADS), THREADS, parameters) }
}

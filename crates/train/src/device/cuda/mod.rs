//! NVIDIA GPUs, through dfdx's `Cuda`.
//!
//! dfdx keeps the device, the tape, the parameters, their gradients and the loss; activations live in buffers of our
//! own, in plain `[n, c, h, w]` order. All work goes to dfdx's one stream in the order in which it is asked for, so
//! memory that is given back may be handed out again at once. Kernels are those of [`ops`](crate::ops), compiled by
//! the build script.

pub(super) mod buffer;
pub(super) mod context;
mod feed;
mod indices;
mod open;
pub mod peak;
mod pending;
mod pointer;

pub use buffer::{CudaBuffer, CudaPool};
pub(crate) use context::{Context, blocks, kernel_size};
pub use feed::{CudaPixels, CudaStore};
pub use indices::Indices;
pub use open::{open, set_precision};
pub(crate) use pending::Pending;
pub(crate) use pointer::pointer;

use crate::tensor::memory::{Matrix, Memory, MemoryUse, Slot, Vector};
use crate::tensor::standardization::Standardization;
use cudarc::driver::{DevicePtr, DeviceSlice, result};
use dfdx::shapes::{HasShape, Shape};
use dfdx::tensor::{Cuda, CudaError, Storage, ZerosTensor};

impl Memory for Cuda {
    const ASYNCHRONOUS: bool = true;

    type Buffer = CudaBuffer;
    type Pool = CudaPool;

    fn pool(&self) -> Result<CudaPool, CudaError> {
        CudaPool::new(self)
    }

    fn memory_use(&self, pool: &CudaPool) -> Result<MemoryUse, CudaError> {
        // Memory given back counts as used until the device has come that far.
        pool.context().device().synchronize()?;
        let (free, _) = result::mem_get_info()?;
        Ok(MemoryUse { taken: pool.taken_bytes(), free: free as u64 })
    }

    fn allocate(&self, pool: &CudaPool, shape: [usize; 4]) -> Result<CudaBuffer, CudaError> {
        pool.take(shape.iter().product())
    }

    fn upload(&self, pool: &CudaPool, shape: [usize; 4], nchw: &[f32]) -> Result<CudaBuffer, CudaError> {
        let mut buffer = self.allocate(pool, shape)?;
        buffer.copy_from_host(nchw)?;
        Ok(buffer)
    }

    fn download(&self, shape: [usize; 4], buffer: &CudaBuffer) -> Result<Vec<f32>, CudaError> {
        debug_assert_eq!(buffer.len(), shape.iter().product::<usize>());
        buffer.to_host()
    }

    fn upload_images(
        &self,
        pool: &CudaPool,
        shape: [usize; 4],
        rgb: &[u8],
        standardization: Standardization,
    ) -> Result<CudaBuffer, CudaError> {
        crate::device::images::upload(pool, shape, rgb, standardization)
    }

    fn matrix(&self, [rows, columns]: [usize; 2], buffer: &CudaBuffer) -> Result<Matrix<Self>, CudaError> {
        let matrix: Matrix<Self> = self.try_zeros_like(&(rows, columns))?;
        // SAFETY: the matrix is new, so its memory is nobody else's.
        unsafe { copy(pointer(&matrix), rows * columns, buffer.pointer(), buffer.len(), buffer.context()) }?;
        Ok(matrix)
    }

    fn matrix_storage_to_buffer(
        &self,
        pool: &CudaPool,
        [rows, columns]: [usize; 2],
        storage: &Slot<Self>,
    ) -> Result<CudaBuffer, CudaError> {
        let buffer = pool.take(rows * columns)?;
        // SAFETY: the buffer is new.
        unsafe { copy(buffer.pointer(), buffer.len(), *storage.device_ptr(), storage.len(), pool.context()) }?;
        Ok(buffer)
    }

    fn copy_vector(&self, vector: &Vector<Self>) -> Result<Vector<Self>, CudaError> {
        let len = vector.shape().num_elements();
        let copied: Vector<Self> = self.try_zeros_like(vector.shape())?;
        // SAFETY: the copy is new and as long.
        unsafe { result::memcpy_dtod_async(pointer(&copied), pointer(vector), len * size_of::<f32>(), stream()) }?;
        Ok(copied)
    }

    fn storage_to_host(&self, storage: &Slot<Self>) -> Result<Vec<f32>, CudaError> {
        Ok(storage.device().dtoh_sync_copy(&**storage)?)
    }

    fn storage_from_host(&self, storage: &mut Slot<Self>, values: &[f32]) -> Result<(), CudaError> {
        assert_eq!(Storage::<f32>::len(self, storage), values.len(), "storage of another length");
        let device = storage.device();
        Ok(device.htod_sync_copy_into(values, &mut **storage)?)
    }
}

/// dfdx's stream, the device's default one.
fn stream() -> cudarc::driver::sys::CUstream {
    std::ptr::null_mut()
}

/// Copies floats on the device.
///
/// # Safety
/// Both pointers are of live memory of that many floats, and nobody else uses `to`.
pub(crate) unsafe fn copy(
    to: u64,
    to_len: usize,
    from: u64,
    from_len: usize,
    context: &Context,
) -> Result<(), CudaError> {
    assert_eq!(to_len, from_len, "a copy between buffers of different lengths");
    context.bind()?;
    // SAFETY: the caller's promise.
    Ok(unsafe { result::memcpy_dtod_async(to, from, to_len * size_of::<f32>(), stream()) }?)
}

//! The processor: activations in memory of our own, in blocks of 16 channels.

pub(crate) mod activation;
mod buffer;
pub(crate) mod layout;
pub(crate) mod parallel;
pub mod simd;
pub(crate) mod sums;

pub use buffer::{Buffer, BufferPool};

use crate::data::store::{HostStore, ImageMemory};
use crate::tensor::failure::DeviceFailure;
use crate::tensor::memory::{Matrix, Memory, Slot, Vector};
use crate::tensor::standardization::Standardization;
use dfdx::shapes::HasShape;
use dfdx::tensor::{Cpu, CpuError, TensorFromVec};

impl DeviceFailure for CpuError {}

/// A copy of a vector's values: dfdx shows its storage to nobody, not even on the CPU.
pub(crate) fn host(vector: &Vector<Cpu>) -> Vec<f32> {
    let mut values = vec![0.0; vector.shape().0];
    vector.copy_into(&mut values);
    values
}

impl Memory for Cpu {
    type Buffer = Buffer;
    type Pool = BufferPool;

    fn pool(&self) -> Result<BufferPool, Self::Err> {
        Ok(BufferPool::default())
    }

    fn allocate(&self, pool: &BufferPool, shape: [usize; 4]) -> Result<Buffer, Self::Err> {
        Ok(pool.take(layout::blocked_len(shape)))
    }

    fn upload(&self, pool: &BufferPool, shape: [usize; 4], nchw: &[f32]) -> Result<Buffer, Self::Err> {
        let mut buffer = self.allocate(pool, shape)?;
        layout::block(nchw, shape, &mut buffer);
        Ok(buffer)
    }

    fn download(&self, shape: [usize; 4], buffer: &Buffer) -> Result<Vec<f32>, Self::Err> {
        let mut nchw = vec![0.0; shape.iter().product()];
        layout::unblock(buffer, shape, &mut nchw);
        Ok(nchw)
    }

    fn upload_images(
        &self,
        pool: &BufferPool,
        shape: [usize; 4],
        rgb: &[u8],
        standardization: Standardization,
    ) -> Result<Buffer, Self::Err> {
        let mut buffer = pool.take(shape.iter().product());
        parallel::scale_bytes(&mut buffer, rgb, standardization.factors());
        Ok(buffer)
    }

    fn matrix(&self, [rows, columns]: [usize; 2], buffer: &Buffer) -> Result<Matrix<Self>, Self::Err> {
        self.try_tensor_from_vec(self.download([rows, columns, 1, 1], buffer)?, (rows, columns))
    }

    fn matrix_storage_to_buffer(
        &self,
        pool: &BufferPool,
        [rows, columns]: [usize; 2],
        storage: &Slot<Self>,
    ) -> Result<Buffer, Self::Err> {
        self.upload(pool, [rows, columns, 1, 1], storage)
    }

    fn copy_vector(&self, vector: &Vector<Self>) -> Result<Vector<Self>, Self::Err> {
        // dfdx copies when one of the two is written.
        Ok(vector.clone())
    }

    fn storage_to_host(&self, storage: &Slot<Self>) -> Result<Vec<f32>, Self::Err> {
        Ok(storage.to_vec())
    }

    fn storage_from_host(&self, storage: &mut Slot<Self>, values: &[f32]) -> Result<(), Self::Err> {
        storage.copy_from_slice(values);
        Ok(())
    }
}

impl ImageMemory for Cpu {
    type Store = HostStore;

    fn store(&self, _keep: usize, _batch_size: usize, _image_bytes: usize) -> Result<HostStore, Self::Err> {
        Ok(HostStore)
    }

    fn receive_images(
        &self,
        pool: &BufferPool,
        shape: [usize; 4],
        pixels: &Vec<u8>,
        standardization: Standardization,
    ) -> Result<Buffer, Self::Err> {
        self.upload_images(pool, shape, pixels, standardization)
    }
}

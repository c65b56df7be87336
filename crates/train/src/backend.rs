//! The seam between devices: what a device must be able to do for the ops. The CPU is here, NVIDIA GPUs in [`cuda`]; each op's
//! folder has a kernel file for either.

mod buffer;
#[cfg(feature = "cuda")]
pub mod cuda;

pub use buffer::{Buffer, BufferPool};

use crate::feed::{HostStore, Store};
use crate::ops::adam::AdamKernel;
use crate::ops::batch_norm2d::BatchNorm2dKernel;
use crate::ops::conv2d::Conv2dKernel;
use crate::ops::cross_entropy::CrossEntropyKernel;
use crate::ops::dense::DenseKernel;
use crate::ops::dropout::DropoutKernel;
use crate::ops::flatten::FlattenKernel;
use crate::ops::max_pool2d::MaxPool2dKernel;
use crate::ops::moving_average::MovingAverageKernel;
use crate::ops::relu::ReluKernel;
use crate::ops::{self, add::AddKernel};
use dfdx::shapes::{HasShape, Shape};
use dfdx::tensor::{Cpu, CpuError, Gradients, HasErr, Storage, Synchronize, Tensor, TensorFromVec};
use dfdx::tensor_ops::Device;

/// A vector of run-time length: a parameter, or a statistic of each channel.
pub type Vector<B> = Tensor<(usize,), f32, B>;

/// A matrix of run-time shape: `[images, features]`.
pub type Matrix<B> = Tensor<(usize, usize), f32, B>;

/// dfdx's own storage, in which gradients of tensors are handed out.
pub type Slot<B> = <B as Storage<f32>>::Vec;

/// Takes a tensor's gradient out of its slot (zeros, if there is none yet), to work on two slots at once or to free the memory.
pub fn take_gradient<S: Shape, B: Memory>(
    gradients: &mut Gradients<f32, B>,
    tensor: &Tensor<S, f32, B>,
) -> Result<Slot<B>, B::Err> {
    let placeholder = Storage::<f32>::try_alloc_len(tensor.device(), 1)?;
    Ok(std::mem::replace(gradients.get_or_alloc_mut(tensor)?, placeholder))
}

/// How much of a device's memory is in use for activations and gradients, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryUse {
    /// In the pool's buffers, free ones too.
    pub taken: u64,
    /// What the device has left.
    pub free: u64,
}

/// Why a device failed.
pub trait DeviceFailure: std::fmt::Display {
    /// In the driver's words.
    fn in_words(&self) -> String {
        self.to_string()
    }

    /// Whether there was too little memory.
    fn is_out_of_memory(&self) -> bool {
        false
    }
}

impl DeviceFailure for CpuError {}

/// Storage of activations. The layout is the device's own affair: outside of kernels an activation is only a shape.
pub trait Memory: Device<f32> + Synchronize + HasErr<Err: DeviceFailure> {
    /// Whether kernels run on after the call that asked for them has returned, until someone waits for them (`try_synchronize`).
    const ASYNCHRONOUS: bool = false;

    /// The elements of one feature map.
    type Buffer: 'static + std::fmt::Debug;
    /// Buffers that are free, kept from step to step: fresh memory costs page faults on the CPU, and time on a GPU.
    type Pool: 'static + Clone + std::fmt::Debug;

    /// A pool that is empty.
    fn pool(&self) -> Result<Self::Pool, Self::Err>;

    /// Of a device whose memory may run out; the processor's is not counted.
    fn memory_use(&self, _: &Self::Pool) -> Result<MemoryUse, Self::Err> {
        Ok(MemoryUse::default())
    }

    /// A buffer for activations of `shape` `[n, c, h, w]`. Its content is unspecified.
    fn allocate(&self, pool: &Self::Pool, shape: [usize; 4]) -> Result<Self::Buffer, Self::Err>;

    /// Activations from host memory in `[n, c, h, w]` order.
    fn upload(&self, pool: &Self::Pool, shape: [usize; 4], nchw: &[f32]) -> Result<Self::Buffer, Self::Err>;

    /// Activations to host memory in `[n, c, h, w]` order.
    fn download(&self, shape: [usize; 4], buffer: &Self::Buffer) -> Result<Vec<f32>, Self::Err>;

    /// Images for a network's first convolution: 8-bit RGB `[n, h, w, 3]`, scaled by 1/255.
    fn upload_images(&self, pool: &Self::Pool, shape: [usize; 4], rgb: &[u8]) -> Result<Self::Buffer, Self::Err>;

    /// Flattened images, activations of shape `[rows, columns, 1, 1]`, as a matrix of dfdx's.
    fn matrix(&self, shape: [usize; 2], buffer: &Self::Buffer) -> Result<Matrix<Self>, Self::Err>
    where
        Self: Sized;

    /// The way back: storage of dfdx's (the gradient of such a matrix) as activations.
    fn matrix_storage_to_buffer(
        &self,
        pool: &Self::Pool,
        shape: [usize; 2],
        storage: &Slot<Self>,
    ) -> Result<Self::Buffer, Self::Err>;

    /// A vector with the same values, whose memory is its own from the first time that either is written.
    fn copy_vector(&self, vector: &Vector<Self>) -> Result<Vector<Self>, Self::Err>
    where
        Self: Sized;

    /// Copies storage of dfdx's (a gradient, an optimiser's moment) to the host.
    fn storage_to_host(&self, storage: &Slot<Self>) -> Result<Vec<f32>, Self::Err>;

    /// Overwrites storage of dfdx's with as many values from the host.
    fn storage_from_host(&self, storage: &mut Slot<Self>, values: &[f32]) -> Result<(), Self::Err>;
}

/// A device that batches of images come to.
pub trait ImageMemory: Memory {
    /// Where it keeps them.
    type Store: Store;

    /// A store for batches of `batch_size` images of `image_bytes`. Of `keep` images it keeps as many as there is memory for.
    ///
    /// # Errors
    /// Not even a batch fits into the memory that is free.
    fn store(&self, keep: usize, batch_size: usize, image_bytes: usize) -> Result<Self::Store, Self::Err>;

    /// The images of a batch that was sent, for a network's first convolution: scaled by 1/255.
    fn receive_images(
        &self,
        pool: &Self::Pool,
        shape: [usize; 4],
        pixels: &Pixels<Self>,
    ) -> Result<Self::Buffer, Self::Err>;
}

/// The images of a batch, as a device gets them.
pub type Pixels<B> = <<B as ImageMemory>::Store as Store>::Pixels;

/// A device that networks run on: memory and one kernel for every op.
pub trait Backend:
    Memory
    + ImageMemory
    + Conv2dKernel
    + MaxPool2dKernel
    + BatchNorm2dKernel
    + AddKernel
    + ReluKernel
    + FlattenKernel
    + DenseKernel
    + DropoutKernel
    + CrossEntropyKernel
    + AdamKernel
    + MovingAverageKernel
{
}

impl Backend for Cpu {}

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
        Ok(pool.take(ops::layout::blocked_len(shape)))
    }

    fn upload(&self, pool: &BufferPool, shape: [usize; 4], nchw: &[f32]) -> Result<Buffer, Self::Err> {
        let mut buffer = self.allocate(pool, shape)?;
        ops::layout::block(nchw, shape, &mut buffer);
        Ok(buffer)
    }

    fn download(&self, shape: [usize; 4], buffer: &Buffer) -> Result<Vec<f32>, Self::Err> {
        let mut nchw = vec![0.0; shape.iter().product()];
        ops::layout::unblock(buffer, shape, &mut nchw);
        Ok(nchw)
    }

    fn upload_images(&self, pool: &BufferPool, shape: [usize; 4], rgb: &[u8]) -> Result<Buffer, Self::Err> {
        let mut buffer = pool.take(shape.iter().product());
        ops::parallel::scale_bytes(&mut buffer, rgb, 1.0 / 255.0);
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

    fn receive_images(&self, pool: &BufferPool, shape: [usize; 4], pixels: &Vec<u8>) -> Result<Buffer, Self::Err> {
        self.upload_images(pool, shape, pixels)
    }
}

//! The memory of a device, as far as all ops need it.

use super::failure::DeviceFailure;
use super::standardization::Standardization;
use dfdx::shapes::Shape;
use dfdx::tensor::{Gradients, HasErr, Storage, Synchronize, Tensor};
use dfdx::tensor_ops::Device;

/// A vector of run-time length: a parameter, or a statistic of each channel.
pub type Vector<B> = Tensor<(usize,), f32, B>;

/// A matrix of run-time shape: `[images, features]`.
pub type Matrix<B> = Tensor<(usize, usize), f32, B>;

/// dfdx's own storage, in which gradients of tensors are handed out.
pub type Slot<B> = <B as Storage<f32>>::Vec;

/// Takes a tensor's gradient out of its slot (zeros, if there is none yet), to work on two slots at once or to free
/// the memory.
pub(crate) fn take_gradient<S: Shape, B: Memory>(
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

/// Storage of activations. The layout is the device's own affair: outside of kernels an activation is only a shape.
pub trait Memory: Device<f32> + Synchronize + HasErr<Err: DeviceFailure> {
    /// Whether kernels run on after the call that asked for them has returned, until someone waits for them
    /// (`try_synchronize`).
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

    /// Images for a network's first convolution, from 8-bit RGB `[n, h, w, 3]`.
    fn upload_images(
        &self,
        pool: &Self::Pool,
        shape: [usize; 4],
        rgb: &[u8],
        standardization: Standardization,
    ) -> Result<Self::Buffer, Self::Err>;

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

/// Whether a kernel replaces what its output buffer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accumulate {
    /// The content is unspecified and replaced.
    Overwrite,
    /// The result is added to the content.
    Add,
}

#[cfg(feature = "cuda")]
impl Accumulate {
    /// As kernels on GPUs take it: 1 to add.
    pub(crate) fn flag(self) -> i32 {
        i32::from(self == Self::Add)
    }
}

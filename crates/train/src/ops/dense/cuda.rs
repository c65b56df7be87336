//! The dense layer on NVIDIA GPUs: how many blocks the kernels of `cuda.cu` run on. Sums have a fixed order, and into
//! how many slices they are split follows from the sizes alone: two runs give the same bits.

use super::{DenseGradients, DenseKernel, Sizes};
use crate::device::cuda::{CudaBuffer, CudaPool, pointer};
use crate::ops::gemm::{SLICE_THREADS, check_len, slice_blocks, slices};
use crate::tensor::memory::{Accumulate, Vector};
use cudarc::driver::DevicePtr;
use dfdx::tensor::{Cuda, CudaError};

/// Results of a block, along both of the matrix' axes: M and N in `cuda.cu`.
const TILE: [usize; 2] = [64, 32];

/// Threads of a block of products.
const THREADS: usize = 128;

/// Blocks that the forward pass is split into, if there are inputs enough: two for each of 132 multiprocessors (H100).
const FORWARD_BLOCKS: usize = 264;

/// Inputs that outweigh the sum over slices.
const SHORTEST_SLICE: usize = 128;

impl DenseKernel for Cuda {
    fn dense(
        &self,
        pool: &CudaPool,
        sizes: Sizes,
        x: &CudaBuffer,
        weight: &Vector<Self>,
        bias: &Vector<Self>,
        relu: bool,
        y: &mut CudaBuffer,
    ) -> Result<(), CudaError> {
        let [images, inputs, outputs] = device_sizes(sizes)?;
        let context = pool.context();
        let blocks = [sizes.outputs.div_ceil(TILE[0]), sizes.n.div_ceil(TILE[1])];
        let [slice, slices] = slices(sizes.inputs, blocks[0] * blocks[1], FORWARD_BLOCKS, SHORTEST_SLICE);
        let elements = sizes.n * sizes.outputs;
        check_len(slices * elements)?;
        let partial = pool.take(slices * elements)?;
        let parameters = (images, inputs, outputs, x.pointer(), pointer(weight), slice as i32, partial.pointer());
        // SAFETY: the parameters are the kernel's; the buffers have the sizes given, which fit its integers.
        unsafe { context.launch("dense_forward", [blocks[0], blocks[1], slices], THREADS, parameters) }?;
        let relu = i32::from(relu);
        let parameters = (partial.pointer(), slices as i32, images, outputs, pointer(bias), relu, y.pointer());
        // SAFETY: as above.
        unsafe { context.launch("dense_add_slices", slice_blocks(elements), SLICE_THREADS, parameters) }
    }

    fn dense_gradient(
        &self,
        pool: &CudaPool,
        sizes: Sizes,
        x: &CudaBuffer,
        weight: &Vector<Self>,
        dy: &CudaBuffer,
        gradients: DenseGradients<'_, Self>,
        dx: Option<(&mut CudaBuffer, Accumulate)>,
    ) -> Result<(), CudaError> {
        let [images, inputs, outputs] = device_sizes(sizes)?;
        let context = pool.context();
        let grid = [sizes.inputs.div_ceil(TILE[0]), sizes.outputs.div_ceil(TILE[1]), 1];
        let slots = [*gradients.weight.device_ptr(), *gradients.bias.device_ptr()];
        let parameters = (images, inputs, outputs, x.pointer(), dy.pointer(), slots[0], slots[1]);
        // SAFETY: as in `dense`; the slots have the tensors' lengths, and are borrowed exclusively.
        unsafe { context.launch("dense_weight_gradient", grid, THREADS, parameters) }?;
        let Some((dx, accumulate)) = dx else { return Ok(()) };
        let grid = [sizes.inputs.div_ceil(TILE[0]), sizes.n.div_ceil(TILE[1]), 1];
        let add = i32::from(accumulate == Accumulate::Add);
        let parameters = (images, inputs, outputs, dy.pointer(), pointer(weight), add, dx.pointer());
        // SAFETY: as in `dense`.
        unsafe { context.launch("dense_input_gradient", grid, THREADS, parameters) }
    }
}

/// The sizes as the kernels take them.
///
/// # Errors
/// Matrices of 2³¹ floats and more.
fn device_sizes(sizes: Sizes) -> Result<[i32; 3], CudaError> {
    let Sizes { n, inputs, outputs } = sizes;
    for len in [n * inputs, n * outputs, inputs * outputs] {
        check_len(len)?;
    }
    Ok([n as i32, inputs as i32, outputs as i32])
}

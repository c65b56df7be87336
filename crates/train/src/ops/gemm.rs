//! What launching the products of `gemm.cuh` has in common.

use cudarc::driver::DriverError;
use cudarc::driver::sys::CUresult;
use dfdx::tensor::CudaError;

/// Elements that a block which adds slices takes. As in `gemm.cuh`.
const SLICE_ELEMENTS: usize = 32;

/// Its threads. As in `gemm.cuh`.
pub(crate) const SLICE_THREADS: usize = 256;

/// The slices of a product's sums are a multiple of a tile long.
const SLICE_GRAIN: usize = 32;

/// Blocks that add the slices of so many elements.
pub(crate) fn slice_blocks(elements: usize) -> [usize; 3] {
    [elements.div_ceil(SLICE_ELEMENTS), 1, 1]
}

/// Length and number of the slices that a sum over `len` is split into, so that with `tiles` blocks each there are
/// about as many as `blocks`; they are `shortest` long at least.
pub(crate) fn slices(len: usize, tiles: usize, blocks: usize, shortest: usize) -> [usize; 2] {
    let wanted = (blocks / tiles).max(1);
    let slice = len.div_ceil(wanted).next_multiple_of(SLICE_GRAIN).max(shortest);
    [slice, len.div_ceil(slice)]
}

/// Refuses what kernels cannot count: their integers have 31 bits.
///
/// # Errors
/// There are 2³¹ elements or more.
pub(crate) fn check_len(elements: usize) -> Result<(), CudaError> {
    if i32::try_from(elements).is_ok() { Ok(()) } else { Err(not_supported()) }
}

/// What a kernel was not made for.
pub(crate) fn not_supported() -> CudaError {
    CudaError::Driver(DriverError(CUresult::CUDA_ERROR_NOT_SUPPORTED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cover_the_whole_sum_with_no_more_blocks_than_wanted() {
        for len in [1, 31, 127, 129, 255, 257, 25_088, 57_600, 119_072, 524_288, 4_194_304] {
            for (tiles, blocks, shortest) in [(1, 264, 128), (3, 264, 128), (36, 528, 256), (1000, 528, 256)] {
                let [slice, count] = slices(len, tiles, blocks, shortest);
                assert!(slice * count >= len && slice * (count - 1) < len, "{len} in {count} slices of {slice}");
                assert!(slice % SLICE_GRAIN == 0 && slice >= shortest && count * tiles <= blocks.max(tiles));
            }
        }
    }
}

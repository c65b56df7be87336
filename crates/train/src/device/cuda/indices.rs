//! Indices on the device, known to be in bounds: of images in a store, of classes.

use super::{CudaPool, kernel_size};
use cudarc::driver::{CudaSlice, DevicePtr, DeviceSlice};
use dfdx::tensor::CudaError;
use std::ops::Range;

/// Indices that are all less than a limit.
#[derive(Debug)]
pub struct Indices {
    values: CudaSlice<u32>,
    limit: usize,
}

impl Indices {
    /// Copies indices (at least one) to the device.
    ///
    /// # Errors
    /// The device failed.
    ///
    /// # Panics
    /// An index is not less than `limit`.
    pub fn new(pool: &CudaPool, indices: &[usize], limit: usize) -> Result<Self, CudaError> {
        let checked = |&index: &usize| {
            assert!(index < limit, "index {index} of {limit}");
            kernel_size(index)
        };
        let values: Vec<u32> = indices.iter().map(checked).collect();
        Ok(Self { values: pool.context().device().htod_sync_copy(&values)?, limit })
    }

    /// How many.
    #[allow(clippy::len_without_is_empty)]
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// What all of them are less than.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Where those of a range begin, 32 bits each.
    ///
    /// # Panics
    /// The range ends beyond the last.
    pub(crate) fn pointer(&self, range: &Range<usize>) -> u64 {
        assert!(range.start <= range.end && range.end <= self.len(), "{range:?} of {} indices", self.len());
        *self.values.device_ptr() + (range.start * size_of::<u32>()) as u64
    }
}

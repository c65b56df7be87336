//! What is still to be done to a map's values, as kernels take it.

use super::pointer;
use crate::tensor::pending::Affine;
use cudarc::driver::DeviceRepr;
use dfdx::shapes::HasShape;
use dfdx::tensor::Cuda;

/// `Pending` in `pending.cuh`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Pending {
    scale: u64,
    shift: u64,
    activation: i32,
}

// SAFETY: plain numbers, laid out as in C.
unsafe impl DeviceRepr for Pending {}

impl Pending {
    /// Of a map with so many channels.
    ///
    /// # Panics
    /// `affine` is of other channels.
    pub(crate) fn new(affine: Option<&Affine<Cuda>>, channels: usize) -> Self {
        let Some(affine) = affine else { return Self { scale: 0, shift: 0, activation: 0 } };
        let lens = [&affine.scale, &affine.shift].map(|vector| vector.shape().0);
        assert_eq!(lens, [channels; 2], "factors of other channels");
        let [scale, shift] = [&affine.scale, &affine.shift].map(pointer);
        Self { scale, shift, activation: affine.activation.code() }
    }
}

//! The additions on NVIDIA GPUs.

use super::{SumKernel, Term};
use crate::device::cuda::{CudaBuffer, CudaPool, blocks, copy, kernel_size, pointer};
use crate::tensor::activation::Activation;
use crate::tensor::pending::AddKernel;
use cudarc::driver::DeviceRepr;
use dfdx::shapes::HasShape;
use dfdx::tensor::{Cuda, CudaError};

/// Threads of a block.
const THREADS: usize = 256;

/// `Term` in `cuda.cu`.
#[repr(C)]
struct DeviceTerm {
    map: u64,
    scale: u64,
    shift: u64,
    activation: i32,
}

// SAFETY: plain numbers, laid out as in C.
unsafe impl DeviceRepr for DeviceTerm {}

impl DeviceTerm {
    fn new(term: &Term<'_, Cuda>, [n, c, h, w]: [usize; 4]) -> Self {
        assert_eq!(term.data.len(), n * c * h * w, "a map of another size");
        let map = term.data.pointer();
        let Some(affine) = term.affine else { return Self { map, scale: 0, shift: 0, activation: 0 } };
        assert_eq!([&affine.scale, &affine.shift].map(|vector| vector.shape().0), [c, c], "factors of other channels");
        let [scale, shift] = [&affine.scale, &affine.shift].map(pointer);
        Self { map, scale, shift, activation: affine.activation.code() }
    }
}

impl AddKernel for Cuda {
    fn add_assign(&self, sum: &mut CudaBuffer, term: &CudaBuffer) -> Result<(), CudaError> {
        let len = sum.len();
        assert_eq!(term.len(), len, "a sum of maps of different sizes");
        let parameters = (sum.pointer(), term.pointer(), len);
        // SAFETY: the kernel's parameters; both buffers hold `len` floats, and they are two, as one is borrowed
        // mutably.
        unsafe { sum.context().launch("add_assign", blocks(len, THREADS), THREADS, parameters) }
    }
}

impl SumKernel for Cuda {
    fn sum(
        &self,
        _: &CudaPool,
        shape @ [_, c, h, w]: [usize; 4],
        terms: [Term<'_, Self>; 2],
        activation: Activation,
        y: &mut CudaBuffer,
    ) -> Result<(), CudaError> {
        let [a, b] = terms.each_ref().map(|term| DeviceTerm::new(term, shape));
        let len = y.len();
        assert_eq!(len, shape.iter().product::<usize>(), "a map of another size");
        let (plane, channels) = (kernel_size(h * w), kernel_size(c));
        let parameters = (a, b, plane, channels, activation.code(), len, y.pointer());
        // SAFETY: the kernel's parameters; lengths are checked, and `y` is borrowed mutably, so none of the others.
        unsafe { y.context().launch("sum_maps", blocks(len, THREADS), THREADS, parameters) }
    }

    fn copy(&self, from: &CudaBuffer, to: &mut CudaBuffer) -> Result<(), CudaError> {
        // SAFETY: both are there for as long as they are borrowed, and `to` mutably.
        unsafe { copy(to.pointer(), to.len(), from.pointer(), from.len(), from.context()) }
    }
}

//! Convolution in groups on NVIDIA GPUs: kernels that read what they need when they need it.

use super::{ConvGradients, Epilogue, Geometry, Input};
use crate::device::cuda::{Context, CudaBuffer, Pending, blocks, pointer};
use crate::ops::gemm::check_len;
use crate::tensor::memory::{Accumulate, Vector};
use cudarc::driver::{DevicePtr, DeviceRepr};
use dfdx::tensor::{Cuda, CudaError};

/// Threads of a block. As in `cuda.cu`.
const THREADS: usize = 128;

/// `Grouped` in `cuda.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Sizes([i32; 13]);

/// `OutputGradient` in `cuda.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Gradient {
    dy: u64,
    y: u64,
}

// SAFETY: plain numbers, laid out as in C.
unsafe impl DeviceRepr for Sizes {}
// SAFETY: as above.
unsafe impl DeviceRepr for Gradient {}

impl Sizes {
    /// # Errors
    /// Maps or weights of 2³¹ floats and more.
    fn new(g: &Geometry) -> Result<Self, CudaError> {
        for shape in [g.input(), g.output(), g.kernel()] {
            check_len(shape.iter().product())?;
        }
        let sizes = [g.n, g.c, g.h, g.w, g.o, g.groups, g.kernel_h, g.kernel_w, g.stride, g.pad_top, g.pad_left];
        let all: Vec<i32> = sizes.into_iter().chain([g.out_h, g.out_w]).map(|size| size as i32).collect();
        Ok(Self(all.try_into().unwrap_or([0; 13])))
    }
}

/// `y`, without moments.
pub(super) fn forward(
    context: &Context,
    geometry: &Geometry,
    x: Input<'_, Cuda>,
    (weight, bias): (&Vector<Cuda>, Option<&Vector<Cuda>>),
    epilogue: &Epilogue<'_, CudaBuffer>,
    y: &mut CudaBuffer,
) -> Result<(), CudaError> {
    let len = y.len();
    assert_eq!(len, geometry.output().iter().product::<usize>(), "an output of another size");
    let parameters = (
        Sizes::new(geometry)?,
        x.data.pointer(),
        Pending::new(x.affine, geometry.c),
        pointer(weight),
        bias.map_or(0, pointer),
        epilogue.residual.map_or(0, CudaBuffer::pointer),
        epilogue.activation.code(),
        len,
        y.pointer(),
    );
    // SAFETY: the kernel's parameters; the buffers have the sizes in `geometry`, and `y` is borrowed mutably.
    unsafe { context.launch("conv2d_grouped_forward", blocks(len, THREADS), THREADS, parameters) }
}

/// Adds to the gradients of weight and bias, and writes or adds to `dx`, from `dy` where `y`, if there is one, is
/// positive.
pub(super) fn gradient(
    context: &Context,
    geometry: &Geometry,
    x: Input<'_, Cuda>,
    [dy, y]: [u64; 2],
    weight: &Vector<Cuda>,
    gradients: ConvGradients<'_, Cuda>,
    dx: Option<(&mut CudaBuffer, Accumulate)>,
) -> Result<(), CudaError> {
    let (sizes, gradient) = (Sizes::new(geometry)?, Gradient { dy, y });
    let weights = geometry.kernel().iter().product::<usize>();
    let biases = gradients.bias.as_ref().map_or(0, |_| geometry.o);
    let (dw, db) = (*gradients.weight.device_ptr(), gradients.bias.map_or(0, |bias| *bias.device_ptr()));
    let parameters = (sizes, x.data.pointer(), Pending::new(x.affine, geometry.c), gradient, weights as i32, dw, db);
    let grid = [weights + biases, 1, 1];
    // SAFETY: the kernel's parameters; the slots have the tensors' lengths, and are borrowed exclusively.
    unsafe { context.launch("conv2d_grouped_weight_gradient", grid, THREADS, parameters) }?;
    let Some((dx, accumulate)) = dx else { return Ok(()) };
    let len = dx.len();
    assert_eq!(len, geometry.input().iter().product::<usize>(), "a gradient of another size");
    let parameters = (sizes, gradient, pointer(weight), accumulate.flag(), len, dx.pointer());
    // SAFETY: the kernel's parameters; `dx` is borrowed mutably, so none of the others.
    unsafe { context.launch("conv2d_grouped_input_gradient", blocks(len, THREADS), THREADS, parameters) }
}

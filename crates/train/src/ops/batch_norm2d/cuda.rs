//! The normalisation on NVIDIA GPUs: a block a plane, and a block a channel where planes are merged.

use super::{
    Batch, BatchNorm2dKernel, ChannelGradients, Channels, Moving, NormOptions, Normalization, NormalizedBatch,
};
use crate::device::cuda::{Context, CudaBuffer, CudaPool, blocks, kernel_size, pointer};
use crate::tensor::activation::Activation;
use crate::tensor::memory::{Accumulate, Vector};
use crate::tensor::pending::{Affine, NormGradient, NormShare, PendingKernel};
use cudarc::driver::{DevicePtr, DeviceRepr, DeviceSlice};
use dfdx::shapes::HasShape;
use dfdx::tensor::{Cuda, CudaError, ZerosTensor};

/// Threads of a block that works on a plane. As in `cuda.cu`.
const PLANE_THREADS: usize = 256;

/// Threads of a block that merges the planes of a channel. As in `cuda.cu`.
const CHANNEL_THREADS: usize = 64;

/// `Channels` in `cuda.cu`: addresses of a value a channel each.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct ChannelAddresses {
    mean: u64,
    variance: u64,
    weight: u64,
    bias: u64,
}

// SAFETY: plain numbers, laid out as the kernels' argument.
unsafe impl DeviceRepr for ChannelAddresses {}

/// `Found` in `cuda.cu`. Scale and shift are zero where they are not wanted.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct FoundAddresses {
    mean: u64,
    variance: u64,
    scale: u64,
    shift: u64,
}

// SAFETY: as above.
unsafe impl DeviceRepr for FoundAddresses {}

/// `Moving` in `cuda.cu`. The addresses are zero where there are no moving statistics.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct MovingAddresses {
    mean: u64,
    variance: u64,
    kept: f32,
    mean_share: f32,
    variance_share: f32,
}

// SAFETY: as above.
unsafe impl DeviceRepr for MovingAddresses {}

/// `Gradient` in `cuda.cu`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct GradientAddresses {
    scale: u64,
    shift: u64,
    factor: u64,
    constant: u64,
}

// SAFETY: as above.
unsafe impl DeviceRepr for GradientAddresses {}

impl BatchNorm2dKernel for Cuda {
    fn moments_shape([n, c, _, _]: [usize; 4]) -> [usize; 4] {
        [n, c, 2, 1]
    }

    fn channel_statistics(
        &self,
        pool: &CudaPool,
        shape: [usize; 4],
        x: &CudaBuffer,
        moments: Option<&CudaBuffer>,
    ) -> Result<(Vector<Self>, Vector<Self>), CudaError> {
        let (mean, variance) = (vector(self, shape)?, vector(self, shape)?);
        let found = FoundAddresses { mean: pointer(&mean), variance: pointer(&variance), ..FoundAddresses::default() };
        let options = NormOptions { activation: Activation::None, epsilon: 0.0, momentum: 0.0 };
        let op = Normalization { shape, options };
        // SAFETY: both vectors are new and have a value a channel; nothing else is wanted.
        unsafe { statistics(pool, &op, x, moments, [0, 0], found, MovingAddresses::default()) }?;
        Ok((mean, variance))
    }

    fn batch_norm2d(
        &self,
        pool: &CudaPool,
        op: &Normalization,
        channels: Channels<'_, Self>,
    ) -> Result<Affine<Self>, CudaError> {
        let (scale, shift) = (vector(self, op.shape)?, vector(self, op.shape)?);
        let c = op.shape[1];
        let channels = addresses(op, &channels);
        let parameters = (kernel_size(c), op.options.epsilon, channels, pointer(&scale), pointer(&shift));
        let grid = blocks(c, CHANNEL_THREADS);
        // SAFETY: the kernel's parameters; all vectors have a value a channel, and those written are new.
        unsafe { pool.context().launch("batch_norm2d_affine", grid, CHANNEL_THREADS, parameters) }?;
        Ok(Affine { scale, shift, activation: op.options.activation })
    }

    fn normalize_batch(
        &self,
        pool: &CudaPool,
        op: &Normalization,
        batch: Batch<'_, Self>,
        moving: Moving<'_, Self>,
    ) -> Result<NormalizedBatch<Self>, CudaError> {
        let Batch { x, moments, weight, bias } = batch;
        let vector = || vector(self, op.shape);
        let (mean, variance, scale, shift) = (vector()?, vector()?, vector()?, vector()?);
        let found = FoundAddresses {
            mean: pointer(&mean),
            variance: pointer(&variance),
            scale: pointer(&scale),
            shift: pointer(&shift),
        };
        let moving = MovingAddresses {
            mean: address(op, moving.mean),
            variance: address(op, moving.variance),
            kept: (1.0 - op.options.momentum) as f32,
            mean_share: op.options.momentum as f32,
            variance_share: (op.options.momentum * op.unbiased()) as f32,
        };
        let affine = [weight, bias].map(|vector| address(op, vector));
        // SAFETY: all vectors have a value a channel; those that are found are new, and the moving statistics are
        // borrowed mutably and nobody else's, as the trait demands.
        unsafe { statistics(pool, op, x, moments, affine, found, moving) }?;
        Ok(NormalizedBatch { mean, variance, affine: Affine { scale, shift, activation: op.options.activation } })
    }

    fn batch_norm2d_gradient(
        &self,
        pool: &CudaPool,
        op: &Normalization,
        channels: Channels<'_, Self>,
        x: &CudaBuffer,
        dy: &CudaBuffer,
        gradients: ChannelGradients<'_, Self>,
    ) -> Result<NormGradient<Self>, CudaError> {
        let [n, c, h, w] = op.shape;
        let [planes, plane, channel_count] = sizes(op.shape, [x, dy]);
        assert_eq!([gradients.weight.len(), gradients.bias.len()], [c; 2], "gradients of other channels");
        let of = addresses(op, &channels);
        let sums = pool.take(n * c * 2)?;
        let activation = op.options.activation.code();
        let parameters =
            (x.pointer(), dy.pointer(), plane, channel_count, op.options.epsilon, activation, of, sums.pointer());
        // SAFETY: the kernel's parameters; lengths are checked, and `sums` is new.
        unsafe { pool.context().launch("batch_norm2d_sums", [planes as usize, 1, 1], PLANE_THREADS, parameters) }?;

        let vector = || vector(self, op.shape);
        let (scale, shift, factor, constant) = (vector()?, vector()?, vector()?, vector()?);
        let to = gradient_addresses([&scale, &shift, &factor, &constant]);
        let [dweight, dbias] = [&gradients.weight, &gradients.bias].map(|slot| *slot.device_ptr());
        let (n, count) = (kernel_size(n), (n * h * w) as f64);
        let parameters = (sums.pointer(), n, channel_count, count, op.options.epsilon, of, dweight, dbias, to);
        // SAFETY: the kernel's parameters; all vectors have a value a channel, and those written are new or borrowed
        // mutably.
        unsafe { pool.context().launch("batch_norm2d_gradient", [c, 1, 1], CHANNEL_THREADS, parameters) }?;
        Ok(NormGradient {
            mean: channels.mean.clone(),
            scale,
            shift,
            factor,
            constant,
            activation: op.options.activation,
        })
    }
}

impl PendingKernel for Cuda {
    fn apply_affine(
        &self,
        shape: [usize; 4],
        affine: &Affine<Self>,
        x: &CudaBuffer,
        y: &mut CudaBuffer,
    ) -> Result<(), CudaError> {
        let [planes, plane, c] = sizes(shape, [x, y]);
        let [scale, shift] = [&affine.scale, &affine.shift].map(|vector| channel_address(shape, vector));
        let parameters = (x.pointer(), plane, c, scale, shift, affine.activation.code(), y.pointer());
        // SAFETY: the kernel's parameters; lengths are checked, and `y` is borrowed mutably, so none of the others.
        unsafe { y.context().launch("batch_norm2d_apply_affine", [planes as usize, 1, 1], PLANE_THREADS, parameters) }
    }

    fn apply_norm_share(
        &self,
        shape: [usize; 4],
        share: &NormShare<Self>,
        dx: &mut CudaBuffer,
        accumulate: Accumulate,
    ) -> Result<(), CudaError> {
        let NormShare { of, x, dy } = share;
        let [planes, plane, c] = sizes(shape, [x, dx]);
        assert_eq!(dy.len(), dx.len(), "a gradient of another map");
        let mean = channel_address(shape, &of.mean);
        let all = [&of.scale, &of.shift, &of.factor, &of.constant];
        all.iter().for_each(|vector| assert_eq!(vector.shape().0, shape[1], "gradients of other channels"));
        let (all, activation, add) = (gradient_addresses(all), of.activation.code(), accumulate.flag());
        let parameters = (x.pointer(), dy.pointer(), plane, c, mean, all, activation, add, dx.pointer());
        // SAFETY: the kernel's parameters; lengths are checked, and `dx` is borrowed mutably, so none of the others.
        unsafe { dx.context().launch("batch_norm2d_apply_share", [planes as usize, 1, 1], PLANE_THREADS, parameters) }
    }
}

/// Mean and mean squared deviation of every plane of `x` `[n, c, h, w]`, into `moments` `[n, c, 2]`.
pub(crate) fn plane_moments(
    context: &Context,
    shape: [usize; 4],
    x: &CudaBuffer,
    moments: &mut CudaBuffer,
) -> Result<(), CudaError> {
    let [planes, plane, _] = sizes(shape, [x]);
    assert_eq!(moments.len(), planes as usize * 2, "room for the moments of another map");
    let parameters = (x.pointer(), plane, moments.pointer());
    // SAFETY: the kernel's parameters; lengths are checked, and `moments` is borrowed mutably, so not `x`.
    unsafe { context.launch("batch_norm2d_moments", [planes as usize, 1, 1], PLANE_THREADS, parameters) }
}

/// Statistics of each channel and what follows from them.
///
/// # Safety
/// All addresses that are not zero are of a value a channel; those of `found` and `moving` are nobody else's.
/// `affine`, γ and β, is there if scale and shift are wanted.
unsafe fn statistics(
    pool: &CudaPool,
    op: &Normalization,
    x: &CudaBuffer,
    moments: Option<&CudaBuffer>,
    [weight, bias]: [u64; 2],
    found: FoundAddresses,
    moving: MovingAddresses,
) -> Result<(), CudaError> {
    let [n, c, _, _] = op.shape;
    let mut own = None;
    let moments = match moments {
        Some(moments) => moments,
        None => {
            let mut taken = pool.take(n * c * 2)?;
            plane_moments(pool.context(), op.shape, x, &mut taken)?;
            &*own.insert(taken)
        }
    };
    assert_eq!(moments.len(), n * c * 2, "moments of another map");
    let parameters =
        (moments.pointer(), kernel_size(n), kernel_size(c), op.options.epsilon, weight, bias, found, moving);
    // SAFETY: the kernel's parameters, and the caller's promise.
    unsafe { pool.context().launch("batch_norm2d_statistics", [c, 1, 1], CHANNEL_THREADS, parameters) }
}

/// Number of planes, values of a plane, and channels of maps that are all of this shape.
fn sizes<const N: usize>(shape @ [n, c, h, w]: [usize; 4], maps: [&CudaBuffer; N]) -> [u32; 3] {
    maps.iter().for_each(|map| assert_eq!(map.len(), n * c * h * w, "a map of another shape than {shape:?}"));
    [n * c, h * w, c].map(kernel_size)
}

/// A value a channel.
fn vector(device: &Cuda, [_, c, _, _]: [usize; 4]) -> Result<Vector<Cuda>, CudaError> {
    device.try_zeros_like(&(c,))
}

fn channel_address(shape: [usize; 4], vector: &Vector<Cuda>) -> u64 {
    assert_eq!(vector.shape().0, shape[1], "values of other channels than those of {shape:?}");
    pointer(vector)
}

fn address(op: &Normalization, vector: &Vector<Cuda>) -> u64 {
    channel_address(op.shape, vector)
}

fn addresses(op: &Normalization, channels: &Channels<'_, Cuda>) -> ChannelAddresses {
    ChannelAddresses {
        mean: address(op, channels.mean),
        variance: address(op, channels.variance),
        weight: address(op, channels.weight),
        bias: address(op, channels.bias),
    }
}

fn gradient_addresses(vectors: [&Vector<Cuda>; 4]) -> GradientAddresses {
    let [scale, shift, factor, constant] = vectors.map(pointer);
    GradientAddresses { scale, shift, factor, constant }
}

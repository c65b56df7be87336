//! Batch normalisation over images and pixels (Ioffe and Szegedy 2015), optionally with an activation f.
//!
//! ```text
//! y = f( γ[c] · x̂ + β[c] ),   x̂ = (x - μ[c]) / sqrt(σ²[c] + ε)          x, y [n, c, h, w]
//! ```
//! In training μ and σ² are the batch's mean and (biased) variance over the m = n·h·w values of a channel, and the
//! moving statistics follow: `moving ← (1 - momentum) · moving + momentum · batch`, the variance unbiased (times m /
//! (m - 1)), as in PyTorch. In inference μ and σ² are the moving statistics. Gradients in training, `d` being that
//! inside f:
//! ```text
//! dβ = Σ d      dγ = Σ d·x̂      dx = γ / sqrt(σ² + ε) · (d - dβ / m - x̂ · dγ / m)
//! ```
//! Once μ and σ² are known, all that is left is a factor and a summand for each channel ([`Affine`]). The op therefore
//! writes nothing: its result is the map it was given with these beside it, and the next convolution applies them as
//! it reads. Where the map is the result of a convolution, that has taken the mean and spread of each image too. The
//! gradient by the input is treated alike: once dγ and dβ are known ([`NormGradient`]), the convolution before
//! computes it as it reads it.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub(crate) mod fold;
pub mod reference;

pub(crate) use cpu::{LaneAffine, LaneShare, MOMENTS, moments};
#[cfg(feature = "cuda")]
pub(crate) use cuda::plane_moments;

use crate::tensor::activation::Activation;
use crate::tensor::feature_map::FeatureMap;
use crate::tensor::memory::{Memory, Slot, Vector, take_gradient};
use crate::tensor::parameter::Parameter;
use crate::tensor::pass::Pass;
use crate::tensor::pending::{Affine, NormGradient, NormShare, PendingKernel};
use preprocess::{Error, Result};
use std::rc::Rc;

/// Settings of a normalisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormOptions {
    /// What the output ends with.
    pub activation: Activation,
    /// ε, added to the variance.
    pub epsilon: f32,
    /// How far the moving statistics go towards the batch's in one step, as PyTorch counts: its default is 0.1.
    pub momentum: f64,
}

/// Sizes and settings of one normalisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalization {
    /// `[n, c, h, w]` of input and output.
    pub shape: [usize; 4],
    /// All that does not depend on the input.
    pub options: NormOptions,
}

impl Normalization {
    /// What makes the variance of a batch unbiased: m / (m - 1) for m values a channel.
    fn unbiased(&self) -> f64 {
        let [n, _, h, w] = self.shape;
        let count = (n * h * w) as f64;
        count / (count - 1.0).max(1.0)
    }
}

/// What a training pass normalises.
#[derive(Debug)]
pub struct Batch<'a, B: Memory> {
    /// The activations.
    pub x: &'a B::Buffer,
    /// Mean and mean squared deviation of each channel of each image, where they are there already.
    pub moments: Option<&'a B::Buffer>,
    /// γ.
    pub weight: &'a Vector<B>,
    /// β.
    pub bias: &'a Vector<B>,
}

/// The moving statistics.
#[derive(Debug)]
pub struct Moving<'a, B: Memory> {
    /// Of μ.
    pub mean: &'a mut Vector<B>,
    /// Of σ², unbiased.
    pub variance: &'a mut Vector<B>,
}

/// What a training pass finds out about a batch.
#[derive(Debug)]
pub struct NormalizedBatch<B: Memory> {
    /// μ.
    pub mean: Vector<B>,
    /// σ², biased.
    pub variance: Vector<B>,
    /// The normalisation by both.
    pub affine: Affine<B>,
}

/// Statistics and affine parameters of each channel.
#[derive(Debug)]
pub struct Channels<'a, B: Memory> {
    /// μ.
    pub mean: &'a Vector<B>,
    /// σ², biased.
    pub variance: &'a Vector<B>,
    /// γ.
    pub weight: &'a Vector<B>,
    /// β.
    pub bias: &'a Vector<B>,
}

/// Where the gradients of γ and β gather.
#[derive(Debug)]
pub struct ChannelGradients<'a, B: Memory> {
    /// dγ.
    pub weight: &'a mut Slot<B>,
    /// dβ.
    pub bias: &'a mut Slot<B>,
}

/// Kernels of the normalisation.
pub trait BatchNorm2dKernel: PendingKernel {
    /// Shape of the buffer that takes the moments of maps of `shape` `[n, c, h, w]`: two values for each channel of
    /// each image.
    fn moments_shape(shape: [usize; 4]) -> [usize; 4];

    /// Mean and biased variance of each channel, from the moments of each image where they are there already.
    #[allow(clippy::type_complexity)]
    fn channel_statistics(
        &self,
        pool: &Self::Pool,
        shape: [usize; 4],
        x: &Self::Buffer,
        moments: Option<&Self::Buffer>,
    ) -> Result<(Vector<Self>, Vector<Self>), Self::Err>
    where
        Self: Sized;

    /// The normalisation as a factor and a summand for each channel.
    fn batch_norm2d(
        &self,
        pool: &Self::Pool,
        op: &Normalization,
        channels: Channels<'_, Self>,
    ) -> Result<Affine<Self>, Self::Err>
    where
        Self: Sized;

    /// All of a training pass: statistics of the batch, which the moving ones follow, and the normalisation by them.
    /// The memory of the moving ones may be written in place, so nobody else may hold the same tensors.
    fn normalize_batch(
        &self,
        pool: &Self::Pool,
        op: &Normalization,
        batch: Batch<'_, Self>,
        moving: Moving<'_, Self>,
    ) -> Result<NormalizedBatch<Self>, Self::Err>
    where
        Self: Sized,
    {
        let Batch { x, moments, weight, bias } = batch;
        let (mean, variance) = self.channel_statistics(pool, op.shape, x, moments)?;
        let affine = self.batch_norm2d(pool, op, Channels { mean: &mean, variance: &variance, weight, bias })?;
        let (unbiased, momentum) = (op.unbiased(), op.options.momentum);
        for (moving, batch, factor) in [(moving.mean, &mean, 1.0), (moving.variance, &variance, unbiased)] {
            moving.try_axpy(1.0 - momentum, batch, momentum * factor)?;
        }
        Ok(NormalizedBatch { mean, variance, affine })
    }

    /// The gradients in training, from that by the output: adds to dγ and dβ, and gives what `dx` comes to.
    fn batch_norm2d_gradient(
        &self,
        pool: &Self::Pool,
        op: &Normalization,
        channels: Channels<'_, Self>,
        x: &Self::Buffer,
        dy: &Self::Buffer,
        gradients: ChannelGradients<'_, Self>,
    ) -> Result<NormGradient<Self>, Self::Err>
    where
        Self: Sized;
}

/// A normalisation's parameters.
#[derive(Debug)]
pub struct Parameters<'a, B: BatchNorm2dKernel> {
    /// γ.
    pub weight: &'a Parameter<B>,
    /// β.
    pub bias: &'a Parameter<B>,
    /// The moving mean.
    pub running_mean: &'a mut Parameter<B>,
    /// The moving variance, unbiased.
    pub running_var: &'a mut Parameter<B>,
}

/// Normalises, which leaves the activations to be computed by who reads them, and, in training, moves the statistics;
/// formula and shapes are the module's.
///
/// # Errors
/// Shapes that do not fit each other, or a failure of the device.
pub fn batch_norm2d<B: BatchNorm2dKernel>(
    x: &FeatureMap<B>,
    parameters: Parameters<'_, B>,
    options: NormOptions,
    pass: &mut Pass<B>,
) -> Result<FeatureMap<B>> {
    let Parameters { weight, bias, running_mean, running_var } = parameters;
    let op = weight.name.trim_end_matches(".weight").to_owned();
    let shape @ [_, c, _, _] = x.shape;
    for parameter in [weight, bias, running_mean, running_var] {
        if parameter.shape != [c] {
            return Err(Error::new(format!("cannot apply `{op}` to images of shape {shape:?}"))
                .because(format!("`{}` has shape {:?}", parameter.name, parameter.shape)));
        }
    }
    let x_data = x.activations(&op, pass)?;
    let x_moments = x.affine.is_none().then(|| x.moments.clone()).flatten();
    let normalization = Normalization { shape, options };
    let (weight, bias) = (weight.tensor.clone(), bias.tensor.clone());
    let training = pass.is_training();
    let NormalizedBatch { mean, variance, affine } = pass.forward(&op, |device| {
        if training {
            let batch = Batch { x: x_data.as_ref(), moments: x_moments.as_deref(), weight: &weight, bias: &bias };
            let moving = Moving { mean: &mut running_mean.tensor, variance: &mut running_var.tensor };
            return device.normalize_batch(pass.pool(), &normalization, batch, moving);
        }
        let (mean, variance) = (running_mean.tensor.clone(), running_var.tensor.clone());
        let channels = Channels { mean: &mean, variance: &variance, weight: &weight, bias: &bias };
        let affine = device.batch_norm2d(pass.pool(), &normalization, channels)?;
        Ok(NormalizedBatch { mean, variance, affine })
    })?;
    let y = FeatureMap::normalized(shape, Rc::clone(&x_data), affine, pass);
    let Some(y_gradient) = y.gradient.clone() else { return Ok(y) };
    let x_gradient = x.gradient.clone();
    pass.on_backward(&op, move |device, pool, gradients| {
        let Some(dy) = y_gradient.take(device, pool, shape)? else { return Ok(()) };
        let mut dbias = take_gradient(gradients, &bias)?;
        let dweight = gradients.get_or_alloc_mut(&weight)?;
        let channels = Channels { mean: &mean, variance: &variance, weight: &weight, bias: &bias };
        let sums = ChannelGradients { weight: dweight, bias: &mut dbias };
        let of = device.batch_norm2d_gradient(pool, &normalization, channels, &x_data, &dy, sums)?;
        *gradients.get_or_alloc_mut(&bias)? = dbias;
        match &x_gradient {
            Some(cell) => cell.add_pending(device, pool, shape, NormShare { of, x: x_data, dy }),
            None => Ok(()),
        }
    });
    Ok(y)
}

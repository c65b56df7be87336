//! The normalisation on the CPU: one task a plane of 16 channels.
//!
//! Sums are taken per plane and combined in the order of the planes, so that the result does not depend on the
//! threads. Around a mean of 30 times the spread the error is at most 1e-4 of the largest result, of the statistics
//! 1e-5 (tested below).

use super::{BatchNorm2dKernel, ChannelGradients, Channels, Normalization, reference};
use crate::device::cpu::activation::{activate, passing};
use crate::device::cpu::layout::{self, LANES, blocks};
use crate::device::cpu::simd::{Kernel, Level, Simd, dispatch, is_reference, level};
use crate::device::cpu::sums::{Lanes, Terms, sum};
use crate::device::cpu::{Buffer, BufferPool, host};
use crate::tensor::activation::Activation;
use crate::tensor::memory::{Accumulate, Vector};
use crate::tensor::pending::{Affine, NormGradient, NormShare, PendingKernel};
use dfdx::tensor::{Cpu, HasErr, TensorFromVec};
use rayon::prelude::*;

/// Floats of a plane's moments: 16 means, 16 mean squared deviations.
pub(crate) const MOMENTS: usize = 2 * LANES;

impl BatchNorm2dKernel for Cpu {
    fn moments_shape([n, c, _, _]: [usize; 4]) -> [usize; 4] {
        [n, c, 2, 1]
    }

    fn channel_statistics(
        &self,
        _: &BufferPool,
        shape: [usize; 4],
        x: &Buffer,
        taken: Option<&Buffer>,
    ) -> Result<(Vector<Self>, Vector<Self>), <Self as HasErr>::Err> {
        let [n, c, h, w] = shape;
        if is_reference() {
            let (mean, variance) = reference::statistics(shape, &layout::plain(x, shape));
            let vector = |values: Vec<f64>| self.try_tensor_from_vec(values.iter().map(|&v| v as f32).collect(), (c,));
            return Ok((vector(mean)?, vector(variance)?));
        }
        let mut own = Vec::new();
        let planes = match taken {
            Some(taken) => &taken[..],
            None => {
                own.resize(n * blocks(c) * MOMENTS, 0.0);
                let planes = x.par_chunks(h * w * LANES).zip(own.par_chunks_mut(MOMENTS));
                planes.for_each(|(plane, taken)| moments(level(), plane, taken));
                &own
            }
        };
        let (mut mean, mut variance) = (vec![0.0; c], vec![0.0; c]);
        for channel in 0..c {
            let (block, lane) = (channel / LANES, channel % LANES);
            let of_images = || {
                let planes = planes.chunks_exact(MOMENTS).skip(block).step_by(blocks(c));
                planes.map(|p| (f64::from(p[lane]), f64::from(p[LANES + lane])))
            };
            let total = of_images().map(|(mean, _)| mean).sum::<f64>() / n as f64;
            let spread = of_images().map(|(mean, within)| within + (mean - total).powi(2)).sum::<f64>() / n as f64;
            (mean[channel], variance[channel]) = (total as f32, spread as f32);
        }
        Ok((self.try_tensor_from_vec(mean, (c,))?, self.try_tensor_from_vec(variance, (c,))?))
    }

    fn batch_norm2d(
        &self,
        _: &BufferPool,
        op: &Normalization,
        channels: Channels<'_, Self>,
    ) -> Result<Affine<Self>, <Self as HasErr>::Err> {
        let c = op.shape[1];
        let all = coefficients(op, &channels);
        let values = |of: fn(&Coefficients) -> &Lanes| (0..c).map(|at| of(&all[at / LANES])[at % LANES]).collect();
        Ok(Affine {
            scale: self.try_tensor_from_vec(values(|of| &of.scale), (c,))?,
            shift: self.try_tensor_from_vec(values(|of| &of.shift), (c,))?,
            activation: op.options.activation,
        })
    }

    fn batch_norm2d_gradient(
        &self,
        _: &BufferPool,
        op: &Normalization,
        channels: Channels<'_, Self>,
        x: &Buffer,
        dy: &Buffer,
        gradients: ChannelGradients<'_, Self>,
    ) -> Result<NormGradient<Self>, <Self as HasErr>::Err> {
        let [n, c, h, w] = op.shape;
        let all = coefficients(op, &channels);
        // dβ and dγ.
        let sums: [Vec<f64>; 2] = match is_reference() {
            true => reference_sums(op, &channels, x, dy),
            false => {
                let plane = h * w * LANES;
                let planes = dy.par_chunks(plane).zip(x.par_chunks(plane)).enumerate();
                let of_planes: Vec<[Lanes; 2]> = planes
                    .map(|(at, (dy, x))| gradient_sums(level(), &all[at % all.len()], op.options.activation, dy, x))
                    .collect();
                let of_channel = |of: usize, channel: usize| -> f64 {
                    let planes = of_planes.iter().skip(channel / LANES).step_by(all.len());
                    planes.map(|sums| f64::from(sums[of][channel % LANES])).sum()
                };
                [0, 1].map(|of| (0..c).map(|channel| of_channel(of, channel)).collect())
            }
        };
        let [dbias, dweight] = &sums;
        gradients.bias.iter_mut().zip(dbias).for_each(|(sum, d)| *sum += *d as f32);
        gradients.weight.iter_mut().zip(dweight).for_each(|(sum, d)| *sum += *d as f32);
        let count = (n * h * w) as f64;
        let vector = |value: &dyn Fn(&Coefficients, usize, usize) -> f32| {
            let values = (0..c).map(|channel| value(&all[channel / LANES], channel % LANES, channel)).collect();
            self.try_tensor_from_vec(values, (c,))
        };
        Ok(NormGradient {
            mean: vector(&|of, lane, _| of.mean[lane])?,
            scale: vector(&|of, lane, _| of.scale[lane])?,
            shift: vector(&|of, lane, _| of.shift[lane])?,
            factor: vector(&|of, lane, c| -of.scale[lane] * of.inverse[lane] * (dweight[c] / count) as f32)?,
            constant: vector(&|of, lane, c| -of.scale[lane] * (dbias[c] / count) as f32)?,
            activation: op.options.activation,
        })
    }
}

impl PendingKernel for Cpu {
    fn apply_affine(
        &self,
        shape: [usize; 4],
        affine: &Affine<Self>,
        x: &Buffer,
        y: &mut Buffer,
    ) -> Result<(), <Self as HasErr>::Err> {
        let [_, c, h, w] = shape;
        if is_reference() {
            let (scale, shift) = (host(&affine.scale), host(&affine.shift));
            let values = reference::affine(shape, &layout::plain(x, shape), &scale, &shift, affine.activation);
            layout::put(&values, shape, Accumulate::Overwrite, y);
            return Ok(());
        }
        let (affine, plane) = (LaneAffine::new(affine), h * w * LANES);
        let planes = y.par_chunks_mut(plane).zip(x.par_chunks(plane));
        planes.enumerate().for_each(|(at, (y, x))| affine.apply(level(), at % blocks(c), x, y));
        Ok(())
    }

    fn apply_norm_share(
        &self,
        shape: [usize; 4],
        share: &NormShare<Self>,
        dx: &mut Buffer,
        accumulate: Accumulate,
    ) -> Result<(), <Self as HasErr>::Err> {
        let [_, c, h, w] = shape;
        if is_reference() {
            let of = &share.of;
            let channels = [&of.mean, &of.scale, &of.shift, &of.factor, &of.constant].map(host);
            let [x, dy] = [&share.x[..], &share.dy[..]].map(|map| layout::plain(map, shape));
            let values =
                reference::input_gradient(shape, &x, &dy, channels.each_ref().map(|of| &of[..]), of.activation);
            layout::put(&values, shape, accumulate, dx);
            return Ok(());
        }
        let (of, plane) = (LaneShare::new(&share.of), h * w * LANES);
        let planes = dx.par_chunks_mut(plane).zip(share.dy.par_chunks(plane).zip(share.x.par_chunks(plane)));
        planes.enumerate().for_each(|(at, (dx, (dy, x)))| of.apply(level(), at % blocks(c), [dy, x], dx, accumulate));
        Ok(())
    }
}

/// dβ and dγ by [`reference::gradient`].
fn reference_sums(op: &Normalization, channels: &Channels<'_, Cpu>, x: &[f32], dy: &[f32]) -> [Vec<f64>; 2] {
    let [x, mut d] = [x, dy].map(|map| layout::plain(map, op.shape));
    let (weight, bias) = (host(channels.weight), host(channels.bias));
    if op.options.activation != Activation::None {
        let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
        let (mean, variance) = (wide(host(channels.mean)), wide(host(channels.variance)));
        let y = reference::forward(
            op.shape,
            &x,
            &mean,
            &variance,
            &weight,
            &bias,
            op.options.epsilon,
            op.options.activation,
        );
        d.iter_mut().zip(y).filter(|&(_, y)| !op.options.activation.passes(y)).for_each(|(d, _)| *d = 0.0);
    }
    let (_, dweight, dbias) = reference::gradient(op.shape, &x, &weight, op.options.epsilon, &d);
    [dbias, dweight].map(|values| values.into_iter().map(f64::from).collect())
}

/// What the passes need of 16 channels.
struct Coefficients {
    mean: Lanes,
    /// 1 / sqrt(σ² + ε).
    inverse: Lanes,
    /// γ / sqrt(σ² + ε).
    scale: Lanes,
    /// β - μ · scale.
    shift: Lanes,
}

/// By channel block; spare lanes map everything to zero.
fn coefficients(op: &Normalization, channels: &Channels<'_, Cpu>) -> Vec<Coefficients> {
    let [mean, variance, weight, bias] = [channels.mean, channels.variance, channels.weight, channels.bias].map(host);
    let zero = || Coefficients { mean: [0.0; LANES], inverse: [0.0; LANES], scale: [0.0; LANES], shift: [0.0; LANES] };
    let mut all: Vec<Coefficients> = (0..blocks(op.shape[1])).map(|_| zero()).collect();
    for channel in 0..op.shape[1] {
        let (of, lane) = (&mut all[channel / LANES], channel % LANES);
        let inverse = 1.0 / (variance[channel] + op.options.epsilon).sqrt();
        of.mean[lane] = mean[channel];
        of.inverse[lane] = inverse;
        of.scale[lane] = weight[channel] * inverse;
        of.shift[lane] = bias[channel] - mean[channel] * of.scale[lane];
    }
    all
}

/// An [`Affine`] by lanes; spare lanes map everything to zero.
pub(crate) struct LaneAffine {
    /// Of each channel block: scale and shift.
    blocks: Vec<[Lanes; 2]>,
    activation: Activation,
}

impl LaneAffine {
    pub(crate) fn new(affine: &Affine<Cpu>) -> Self {
        let (scale, shift) = (host(&affine.scale), host(&affine.shift));
        let mut all = vec![[[0.0; LANES]; 2]; blocks(scale.len())];
        for (channel, values) in scale.into_iter().zip(shift).enumerate() {
            let [scale, shift] = &mut all[channel / LANES];
            (scale[channel % LANES], shift[channel % LANES]) = values;
        }
        Self { blocks: all, activation: affine.activation }
    }

    /// `y` from `x`, planes of a channel block of the same length.
    pub(crate) fn apply(&self, level: Level, block: usize, x: &[f32], y: &mut [f32]) {
        assert_eq!((x.len(), x.len() % LANES), (y.len(), 0));
        let [scale, shift] = &self.blocks[block];
        // SAFETY: `level` is the machine's; both planes hold the same number of whole pixels.
        unsafe { dispatch(level, Apply { scale, shift, activation: self.activation, x, y }) };
    }

    /// Adds the sum of a plane's values, applied, to `sums`: the number that
    /// [`add_pixels`](crate::device::cpu::sums::add_pixels) gives of what [`apply`](Self::apply) writes.
    pub(crate) fn add_pixels(&self, level: Level, block: usize, x: &[f32], sums: &mut [f32]) {
        assert_eq!((x.len() % LANES, sums.len()), (0, LANES));
        let mut total = [0.0; LANES];
        // SAFETY: `level` is the machine's, and the plane holds whole pixels.
        unsafe {
            dispatch(level, Applied { of: &self.blocks[block], activation: self.activation, x, sum: &mut total })
        };
        sums.iter_mut().zip(total).for_each(|(sum, total)| *sum += total);
    }
}

/// The sum of `f(scale · x + shift)` over a plane.
struct Applied<'a> {
    of: &'a [Lanes; 2],
    activation: Activation,
    x: &'a [f32],
    sum: &'a mut Lanes,
}

impl Terms<1> for Applied<'_> {
    #[inline(always)]
    unsafe fn at<S: Simd>(&self, at: usize) -> [S::Block; 1] {
        let [scale, shift] = self.of;
        // SAFETY: the caller's promise.
        unsafe {
            let x = S::load(self.x.as_ptr().add(at));
            let value = S::multiply_add(x, S::load(scale.as_ptr()), S::load(shift.as_ptr()));
            [activate::<S>(self.activation, value)]
        }
    }
}

impl Kernel for Applied<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's promise.
        [*self.sum] = unsafe { sum::<S, 1>(self.x.len(), &self) };
    }
}

struct Apply<'a> {
    scale: &'a Lanes,
    shift: &'a Lanes,
    activation: Activation,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Apply<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            let (scale, shift) = (S::load(self.scale.as_ptr()), S::load(self.shift.as_ptr()));
            for at in (0..self.x.len()).step_by(LANES) {
                let value = S::multiply_add(S::load(self.x.as_ptr().add(at)), scale, shift);
                let value = activate::<S>(self.activation, value);
                S::store(self.y.as_mut_ptr().add(at), value);
            }
        }
    }
}

/// Mean and mean squared deviation of each lane over a plane.
pub(crate) fn moments(level: Level, plane: &[f32], taken: &mut [f32]) {
    assert_eq!((plane.len() % LANES, taken.len()), (0, MOMENTS));
    // SAFETY: `level` is the machine's; the plane holds whole pixels, and `taken` two values a lane.
    unsafe { dispatch(level, Moments { plane, taken }) };
}

struct Moments<'a> {
    plane: &'a [f32],
    taken: &'a mut [f32],
}

impl Kernel for Moments<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (len, count) = (self.plane.len(), (self.plane.len() / LANES) as f32);
        // SAFETY: the caller's promise.
        unsafe {
            let [mut mean] = sum::<S, 1>(len, &self.plane);
            mean.iter_mut().for_each(|sum| *sum /= count);
            let [mut squares] = sum::<S, 1>(len, &Squares { plane: self.plane, mean: &mean });
            squares.iter_mut().for_each(|sum| *sum /= count);
            self.taken[..LANES].copy_from_slice(&mean);
            self.taken[LANES..].copy_from_slice(&squares);
        }
    }
}

/// (x - mean)².
struct Squares<'a> {
    plane: &'a [f32],
    mean: &'a Lanes,
}

impl Terms<1> for Squares<'_> {
    #[inline(always)]
    unsafe fn at<S: Simd>(&self, at: usize) -> [S::Block; 1] {
        // SAFETY: the caller's promise.
        unsafe {
            let difference = S::subtract(S::load(self.plane.as_ptr().add(at)), S::load(self.mean.as_ptr()));
            [S::multiply_add(difference, difference, S::splat(0.0))]
        }
    }
}

/// Σ d and Σ d·x̂ over a plane.
fn gradient_sums(level: Level, of: &Coefficients, activation: Activation, dy: &[f32], x: &[f32]) -> [Lanes; 2] {
    assert_eq!((x.len(), x.len() % LANES), (dy.len(), 0));
    let mut sums = [[0.0; LANES]; 2];
    // SAFETY: `level` is the machine's; both planes hold the same number of whole pixels.
    unsafe { dispatch(level, GradientSums { of, activation, dy, x, sums: &mut sums }) };
    sums
}

struct GradientSums<'a> {
    of: &'a Coefficients,
    activation: Activation,
    dy: &'a [f32],
    x: &'a [f32],
    sums: &'a mut [Lanes; 2],
}

impl Terms<2> for GradientSums<'_> {
    #[inline(always)]
    unsafe fn at<S: Simd>(&self, at: usize) -> [S::Block; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let x = S::load(self.x.as_ptr().add(at));
            let d =
                masked::<S>([&self.of.scale, &self.of.shift], self.activation, S::load(self.dy.as_ptr().add(at)), x);
            [d, S::multiply_add(d, S::subtract(x, S::load(self.of.mean.as_ptr())), S::splat(0.0))]
        }
    }
}

impl Kernel for GradientSums<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's promise.
        let [bias, mut weight] = unsafe { sum::<S, 2>(self.x.len(), &self) };
        weight.iter_mut().zip(&self.of.inverse).for_each(|(sum, inverse)| *sum *= inverse);
        *self.sums = [bias, weight];
    }
}

/// A [`NormGradient`] by lanes; spare lanes give zero.
pub(crate) struct LaneShare {
    blocks: Vec<ShareLanes>,
    activation: Activation,
}

#[derive(Default)]
struct ShareLanes {
    mean: Lanes,
    scale: Lanes,
    shift: Lanes,
    factor: Lanes,
    constant: Lanes,
}

impl LaneShare {
    pub(crate) fn new(of: &NormGradient<Cpu>) -> Self {
        let values = [&of.mean, &of.scale, &of.shift, &of.factor, &of.constant].map(host);
        let mut all: Vec<_> = (0..blocks(values[0].len())).map(|_| ShareLanes::default()).collect();
        for channel in 0..values[0].len() {
            let (to, lane) = (&mut all[channel / LANES], channel % LANES);
            let targets = [&mut to.mean, &mut to.scale, &mut to.shift, &mut to.factor, &mut to.constant];
            targets.into_iter().zip(&values).for_each(|(target, values)| target[lane] = values[channel]);
        }
        Self { blocks: all, activation: of.activation }
    }

    /// `dx` from `dy` and `x`, planes of a channel block of the same length.
    pub(crate) fn apply(
        &self,
        level: Level,
        block: usize,
        [dy, x]: [&[f32]; 2],
        dx: &mut [f32],
        accumulate: Accumulate,
    ) {
        assert_eq!((x.len(), x.len(), x.len() % LANES), (dy.len(), dx.len(), 0));
        // SAFETY: `level` is the machine's; the planes hold the same number of whole pixels.
        unsafe {
            dispatch(
                level,
                InputGradient { of: &self.blocks[block], activation: self.activation, dy, x, dx, accumulate },
            )
        };
    }
}

struct InputGradient<'a> {
    of: &'a ShareLanes,
    activation: Activation,
    dy: &'a [f32],
    x: &'a [f32],
    dx: &'a mut [f32],
    accumulate: Accumulate,
}

impl Kernel for InputGradient<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            let (mean, scale) = (S::load(self.of.mean.as_ptr()), S::load(self.of.scale.as_ptr()));
            let (factor, constant) = (S::load(self.of.factor.as_ptr()), S::load(self.of.constant.as_ptr()));
            for at in (0..self.x.len()).step_by(LANES) {
                let x = S::load(self.x.as_ptr().add(at));
                let d = masked::<S>(
                    [&self.of.scale, &self.of.shift],
                    self.activation,
                    S::load(self.dy.as_ptr().add(at)),
                    x,
                );
                let value = S::multiply_add(scale, d, S::multiply_add(factor, S::subtract(x, mean), constant));
                let target = self.dx.as_mut_ptr().add(at);
                let value = if self.accumulate == Accumulate::Add { S::add(S::load(target), value) } else { value };
                S::store(target, value);
            }
        }
    }
}

/// The gradient inside the activation.
#[inline(always)]
unsafe fn masked<S: Simd>([scale, shift]: [&Lanes; 2], activation: Activation, dy: S::Block, x: S::Block) -> S::Block {
    // SAFETY: the caller's instruction set.
    unsafe {
        let y = S::multiply_add(x, S::load(scale.as_ptr()), S::load(shift.as_ptr()));
        passing::<S>(activation, y, dy)
    }
}

#[cfg(test)]
mod tests;

//! The normalisation on the CPU: one task a plane of 16 channels.
//!
//! Sums are taken per plane and combined in the order of the planes, so that the result does not depend on the threads.
//! Around a mean of 30 times the spread the error is at most 1e-4 of the largest result, of the statistics 1e-5 (tested below).

use super::{BatchNorm2dKernel, ChannelGradients, Channels, Normalization, reference};
use crate::device::cpu::layout::{self, LANES, blocks};
use crate::device::cpu::simd::{Kernel, Level, Simd, dispatch, is_reference, level};
use crate::device::cpu::sums::{Lanes, Terms, sum};
use crate::device::cpu::{Buffer, BufferPool, host};
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
            relu: op.relu,
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
                let of_planes: Vec<[Lanes; 2]> =
                    planes.map(|(at, (dy, x))| gradient_sums(level(), &all[at % all.len()], op.relu, dy, x)).collect();
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
            relu: op.relu,
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
            let values = reference::affine(shape, &layout::plain(x, shape), &scale, &shift, affine.relu);
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
            let values = reference::input_gradient(shape, &x, &dy, channels.each_ref().map(|of| &of[..]), of.relu);
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
    if op.relu {
        let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
        let (mean, variance) = (wide(host(channels.mean)), wide(host(channels.variance)));
        let y = reference::forward(op.shape, &x, &mean, &variance, &weight, &bias, op.epsilon, true);
        d.iter_mut().zip(y).filter(|&(_, y)| y <= 0.0).for_each(|(d, _)| *d = 0.0);
    }
    let (_, dweight, dbias) = reference::gradient(op.shape, &x, &weight, op.epsilon, &d);
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
        let inverse = 1.0 / (variance[channel] + op.epsilon).sqrt();
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
    relu: bool,
}

impl LaneAffine {
    pub fn new(affine: &Affine<Cpu>) -> Self {
        let (scale, shift) = (host(&affine.scale), host(&affine.shift));
        let mut all = vec![[[0.0; LANES]; 2]; blocks(scale.len())];
        for (channel, values) in scale.into_iter().zip(shift).enumerate() {
            let [scale, shift] = &mut all[channel / LANES];
            (scale[channel % LANES], shift[channel % LANES]) = values;
        }
        Self { blocks: all, relu: affine.relu }
    }

    /// `y` from `x`, planes of a channel block of the same length.
    pub fn apply(&self, level: Level, block: usize, x: &[f32], y: &mut [f32]) {
        assert_eq!((x.len(), x.len() % LANES), (y.len(), 0));
        let [scale, shift] = &self.blocks[block];
        // SAFETY: `level` is the machine's; both planes hold the same number of whole pixels.
        unsafe { dispatch(level, Apply { scale, shift, relu: self.relu, x, y }) };
    }
}

struct Apply<'a> {
    scale: &'a Lanes,
    shift: &'a Lanes,
    relu: bool,
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
                let value = if self.relu { S::max(value, S::splat(0.0)) } else { value };
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
fn gradient_sums(level: Level, of: &Coefficients, relu: bool, dy: &[f32], x: &[f32]) -> [Lanes; 2] {
    assert_eq!((x.len(), x.len() % LANES), (dy.len(), 0));
    let mut sums = [[0.0; LANES]; 2];
    // SAFETY: `level` is the machine's; both planes hold the same number of whole pixels.
    unsafe { dispatch(level, GradientSums { of, relu, dy, x, sums: &mut sums }) };
    sums
}

struct GradientSums<'a> {
    of: &'a Coefficients,
    relu: bool,
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
            let d = masked::<S>([&self.of.scale, &self.of.shift], self.relu, S::load(self.dy.as_ptr().add(at)), x);
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
    relu: bool,
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
    pub fn new(of: &NormGradient<Cpu>) -> Self {
        let values = [&of.mean, &of.scale, &of.shift, &of.factor, &of.constant].map(host);
        let mut all: Vec<_> = (0..blocks(values[0].len())).map(|_| ShareLanes::default()).collect();
        for channel in 0..values[0].len() {
            let (to, lane) = (&mut all[channel / LANES], channel % LANES);
            let targets = [&mut to.mean, &mut to.scale, &mut to.shift, &mut to.factor, &mut to.constant];
            targets.into_iter().zip(&values).for_each(|(target, values)| target[lane] = values[channel]);
        }
        Self { blocks: all, relu: of.relu }
    }

    /// `dx` from `dy` and `x`, planes of a channel block of the same length.
    pub fn apply(&self, level: Level, block: usize, [dy, x]: [&[f32]; 2], dx: &mut [f32], accumulate: Accumulate) {
        assert_eq!((x.len(), x.len(), x.len() % LANES), (dy.len(), dx.len(), 0));
        // SAFETY: `level` is the machine's; the planes hold the same number of whole pixels.
        unsafe { dispatch(level, InputGradient { of: &self.blocks[block], relu: self.relu, dy, x, dx, accumulate }) };
    }
}

struct InputGradient<'a> {
    of: &'a ShareLanes,
    relu: bool,
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
                let d = masked::<S>([&self.of.scale, &self.of.shift], self.relu, S::load(self.dy.as_ptr().add(at)), x);
                let value = S::multiply_add(scale, d, S::multiply_add(factor, S::subtract(x, mean), constant));
                let target = self.dx.as_mut_ptr().add(at);
                let value = if self.accumulate == Accumulate::Add { S::add(S::load(target), value) } else { value };
                S::store(target, value);
            }
        }
    }
}

/// The gradient inside the ReLU.
#[inline(always)]
unsafe fn masked<S: Simd>([scale, shift]: [&Lanes; 2], relu: bool, dy: S::Block, x: S::Block) -> S::Block {
    // SAFETY: the caller's instruction set.
    unsafe {
        let y = S::multiply_add(x, S::load(scale.as_ptr()), S::load(shift.as_ptr()));
        if relu { S::where_positive(y, dy) } else { dy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{assert_close, noise};
    use crate::tensor::memory::Memory;
    use std::rc::Rc;

    #[test]
    fn fast_equals_reference() {
        let (device, pool) = (Cpu::default(), BufferPool::default());
        for (shape, relu) in
            [([1, 1, 1, 2], false), ([3, 17, 2, 3], true), ([2, 32, 29, 37], true), ([5, 3, 1, 1], false)]
        {
            let what = |what: &str| format!("{what}, {shape:?}");
            let c = shape[1];
            // A mean far from zero, as a network's activations have it.
            let x: Vec<f32> = noise(1, shape.iter().product()).iter().map(|v| v + 30.0).collect();
            let (weight, bias, dy) = (noise(2, c), noise(3, c), noise(4, x.len()));
            let op = Normalization { shape, epsilon: 1e-3, relu };
            let vector = |values: &[f32]| device.try_tensor_from_vec(values.to_vec(), (c,)).unwrap();
            let [x_blocked, dy_blocked] = [&x, &dy].map(|values| device.upload(&pool, shape, values).unwrap());
            let (mean, variance) = device.channel_statistics(&pool, shape, &x_blocked, None).unwrap();
            let (expected_mean, expected_variance) = reference::statistics(shape, &x);
            let single = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<_>>();
            assert_close(&what("mean"), &mean.as_vec(), &single(&expected_mean));
            assert_close(&what("variance"), &variance.as_vec(), &single(&expected_variance));

            // From here on the same statistics, in single precision, for both.
            let [mean64, variance64] =
                [&mean, &variance].map(|v| v.as_vec().iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
            let (weight_vector, bias_vector) = (vector(&weight), vector(&bias));
            let channels = || Channels { mean: &mean, variance: &variance, weight: &weight_vector, bias: &bias_vector };
            let mut y = device.allocate(&pool, shape).unwrap();
            let affine = device.batch_norm2d(&pool, &op, channels()).unwrap();
            device.apply_affine(shape, &affine, &x_blocked, &mut y).unwrap();
            let y = device.download(shape, &y).unwrap();
            let expected_y = reference::forward(shape, &x, &mean64, &variance64, &weight, &bias, op.epsilon, relu);
            let loose = |what: &str, actual: &[f32], expected: &[f32]| {
                let scale = expected.iter().fold(1e-3f32, |largest, v| largest.max(v.abs()));
                assert!(
                    actual.iter().zip(expected).all(|(a, e)| (a - e).abs() < 1e-4 * scale),
                    "{what}: {actual:?} {expected:?}"
                );
            };
            loose(&what("y"), &y, &expected_y);

            let d: Vec<f32> =
                dy.iter().zip(&expected_y).map(|(&d, &y)| if relu && y <= 0.0 { 0.0 } else { d }).collect();
            let (expected_dx, expected_dweight, expected_dbias) =
                reference::gradient(shape, &x, &weight, op.epsilon, &d);
            let (mut dweight, mut dbias) = (slot(c), slot(c));
            let mut dx = device.allocate(&pool, shape).unwrap();
            let gradients = ChannelGradients { weight: &mut dweight, bias: &mut dbias };
            let of = device.batch_norm2d_gradient(&pool, &op, channels(), &x_blocked, &dy_blocked, gradients).unwrap();
            let share = NormShare { of, x: Rc::new(x_blocked), dy: dy_blocked };
            device.apply_norm_share(shape, &share, &mut dx, Accumulate::Overwrite).unwrap();
            loose(&what("dweight"), &dweight, &expected_dweight);
            loose(&what("dbias"), &dbias, &expected_dbias);
            loose(&what("dx"), &device.download(shape, &dx).unwrap(), &expected_dx);
            device.apply_norm_share(shape, &share, &mut dx, Accumulate::Add).unwrap();
            let twice: Vec<f32> = expected_dx.iter().map(|d| 2.0 * d).collect();
            loose(&what("dx, added"), &device.download(shape, &dx).unwrap(), &twice);
        }
    }

    fn slot(len: usize) -> crate::tensor::memory::Slot<Cpu> {
        dfdx::tensor::Storage::<f32>::try_alloc_len(&Cpu::default(), len).unwrap()
    }
}

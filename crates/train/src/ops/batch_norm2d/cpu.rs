//! The normalisation on the CPU: one task a plane of 16 channels.
//!
//! Sums are taken per plane and combined in the order of the planes, so that the result does not depend on the threads.

use super::{BatchNorm2dKernel, ChannelGradients, Channels, Normalization};
use crate::backend::{Buffer, Vector, host};
use crate::feature_map::{Accumulate, Affine};
use crate::ops::layout::{LANES, blocks};
use crate::ops::simd::{Kernel, Level, Simd, dispatch, level};
use dfdx::tensor::{Cpu, HasErr, TensorFromVec};
use rayon::prelude::*;

/// One number a lane.
type Lanes = [f32; LANES];

/// Floats of a plane's moments: 16 means, 16 mean squared deviations.
pub(crate) const MOMENTS: usize = 2 * LANES;

impl BatchNorm2dKernel for Cpu {
    fn moments_shape([n, c, _, _]: [usize; 4]) -> [usize; 4] {
        [n, c, 2, 1]
    }

    fn channel_statistics(
        &self,
        shape: [usize; 4],
        x: &Buffer,
        taken: Option<&Buffer>,
    ) -> Result<(Vector<Self>, Vector<Self>), <Self as HasErr>::Err> {
        let [n, c, h, w] = shape;
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

    fn apply_affine(
        &self,
        [_, c, h, w]: [usize; 4],
        affine: &Affine<Self>,
        x: &Buffer,
        y: &mut Buffer,
    ) -> Result<(), <Self as HasErr>::Err> {
        let (affine, plane) = (LaneAffine::new(affine), h * w * LANES);
        let planes = y.par_chunks_mut(plane).zip(x.par_chunks(plane));
        planes.enumerate().for_each(|(at, (y, x))| affine.apply(level(), at % blocks(c), x, y));
        Ok(())
    }

    fn batch_norm2d_gradient(
        &self,
        op: &Normalization,
        channels: Channels<'_, Self>,
        x: &Buffer,
        dy: &Buffer,
        gradients: ChannelGradients<'_, Self>,
        dx: Option<(&mut Buffer, Accumulate)>,
    ) -> Result<(), <Self as HasErr>::Err> {
        let [n, c, h, w] = op.shape;
        let plane = h * w * LANES;
        let all = coefficients(op, &channels);
        let planes = dy.par_chunks(plane).zip(x.par_chunks(plane)).enumerate();
        let of_planes: Vec<[Lanes; 2]> =
            planes.map(|(at, (dy, x))| gradient_sums(level(), &all[at % all.len()], op.relu, dy, x)).collect();
        let mut means = vec![[[0.0f32; LANES]; 2]; all.len()];
        for channel in 0..c {
            let (block, lane) = (channel / LANES, channel % LANES);
            for (of, gathered) in [&mut *gradients.bias, &mut *gradients.weight].into_iter().enumerate() {
                let total = of_planes.iter().skip(block).step_by(all.len()).map(|p| f64::from(p[of][lane])).sum::<f64>();
                gathered[channel] += total as f32;
                means[block][of][lane] = (total / (n * h * w) as f64) as f32;
            }
        }
        let Some((dx, accumulate)) = dx else { return Ok(()) };
        let planes = dx.par_chunks_mut(plane).zip(dy.par_chunks(plane).zip(x.par_chunks(plane)));
        planes.enumerate().for_each(|(at, (dx, (dy, x)))| {
            let block = at % all.len();
            input_gradient(level(), &all[block], &means[block], op.relu, [dy, x], dx, accumulate);
        });
        Ok(())
    }
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

/// Pixels after which single-precision sums are added to the plane's: keeps rounding errors small.
const RUN: usize = 512;

/// Sums that are kept side by side, pixel by pixel in turn: additions that do not wait for each other.
const SUMS: usize = 4;

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
        let count = (self.plane.len() / LANES) as f32;
        // SAFETY: the caller's promise.
        unsafe {
            let mut mean = [0.0; LANES];
            sum_pixels::<S, 1>(self.plane.len(), |at| [S::load(self.plane.as_ptr().add(at))], [&mut mean]);
            mean.iter_mut().for_each(|sum| *sum /= count);
            let centre = S::load(mean.as_ptr());
            let square = |at| {
                let difference = S::subtract(S::load(self.plane.as_ptr().add(at)), centre);
                [S::multiply_add(difference, difference, S::splat(0.0))]
            };
            let mut squares = [0.0; LANES];
            sum_pixels::<S, 1>(self.plane.len(), square, [&mut squares]);
            squares.iter_mut().for_each(|sum| *sum /= count);
            self.taken[..LANES].copy_from_slice(&mean);
            self.taken[LANES..].copy_from_slice(&squares);
        }
    }
}

/// Adds to `totals` the sums of what `f` gives for each pixel, told by its first float's index.
#[inline(always)]
unsafe fn sum_pixels<S: Simd, const N: usize>(
    len: usize,
    f: impl Fn(usize) -> [S::Block; N],
    totals: [&mut Lanes; N],
) {
    // SAFETY: the caller's instruction set.
    unsafe {
        for start in (0..len).step_by(RUN * LANES) {
            let end = (start + RUN * LANES).min(len);
            let whole = start + (end - start) / (SUMS * LANES) * (SUMS * LANES);
            let mut sums = [[S::splat(0.0); N]; SUMS];
            for at in (start..whole).step_by(SUMS * LANES) {
                for (turn, sums) in sums.iter_mut().enumerate() {
                    let values = f(at + turn * LANES);
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = S::add(*sum, value);
                    }
                }
            }
            for at in (whole..end).step_by(LANES) {
                for (sum, value) in sums[0].iter_mut().zip(f(at)) {
                    *sum = S::add(*sum, value);
                }
            }
            for n in 0..N {
                let pairs = [S::add(sums[0][n], sums[1][n]), S::add(sums[2][n], sums[3][n])];
                let total = S::add(S::load(totals[n].as_ptr()), S::add(pairs[0], pairs[1]));
                S::store(totals[n].as_mut_ptr(), total);
            }
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

impl Kernel for GradientSums<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let [bias, weight] = self.sums;
        // SAFETY: the caller's promise.
        unsafe {
            let mean = S::load(self.of.mean.as_ptr());
            let products = |at| {
                let x = S::load(self.x.as_ptr().add(at));
                let d = masked::<S>(self.of, self.relu, S::load(self.dy.as_ptr().add(at)), x);
                [d, S::multiply_add(d, S::subtract(x, mean), S::splat(0.0))]
            };
            sum_pixels::<S, 2>(self.x.len(), products, [bias, weight]);
        }
        weight.iter_mut().zip(&self.of.inverse).for_each(|(sum, inverse)| *sum *= inverse);
    }
}

/// `dx` of a plane, from the means of d and d·x̂ over all planes.
fn input_gradient(
    level: Level,
    of: &Coefficients,
    means: &[Lanes; 2],
    relu: bool,
    [dy, x]: [&[f32]; 2],
    dx: &mut [f32],
    accumulate: Accumulate,
) {
    assert_eq!((x.len(), x.len(), x.len() % LANES), (dy.len(), dx.len(), 0));
    // scale · (d - mean(d) - x̂ · mean(d·x̂)) = scale · d + factor · (x - μ) + constant
    let factor = std::array::from_fn(|lane| -of.scale[lane] * of.inverse[lane] * means[1][lane]);
    let constant = std::array::from_fn(|lane| -of.scale[lane] * means[0][lane]);
    // SAFETY: `level` is the machine's; the planes hold the same number of whole pixels.
    unsafe { dispatch(level, InputGradient { of, factor, constant, relu, dy, x, dx, accumulate }) };
}

struct InputGradient<'a> {
    of: &'a Coefficients,
    factor: Lanes,
    constant: Lanes,
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
            let [mean, scale, factor, constant] =
                [&self.of.mean, &self.of.scale, &self.factor, &self.constant].map(|lanes| lanes.as_ptr());
            let (mean, scale, factor) = (S::load(mean), S::load(scale), S::load(factor));
            let constant = S::load(constant);
            for at in (0..self.x.len()).step_by(LANES) {
                let x = S::load(self.x.as_ptr().add(at));
                let d = masked::<S>(self.of, self.relu, S::load(self.dy.as_ptr().add(at)), x);
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
unsafe fn masked<S: Simd>(of: &Coefficients, relu: bool, dy: S::Block, x: S::Block) -> S::Block {
    // SAFETY: the caller's instruction set.
    unsafe {
        let y = S::multiply_add(x, S::load(of.scale.as_ptr()), S::load(of.shift.as_ptr()));
        if relu { S::where_positive(y, dy) } else { dy }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;
    use crate::backend::{BufferPool, Memory};
    use crate::ops::testing::{assert_close, noise};

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
            let (mean, variance) = device.channel_statistics(shape, &x_blocked, None).unwrap();
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
            let affine = device.batch_norm2d(&op, channels()).unwrap();
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
            let target = Some((&mut dx, Accumulate::Overwrite));
            device.batch_norm2d_gradient(&op, channels(), &x_blocked, &dy_blocked, gradients, target).unwrap();
            loose(&what("dweight"), &dweight, &expected_dweight);
            loose(&what("dbias"), &dbias, &expected_dbias);
            loose(&what("dx"), &device.download(shape, &dx).unwrap(), &expected_dx);
        }
    }

    fn slot(len: usize) -> crate::backend::Slot<Cpu> {
        dfdx::tensor::Storage::<f32>::try_alloc_len(&Cpu::default(), len).unwrap()
    }
}

//! The normalisation on the CPU: two passes over the data forward, two back; one task a plane of 16 channels.
//!
//! Sums are taken per plane and combined in the order of the planes, so that the result does not depend on the threads.

use super::{BatchNorm2dKernel, ChannelGradients, Channels, Normalization};
use crate::backend::{Buffer, Vector, host};
use crate::feature_map::Accumulate;
use crate::ops::layout::{LANES, blocks};
use crate::ops::simd::vectorized;
use dfdx::tensor::{Cpu, HasErr, TensorFromVec};
use rayon::prelude::*;

/// One number a lane.
type Lanes = [f32; LANES];

impl BatchNorm2dKernel for Cpu {
    fn channel_statistics(
        &self,
        shape: [usize; 4],
        x: &Buffer,
    ) -> Result<(Vector<Self>, Vector<Self>), <Self as HasErr>::Err> {
        let [n, c, h, w] = shape;
        let planes: Vec<[Lanes; 2]> = x.par_chunks(h * w * LANES).map(|plane| vectorized(|| moments(plane))).collect();
        let (mut mean, mut variance) = (vec![0.0; c], vec![0.0; c]);
        for channel in 0..c {
            let (block, lane) = (channel / LANES, channel % LANES);
            let of_images =
                || planes.iter().skip(block).step_by(blocks(c)).map(|p| (f64::from(p[0][lane]), f64::from(p[1][lane])));
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
        x: &Buffer,
        y: &mut Buffer,
    ) -> Result<(), <Self as HasErr>::Err> {
        let [_, _, h, w] = op.shape;
        let affine = coefficients(op, &channels);
        let plane = h * w * LANES;
        y.par_chunks_mut(plane).zip(x.par_chunks(plane)).enumerate().for_each(|(at, (y, x))| {
            let lanes = &affine[at % affine.len()];
            match op.relu {
                true => vectorized(|| normalize::<true>(lanes, x, y)),
                false => vectorized(|| normalize::<false>(lanes, x, y)),
            }
        });
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
        let affine = coefficients(op, &channels);
        let of_planes: Vec<[Lanes; 2]> = dy
            .par_chunks(plane)
            .zip(x.par_chunks(plane))
            .enumerate()
            .map(|(at, (dy, x))| vectorized(|| gradient_sums(&affine[at % affine.len()], op.relu, dy, x)))
            .collect();
        let mut sums = vec![[[0.0f32; LANES]; 2]; affine.len()];
        for channel in 0..c {
            let (block, lane) = (channel / LANES, channel % LANES);
            for (of, gathered) in [&mut *gradients.bias, &mut *gradients.weight].into_iter().enumerate() {
                let total =
                    of_planes.iter().skip(block).step_by(affine.len()).map(|p| f64::from(p[of][lane])).sum::<f64>();
                gathered[channel] += total as f32;
                sums[block][of][lane] = (total / (n * h * w) as f64) as f32;
            }
        }
        let Some((dx, accumulate)) = dx else { return Ok(()) };
        dx.par_chunks_mut(plane).zip(dy.par_chunks(plane).zip(x.par_chunks(plane))).enumerate().for_each(
            |(at, (dx, (dy, x)))| {
                let (lanes, means) = (&affine[at % affine.len()], &sums[at % affine.len()]);
                match accumulate {
                    Accumulate::Overwrite => vectorized(|| input_gradient::<false>(lanes, means, op.relu, dy, x, dx)),
                    Accumulate::Add => vectorized(|| input_gradient::<true>(lanes, means, op.relu, dy, x, dx)),
                }
            },
        );
        Ok(())
    }
}

/// What the passes need of 16 channels.
struct Affine {
    mean: Lanes,
    /// 1 / sqrt(σ² + ε).
    inverse: Lanes,
    /// γ / sqrt(σ² + ε).
    scale: Lanes,
    /// β - μ · scale.
    shift: Lanes,
}

/// By channel block; spare lanes map everything to zero.
fn coefficients(op: &Normalization, channels: &Channels<'_, Cpu>) -> Vec<Affine> {
    let [mean, variance, weight, bias] = [channels.mean, channels.variance, channels.weight, channels.bias].map(host);
    let zero = || Affine { mean: [0.0; LANES], inverse: [0.0; LANES], scale: [0.0; LANES], shift: [0.0; LANES] };
    let mut all: Vec<Affine> = (0..blocks(op.shape[1])).map(|_| zero()).collect();
    for channel in 0..op.shape[1] {
        let (affine, lane) = (&mut all[channel / LANES], channel % LANES);
        let inverse = 1.0 / (variance[channel] + op.epsilon).sqrt();
        affine.mean[lane] = mean[channel];
        affine.inverse[lane] = inverse;
        affine.scale[lane] = weight[channel] * inverse;
        affine.shift[lane] = bias[channel] - mean[channel] * affine.scale[lane];
    }
    all
}

/// Pixels after which single-precision sums are added to the plane's: keeps rounding errors small.
const RUN: usize = 128;

/// Mean and mean squared deviation of each lane over a plane.
#[inline(always)]
fn moments(plane: &[f32]) -> [Lanes; 2] {
    let count = (plane.len() / LANES) as f32;
    let sum = sum_lanes(plane, |_, x| x);
    let mean = sum.map(|sum| sum / count);
    let squares = sum_lanes(plane, |lane, x| (x - mean[lane]) * (x - mean[lane]));
    [mean, squares.map(|sum| sum / count)]
}

/// Σ f(lane, x) over the pixels of a plane.
#[inline(always)]
fn sum_lanes(plane: &[f32], f: impl Fn(usize, f32) -> f32) -> Lanes {
    let mut total = [0.0; LANES];
    for run in plane.chunks(RUN * LANES) {
        let mut sums = [0.0; LANES];
        for pixel in run.chunks_exact(LANES) {
            for lane in 0..LANES {
                sums[lane] += f(lane, pixel[lane]);
            }
        }
        for lane in 0..LANES {
            total[lane] += sums[lane];
        }
    }
    total
}

#[inline(always)]
fn normalize<const RELU: bool>(affine: &Affine, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.chunks_exact_mut(LANES).zip(x.chunks_exact(LANES)) {
        for lane in 0..LANES {
            let value = x[lane] * affine.scale[lane] + affine.shift[lane];
            y[lane] = if RELU && value <= 0.0 { 0.0 } else { value };
        }
    }
}

/// Σ d and Σ d·x̂ over a plane.
#[inline(always)]
fn gradient_sums(affine: &Affine, relu: bool, dy: &[f32], x: &[f32]) -> [Lanes; 2] {
    let mut total = [[0.0; LANES]; 2];
    for (dy, x) in dy.chunks(RUN * LANES).zip(x.chunks(RUN * LANES)) {
        let mut sums = [[0.0; LANES]; 2];
        for (dy, x) in dy.chunks_exact(LANES).zip(x.chunks_exact(LANES)) {
            for lane in 0..LANES {
                let d = masked(affine, relu, lane, dy[lane], x[lane]);
                sums[0][lane] += d;
                sums[1][lane] += d * (x[lane] - affine.mean[lane]) * affine.inverse[lane];
            }
        }
        for (total, sums) in total.iter_mut().zip(&sums) {
            for lane in 0..LANES {
                total[lane] += sums[lane];
            }
        }
    }
    total
}

#[inline(always)]
fn input_gradient<const ADD: bool>(
    affine: &Affine,
    means: &[Lanes; 2],
    relu: bool,
    dy: &[f32],
    x: &[f32],
    dx: &mut [f32],
) {
    for ((dx, dy), x) in dx.chunks_exact_mut(LANES).zip(dy.chunks_exact(LANES)).zip(x.chunks_exact(LANES)) {
        for lane in 0..LANES {
            let d = masked(affine, relu, lane, dy[lane], x[lane]);
            let x_hat = (x[lane] - affine.mean[lane]) * affine.inverse[lane];
            let value = affine.scale[lane] * (d - means[0][lane] - x_hat * means[1][lane]);
            dx[lane] = if ADD { dx[lane] + value } else { value };
        }
    }
}

/// The gradient inside the ReLU.
#[inline(always)]
fn masked(affine: &Affine, relu: bool, lane: usize, dy: f32, x: f32) -> f32 {
    let clamped = relu && x * affine.scale[lane] + affine.shift[lane] <= 0.0;
    if clamped { 0.0 } else { dy }
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
            [([1, 1, 1, 2], false), ([3, 17, 2, 3], true), ([2, 32, 9, 17], true), ([5, 3, 1, 1], false)]
        {
            let what = |what: &str| format!("{what}, {shape:?}");
            let c = shape[1];
            // A mean far from zero, as a network's activations have it.
            let x: Vec<f32> = noise(1, shape.iter().product()).iter().map(|v| v + 30.0).collect();
            let (weight, bias, dy) = (noise(2, c), noise(3, c), noise(4, x.len()));
            let op = Normalization { shape, epsilon: 1e-3, relu };
            let vector = |values: &[f32]| device.try_tensor_from_vec(values.to_vec(), (c,)).unwrap();
            let [x_blocked, dy_blocked] = [&x, &dy].map(|values| device.upload(&pool, shape, values).unwrap());
            let (mean, variance) = device.channel_statistics(shape, &x_blocked).unwrap();
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
            device.batch_norm2d(&op, channels(), &x_blocked, &mut y).unwrap();
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

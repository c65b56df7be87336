//! Batch normalisation's kernels against the reference.

use crate::common::{assert_close, device, noise, pool, slot, sum, vector};
use dfdx::tensor::Cuda;
use preprocess::pipeline::Precision;
use std::rc::Rc;
use train::device::cuda::CudaPool;
use train::ops::batch_norm2d::{
    Batch, BatchNorm2dKernel, ChannelGradients, Channels, Moving, NormOptions, Normalization, NormalizedBatch,
    reference,
};
use train::tensor::activation::Activation;
use train::tensor::memory::{Accumulate, Memory, Vector};
use train::tensor::pending::NormShare;
use train::tensor::pending::PendingKernel;

/// Of the largest value.
const TOLERANCE: f32 = 1e-4;

/// Statistics, of the largest value.
const STATISTICS_TOLERANCE: f32 = 1e-5;

struct Case {
    op: Normalization,
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    dy: Vec<f32>,
}

/// What a training pass gives, forward and backward.
#[derive(Debug, PartialEq)]
struct Results {
    mean: Vec<f32>,
    variance: Vec<f32>,
    moving: [Vec<f32>; 2],
    y: Vec<f32>,
    dweight: Vec<f32>,
    dbias: Vec<f32>,
    dx: Vec<f32>,
    dx_added: Vec<f32>,
}

impl Case {
    fn new(shape: [usize; 4], options: NormOptions) -> Self {
        let len = shape.iter().product();
        // A mean far from zero, as a network's activations have it.
        let x = noise(1, len).iter().map(|v| v + 30.0).collect();
        let op = Normalization { shape, options };
        // Wide enough to reach both limits of ReLU6.
        let wide = |seed| noise(seed, shape[1]).iter().map(|v| 8.0 * v).collect();
        Self { op, x, weight: wide(2), bias: wide(3), dy: noise(4, len) }
    }

    /// What slots and moving statistics hold before.
    fn start(&self) -> Vec<f32> {
        noise(5, self.op.shape[1])
    }

    /// From the statistics in single precision that the device found, so that the activation clamps the same values.
    fn expected(&self, found: &Results) -> Results {
        let Normalization { shape, options: NormOptions { activation, epsilon, momentum } } = self.op;
        let [n, c, h, w] = shape;
        let (mean, variance) = reference::statistics(shape, &self.x);
        let count = (n * h * w) as f64;
        let moved = |batch: &[f64], factor: f64| -> Vec<f32> {
            let moved = |(start, batch): (&f32, &f64)| (1.0 - momentum) * f64::from(*start) + momentum * factor * batch;
            self.start().iter().zip(batch).map(|pair| moved(pair) as f32).collect()
        };
        let moving = [moved(&mean, 1.0), moved(&variance, count / (count - 1.0).max(1.0))];
        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let (found_mean, found_variance) = (wide(&found.mean), wide(&found.variance));
        let y = reference::forward(
            shape,
            &self.x,
            &found_mean,
            &found_variance,
            &self.weight,
            &self.bias,
            epsilon,
            activation,
        );
        let d: Vec<f32> = self.dy.iter().zip(&y).map(|(&d, &y)| if activation.passes(y) { d } else { 0.0 }).collect();
        let (dx, dweight, dbias) = reference::gradient(shape, &self.x, &self.weight, epsilon, &d);
        let single = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect::<Vec<_>>();
        Results {
            mean: single(mean),
            variance: single(variance),
            moving,
            y,
            dweight: sum(&self.start(), &dweight),
            dbias: sum(&vec![0.0; c], &dbias),
            dx_added: sum(&dx, &dx),
            dx,
        }
    }

    fn run(&self, device: &Cuda, pool: &CudaPool) -> Results {
        let shape = self.op.shape;
        let upload = |values: &[f32]| device.upload(pool, shape, values).unwrap();
        let not_a_number = || upload(&vec![f32::NAN; self.x.len()]);
        let (x, dy) = (upload(&self.x), upload(&self.dy));
        let (weight, bias) = (vector(device, &self.weight), vector(device, &self.bias));
        let [mut moving_mean, mut moving_variance] = [(); 2].map(|()| vector(device, &self.start()));
        let batch = Batch { x: &x, moments: None, weight: &weight, bias: &bias };
        let moving = Moving { mean: &mut moving_mean, variance: &mut moving_variance };
        let NormalizedBatch { mean, variance, affine } = device.normalize_batch(pool, &self.op, batch, moving).unwrap();
        self.check_against_single_steps(device, pool, &x, [&mean, &variance, &affine.scale, &affine.shift]);
        let mut y = not_a_number();
        device.apply_affine(shape, &affine, &x, &mut y).unwrap();

        let (mut dweight, mut dbias) = (slot(device, &self.start()), slot(device, &vec![0.0; shape[1]]));
        let channels = Channels { mean: &mean, variance: &variance, weight: &weight, bias: &bias };
        let gradients = ChannelGradients { weight: &mut dweight, bias: &mut dbias };
        let of = device.batch_norm2d_gradient(pool, &self.op, channels, &x, &dy, gradients).unwrap();
        let share = NormShare { of, x: Rc::new(x), dy };
        let mut dx = not_a_number();
        device.apply_norm_share(shape, &share, &mut dx, Accumulate::Overwrite).unwrap();
        let overwritten = device.download(shape, &dx).unwrap();
        device.apply_norm_share(shape, &share, &mut dx, Accumulate::Add).unwrap();
        Results {
            mean: mean.as_vec(),
            variance: variance.as_vec(),
            moving: [moving_mean.as_vec(), moving_variance.as_vec()],
            y: device.download(shape, &y).unwrap(),
            dweight: device.storage_to_host(&dweight).unwrap(),
            dbias: device.storage_to_host(&dbias).unwrap(),
            dx: overwritten,
            dx_added: device.download(shape, &dx).unwrap(),
        }
    }

    /// Statistics alone, from the map and from moments that are there already, and the normalisation alone give the
    /// same bytes.
    fn check_against_single_steps(
        &self,
        device: &Cuda,
        pool: &CudaPool,
        x: &train::device::cuda::CudaBuffer,
        [mean, variance, scale, shift]: [&Vector<Cuda>; 4],
    ) {
        let shape = self.op.shape;
        let single = device.channel_statistics(pool, shape, x, None).unwrap();
        assert_eq!([single.0.as_vec(), single.1.as_vec()], [mean.as_vec(), variance.as_vec()], "{shape:?}");
        let (weight, bias) = (vector(device, &self.weight), vector(device, &self.bias));
        let channels = Channels { mean, variance, weight: &weight, bias: &bias };
        let affine = device.batch_norm2d(pool, &self.op, channels).unwrap();
        assert_eq!([affine.scale.as_vec(), affine.shift.as_vec()], [scale.as_vec(), shift.as_vec()], "{shape:?}");
    }
}

#[test]
fn kernels_equal_the_reference() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    for shape in [[1, 1, 1, 2], [5, 3, 1, 1], [3, 17, 2, 3], [70, 2, 4, 5], [2, 64, 9, 7], [2, 3, 61, 61]] {
        for (activation, epsilon, momentum) in
            [(Activation::None, 1e-3, 0.1), (Activation::Relu, 1e-3, 0.1), (Activation::Relu6, 1e-5, 0.3)]
        {
            let case = Case::new(shape, NormOptions { activation, epsilon, momentum });
            let found = case.run(&device, &pool);
            let expected = case.expected(&found);
            let check = |what: &str, found: &[f32], expected: &[f32], tolerance| {
                assert_close(&format!("{what}, {shape:?}, {activation:?}"), found, expected, tolerance);
            };
            check("mean", &found.mean, &expected.mean, STATISTICS_TOLERANCE);
            check("variance", &found.variance, &expected.variance, STATISTICS_TOLERANCE);
            check("moving mean", &found.moving[0], &expected.moving[0], STATISTICS_TOLERANCE);
            check("moving variance", &found.moving[1], &expected.moving[1], STATISTICS_TOLERANCE);
            check("y", &found.y, &expected.y, TOLERANCE);
            check("dweight", &found.dweight, &expected.dweight, TOLERANCE);
            check("dbias", &found.dbias, &expected.dbias, TOLERANCE);
            check("dx", &found.dx, &expected.dx, TOLERANCE);
            check("dx, added", &found.dx_added, &expected.dx_added, TOLERANCE);
            assert_eq!(case.run(&device, &pool), found, "twice, {shape:?}, {activation:?}");
        }
    }
}

#[test]
fn moments_that_are_there_already_are_used() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    let shape = [2, 2, 3, 3];
    // Means 1 and 3, spreads 2 and 4 within: (2 + 4) / 2 + 1; and the same value throughout.
    let moments = device.upload(&pool, [2, 2, 2, 1], &[1.0, 2.0, 7.0, 0.0, 3.0, 4.0, 7.0, 0.0]).unwrap();
    let x = device.upload(&pool, shape, &[f32::NAN; 36]).unwrap();
    let (mean, variance) = device.channel_statistics(&pool, shape, &x, Some(&moments)).unwrap();
    assert_eq!((mean.as_vec(), variance.as_vec()), (vec![2.0, 7.0], vec![4.0, 0.0]));
}

//! The convolution's kernels against the reference, in both precisions.

use crate::common::{assert_close, device, noise, pool, slot, sum, vector};
use dfdx::tensor::Cuda;
use preprocess::pipeline::Precision;
use std::rc::Rc;
use train::device::cuda::CudaPool;
use train::ops::batch_norm2d::BatchNorm2dKernel;
use train::ops::conv2d::{Conv2dKernel, ConvGradients, Epilogue, Geometry, Input, OutputGradient, Padding, reference};
use train::tensor::activation::Activation;
use train::tensor::feature_map::Layout;
use train::tensor::memory::{Accumulate, Memory};
use train::tensor::pending::{Affine, NormGradient, NormShare};

/// Of the largest value. TF32 rounds both factors to 11 significant bits, so that a product is off by 2⁻¹⁰ at most;
/// errors cancel out in longer sums. On the emulator the worst of these cases are 1.2e-6 and 6.6e-4.
const TOLERANCES: [(Precision, f32); 2] = [(Precision::Fp32, 2e-5), (Precision::Tf32, 2e-3)];

use Activation::{Relu, Relu6};
use Padding::{Same, Symmetric, Valid};

/// `[n, c, h, w]`, `[o, kernel_h, kernel_w]`, stride, padding.
type Shape = ([usize; 4], [usize; 3], usize, Padding);

/// Odd sizes on all sides of the tiles, and every network's kernels.
const SHAPES: &[Shape] = &[
    ([1, 1, 1, 1], [1, 1, 1], 1, Valid),
    ([1, 1, 1, 1], [1, 3, 3], 1, Same),
    ([1, 3, 3, 3], [5, 3, 3], 1, Valid),
    ([2, 3, 9, 7], [17, 3, 3], 1, Same),
    ([3, 5, 8, 5], [3, 3, 3], 2, Same),
    ([1, 5, 7, 9], [33, 3, 3], 2, Valid),
    ([2, 17, 6, 5], [65, 1, 1], 1, Valid),
    ([2, 33, 5, 4], [5, 1, 1], 2, Valid),
    ([1, 64, 5, 5], [64, 3, 3], 1, Same),
    ([1, 65, 4, 6], [33, 3, 3], 1, Valid),
    ([2, 3, 11, 13], [33, 5, 5], 1, Same),
    ([1, 17, 9, 8], [1, 5, 5], 3, Same),
    ([2, 3, 15, 16], [32, 7, 7], 2, Valid),
    ([2, 3, 15, 16], [17, 7, 7], 2, Symmetric(3)),
    ([2, 17, 9, 8], [33, 3, 3], 2, Symmetric(1)),
    ([1, 3, 3, 4], [2, 3, 3], 1, Symmetric(4)),
    ([1, 1, 7, 7], [3, 7, 7], 1, Valid),
    ([1, 3, 10, 10], [5, 7, 7], 3, Same),
    ([5, 5, 4, 3], [17, 3, 1], 1, Same),
    ([2, 5, 3, 12], [3, 1, 7], 2, Same),
    ([1, 3, 7, 7], [5, 1, 1], 3, Valid),
];

/// Pixels enough for the large tiles: 32 channels of either side take the narrow one, 40 the wide one; a sum over many
/// slices.
const LARGE: &[Shape] = &[
    ([3, 3, 107, 107], [5, 3, 3], 1, Same),
    ([3, 40, 107, 107], [3, 1, 1], 1, Valid),
    ([3, 3, 108, 107], [40, 1, 1], 1, Same),
];

/// What is fused into the convolution.
#[derive(Debug, Clone, Copy)]
struct Fused {
    affine: Option<Activation>,
    bias: bool,
    residual: bool,
    activation: Activation,
    moments: bool,
    accumulate: Accumulate,
    gradient: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Whole,
    Clamped,
    Normalized { activation: Activation, others: bool },
}

/// Each appears at least once, and each with the others that might disturb it.
const FUSED: &[Fused] = &[
    Fused {
        affine: None,
        bias: true,
        residual: false,
        activation: Activation::None,
        moments: false,
        accumulate: Accumulate::Overwrite,
        gradient: Kind::Whole,
    },
    Fused {
        affine: Some(Relu),
        bias: true,
        residual: true,
        activation: Relu,
        moments: true,
        accumulate: Accumulate::Add,
        gradient: Kind::Clamped,
    },
    Fused {
        affine: Some(Activation::None),
        bias: true,
        residual: false,
        activation: Relu,
        moments: false,
        accumulate: Accumulate::Overwrite,
        gradient: Kind::Clamped,
    },
    Fused {
        affine: Some(Relu),
        bias: true,
        residual: true,
        activation: Activation::None,
        moments: true,
        accumulate: Accumulate::Add,
        gradient: Kind::Normalized { activation: Relu, others: true },
    },
    Fused {
        affine: None,
        bias: true,
        residual: true,
        activation: Relu,
        moments: true,
        accumulate: Accumulate::Overwrite,
        gradient: Kind::Normalized { activation: Activation::None, others: false },
    },
    Fused {
        affine: Some(Relu6),
        bias: false,
        residual: false,
        activation: Relu6,
        moments: false,
        accumulate: Accumulate::Overwrite,
        gradient: Kind::Normalized { activation: Relu6, others: false },
    },
];

/// All that goes into the convolution and its gradients, on the host.
struct Case {
    geometry: Geometry,
    fused: Fused,
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    residual: Vec<f32>,
    /// Scale and shift of the input's channels.
    affine: [Vec<f32>; 2],
    dy: Vec<f32>,
    /// The output that says where the gradient counts, or the input of the normalisation that reads it.
    y: Vec<f32>,
    others: Vec<f32>,
    /// μ, scale, shift, factor, constant of the normalisation that reads the output.
    norm: [Vec<f32>; 5],
    /// What the gradients hold already: dx, dw, db.
    before: [Vec<f32>; 3],
}

/// What comes out.
#[derive(Debug, PartialEq)]
struct Results {
    y: Vec<f32>,
    moments: Option<Vec<f32>>,
    dx: Vec<f32>,
    dw: Vec<f32>,
    db: Vec<f32>,
}

impl Case {
    fn new(shape: &Shape, fused: Fused) -> Self {
        Self::grouped(shape, 1, fused)
    }

    fn grouped(&(input, [o, kernel_h, kernel_w], stride, padding): &Shape, groups: usize, fused: Fused) -> Self {
        let geometry = Geometry::new(input, [o, input[1] / groups, kernel_h, kernel_w], stride, padding).unwrap();
        let [x, y, weight]: [usize; 3] =
            [geometry.input(), geometry.output(), geometry.kernel()].map(|shape| shape.iter().product());
        Self {
            geometry,
            fused,
            x: noise(1, x),
            weight: noise(2, weight),
            bias: noise(3, o),
            residual: noise(4, y),
            affine: [noise(5, input[1]), noise(6, input[1])],
            dy: noise(7, y),
            y: noise(8, y),
            others: noise(9, y),
            norm: [10, 11, 12, 13, 14].map(|seed| noise(seed, o)),
            before: [noise(15, x), noise(16, weight), noise(17, o)],
        }
    }

    fn expected(&self) -> Results {
        let Geometry { c, h, w, o, out_h, out_w, .. } = self.geometry;
        let x: Vec<f32> = match self.fused.affine {
            None => self.x.clone(),
            Some(activation) => {
                let [scale, shift] = &self.affine;
                let value = |(at, x): (usize, &f32)| scale[at / (h * w) % c] * x + shift[at / (h * w) % c];
                self.x.iter().enumerate().map(value).map(|v| activation.apply(v)).collect()
            }
        };
        let zeros = vec![0.0; o];
        let bias = if self.fused.bias { &self.bias } else { &zeros };
        let mut y = reference::forward(&self.geometry, &x, &self.weight, bias);
        if self.fused.residual {
            y = sum(&y, &self.residual);
        }
        y.iter_mut().for_each(|y| *y = self.fused.activation.apply(*y));
        let d: Vec<f32> = (0..y.len()).map(|at| self.gradient_inside(at, at / (out_h * out_w) % o)).collect();
        let dx = reference::input_gradient(&self.geometry, &d, &self.weight);
        let dx = if self.fused.accumulate == Accumulate::Add { sum(&self.before[0], &dx) } else { dx };
        let (dw, db) = reference::weight_gradient(&self.geometry, &x, &d);
        let moments = self.fused.moments.then(|| y.chunks_exact(out_h * out_w).flat_map(moments).collect());
        let db = if self.fused.bias { sum(&self.before[2], &db) } else { self.before[2].clone() };
        Results { y, moments, dx, dw: sum(&self.before[1], &dw), db }
    }

    /// The gradient inside the activation.
    fn gradient_inside(&self, at: usize, channel: usize) -> f32 {
        let (dy, y) = (self.dy[at], self.y[at]);
        let [mean, scale, shift, factor, constant] = self.norm.each_ref().map(|of| of[channel]);
        match self.fused.gradient {
            Kind::Whole => dy,
            Kind::Clamped => {
                if y > 0.0 {
                    dy
                } else {
                    0.0
                }
            }
            Kind::Normalized { activation, others } => {
                let d = if activation.passes(scale * y + shift) { dy } else { 0.0 };
                scale * d + factor * (y - mean) + constant + if others { self.others[at] } else { 0.0 }
            }
        }
    }

    fn run(&self, device: &Cuda, pool: &CudaPool) -> Results {
        let upload = |shape, values: &[f32]| device.upload(pool, shape, values).unwrap();
        let (input, output) = (self.geometry.input(), self.geometry.output());
        let (x, residual, y_data) = (upload(input, &self.x), upload(output, &self.residual), upload(output, &self.y));
        let (dy, others) = (upload(output, &self.dy), upload(output, &self.others));
        let (weight, bias) = (vector(device, &self.weight), vector(device, &self.bias));
        let affine = self.fused.affine.map(|activation| {
            let [scale, shift] = self.affine.each_ref().map(|of| vector(device, of));
            Affine { scale, shift, activation }
        });
        let x = Input { data: &x, layout: Layout::Activations, affine: affine.as_ref() };

        let mut y = device.allocate(pool, output).unwrap();
        let moments_shape = Cuda::moments_shape(output);
        let mut moments = self.fused.moments.then(|| device.allocate(pool, moments_shape).unwrap());
        let epilogue = Epilogue {
            residual: self.fused.residual.then_some(&residual),
            activation: self.fused.activation,
            moments: moments.as_mut(),
        };
        device.conv2d(pool, &self.geometry, x, &weight, self.fused.bias.then_some(&bias), epilogue, &mut y).unwrap();

        let mut dx = upload(input, &self.before[0]);
        let [mut dw, mut db] = [1, 2].map(|at| slot(device, &self.before[at]));
        let gradients = ConvGradients { weight: &mut dw, bias: self.fused.bias.then_some(&mut db) };
        let share;
        let gradient = match self.fused.gradient {
            Kind::Whole => OutputGradient::Whole(&dy),
            Kind::Clamped => OutputGradient::Clamped { dy: &dy, y: &y_data },
            Kind::Normalized { activation, others: with_others } => {
                let [mean, scale, shift, factor, constant] = self.norm.each_ref().map(|of| vector(device, of));
                let of = NormGradient { mean, scale, shift, factor, constant, activation };
                share = NormShare { of, x: Rc::new(y_data), dy };
                OutputGradient::Normalized { share: &share, others: with_others.then_some(&others) }
            }
        };
        let into = Some((&mut dx, self.fused.accumulate));
        device.conv2d_gradient(pool, &self.geometry, x, gradient, &weight, gradients, into).unwrap();

        let download = |shape, buffer| device.download(shape, buffer).unwrap();
        Results {
            y: download(output, &y),
            moments: moments.as_ref().map(|moments| download(moments_shape, moments)),
            dx: download(input, &dx),
            dw: device.storage_to_host(&dw).unwrap(),
            db: device.storage_to_host(&db).unwrap(),
        }
    }
}

/// Mean and mean squared deviation.
fn moments(plane: &[f32]) -> [f32; 2] {
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / plane.len() as f64;
    let centre = mean(&mut plane.iter().map(|&y| f64::from(y)));
    [centre as f32, mean(&mut plane.iter().map(|&y| (f64::from(y) - centre).powi(2))) as f32]
}

fn assert_results(what: &str, actual: &Results, expected: &Results, tolerance: f32) {
    let compare = |name, actual: &[f32], expected: &[f32], tolerance| {
        assert_close(&format!("{name} of {what}"), actual, expected, tolerance);
    };
    compare("y", &actual.y, &expected.y, tolerance);
    compare("dx", &actual.dx, &expected.dx, tolerance);
    compare("dw", &actual.dw, &expected.dw, tolerance);
    // Sums, not products: full precision always.
    compare("db", &actual.db, &expected.db, 2e-5);
    assert_eq!(actual.moments.is_some(), expected.moments.is_some());
    if let (Some(actual), Some(expected)) = (&actual.moments, &expected.moments) {
        compare("moments", actual, expected, 2.0 * tolerance);
    }
}

fn check(shapes: &[Shape], fused: impl Fn(usize) -> Vec<Fused>) {
    let device = device();
    for (precision, tolerance) in TOLERANCES {
        let pool = pool(&device, precision);
        for (at, shape) in shapes.iter().enumerate() {
            for fused in fused(at) {
                let case = Case::new(shape, fused);
                let results = case.run(&device, &pool);
                let what = format!("{precision:?} {shape:?}, {fused:?}");
                assert_results(&what, &results, &case.expected(), tolerance);
                assert_eq!(results, case.run(&device, &pool), "a second run of {what}");
            }
        }
    }
}

#[test]
fn agrees_with_the_reference_at_odd_sizes_whatever_is_fused() {
    check(SHAPES, |_| FUSED.to_vec());
}

#[test]
fn agrees_with_the_reference_where_tiles_are_large() {
    check(LARGE, |at| vec![FUSED[at + 1]]);
}

#[test]
fn groups_agree_with_the_reference_whatever_is_fused() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    for (groups, shape) in [
        (3, ([2, 3, 5, 7], [3, 3, 3], 1, Same)),
        (17, ([2, 17, 9, 8], [17, 3, 3], 2, Symmetric(1))),
        (5, ([1, 5, 8, 9], [5, 5, 5], 2, Same)),
        (4, ([1, 4, 3, 2], [4, 7, 7], 1, Symmetric(3))),
        (3, ([2, 6, 5, 4], [9, 3, 3], 1, Valid)),
        (2, ([1, 2, 40, 41], [4, 1, 1], 1, Valid)),
    ] {
        for &fused in FUSED {
            let case = Case::grouped(&shape, groups, fused);
            let results = case.run(&device, &pool);
            let what = format!("{groups} groups, {shape:?}, {fused:?}");
            assert_results(&what, &results, &case.expected(), 2e-5);
            assert_eq!(results, case.run(&device, &pool), "a second run of {what}");
        }
    }
}

#[test]
fn images_have_no_gradient() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    let case = Case::new(&SHAPES[3], FUSED[0]);
    let [x, dy] = [(case.geometry.input(), &case.x), (case.geometry.output(), &case.dy)]
        .map(|(shape, values)| device.upload(&pool, shape, values).unwrap());
    let [mut dw, mut db] = [1, 2].map(|at| slot(&device, &case.before[at]));
    let gradients = ConvGradients { weight: &mut dw, bias: Some(&mut db) };
    let x = Input { data: &x, layout: Layout::Images, affine: None };
    let weight = vector(&device, &case.weight);
    device.conv2d_gradient(&pool, &case.geometry, x, OutputGradient::Whole(&dy), &weight, gradients, None).unwrap();
    assert_close("dw", &device.storage_to_host(&dw).unwrap(), &case.expected().dw, 2e-5);
}

#[test]
fn what_is_not_a_number_stays_so() {
    let device = device();
    let pool = pool(&device, Precision::Tf32);
    let mut case = Case::new(&([1, 1, 4, 4], [1, 1, 1], 1, Valid), FUSED[1]);
    case.x[5] = f32::NAN;
    let results = case.run(&device, &pool);
    assert!(results.y.iter().enumerate().all(|(at, y)| y.is_nan() == (at == 5)), "{:?}", results.y);
}

#[test]
fn a_kernel_that_is_too_large_is_refused() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    let geometry = Geometry::new([1, 1, 16, 16], [1, 1, 16, 16], 1, Valid).unwrap();
    let x = device.upload(&pool, geometry.input(), &noise(1, 256)).unwrap();
    let mut y = device.allocate(&pool, geometry.output()).unwrap();
    let x = Input { data: &x, layout: Layout::Activations, affine: None };
    let (weight, bias) = (vector(&device, &noise(2, 256)), vector(&device, &[0.0]));
    let epilogue = Epilogue { residual: None, activation: Activation::None, moments: None };
    assert!(device.conv2d(&pool, &geometry, x, &weight, Some(&bias), epilogue, &mut y).is_err());
}

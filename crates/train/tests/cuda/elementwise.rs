//! Additions, the activations' gradients, means and flattening: the same numbers as on the CPU.

use crate::common::{assert_close, device, noise, pool, sum, vector};
use preprocess::pipeline::Precision;
use train::device::cuda::CudaPool;
use train::ops::activation::{ActivationKernel, reference};
use train::ops::add::{self, SumKernel, Term};
use train::ops::flatten::FlattenKernel;
use train::ops::global_avg_pool2d::{self, GlobalAvgPool2dKernel};
use train::tensor::activation::Activation;
use train::tensor::memory::{Accumulate, Memory};
use train::tensor::pending::{AddKernel, Affine, PendingKernel};

/// One element, a part of a block, a block and one more, many blocks.
const SHAPES: [[usize; 4]; 5] = [[1, 1, 1, 1], [2, 3, 5, 7], [1, 257, 1, 1], [1, 3, 61, 61], [3, 17, 30, 30]];

#[test]
fn addition_and_the_activations_gradients() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    for shape in SHAPES {
        let len = shape.iter().product();
        // The limits too: no gradient goes through there.
        let y: Vec<f32> = noise(1, len).iter().map(|v| (v * 8.0).round()).collect();
        let upload = |values: &[f32]| device.upload(&pool, shape, values).unwrap();
        for activation in [Activation::None, Activation::Relu, Activation::Relu6] {
            let mut gradient = noise(2, len);
            let (y_on_device, mut on_device) = (upload(&y), upload(&gradient));
            device.activation_gradient(activation, &y_on_device, &mut on_device).unwrap();
            reference::activation_gradient(activation, &y, &mut gradient);
            assert_eq!(device.download(shape, &on_device).unwrap(), gradient, "{activation:?} of {shape:?}");
            device.add_assign(&mut on_device, &y_on_device).unwrap();
            assert_eq!(device.download(shape, &on_device).unwrap(), sum(&gradient, &y), "addition of {shape:?}");
            let mut copied = not_a_number(&device, &pool, shape);
            device.copy(&y_on_device, &mut copied).unwrap();
            assert_eq!(device.download(shape, &copied).unwrap(), y, "copy of {shape:?}");
        }
    }
}

#[test]
fn sums_apply_what_is_pending() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    for shape @ [_, c, h, w] in SHAPES {
        let len = shape.iter().product();
        let [a, b] = [1, 2].map(|seed| noise(seed, len).iter().map(|v| 8.0 * v).collect::<Vec<f32>>());
        let [scale, shift] = [3, 4].map(|seed| noise(seed, c));
        let upload = |values: &[f32]| device.upload(&pool, shape, values).unwrap();
        for activation in [Activation::None, Activation::Relu, Activation::Relu6] {
            let pending = Affine { scale: vector(&device, &scale), shift: vector(&device, &shift), activation };
            let applied = |values: &[f32]| -> Vec<f32> {
                let of = |(at, v): (usize, &f32)| {
                    let channel = at / (h * w) % c;
                    activation.apply(v.mul_add(scale[channel], shift[channel]))
                };
                values.iter().enumerate().map(of).collect()
            };
            for (first, second) in [(false, false), (true, false), (false, true), (true, true)] {
                let value = |values: &[f32], with| if with { applied(values) } else { values.to_vec() };
                let expected = add::reference::sum([&value(&a, first), &value(&b, second)], activation);
                let (a_on_device, b_on_device) = (upload(&a), upload(&b));
                let terms = [
                    Term { data: &a_on_device, affine: first.then_some(&pending) },
                    Term { data: &b_on_device, affine: second.then_some(&pending) },
                ];
                let mut y = not_a_number(&device, &pool, shape);
                device.sum(&pool, shape, terms, activation, &mut y).unwrap();
                let what = format!("{shape:?}, {activation:?}, {first} {second}");
                assert_close(&what, &device.download(shape, &y).unwrap(), &expected, 1e-6);
            }
        }
    }
}

#[test]
fn means_and_their_gradients() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    for shape @ [n, c, ..] in SHAPES {
        let (x, dy) = (noise(1, shape.iter().product()), noise(2, n * c));
        let on_device = device.upload(&pool, shape, &x).unwrap();
        let mut y = not_a_number(&device, &pool, [n, c, 1, 1]);
        device.global_avg_pool2d(shape, &on_device, None, &mut y).unwrap();
        let expected = global_avg_pool2d::reference::forward(shape, &x);
        assert_close(&format!("{shape:?}"), &device.download([n, c, 1, 1], &y).unwrap(), &expected, 1e-6);
        let expected = global_avg_pool2d::reference::gradient(shape, &dy);
        let dy = device.upload(&pool, [n, c, 1, 1], &dy).unwrap();
        let mut dx = device.upload(&pool, shape, &x).unwrap();
        device.global_avg_pool2d_gradient(shape, &dy, &mut dx, Accumulate::Add).unwrap();
        assert_close(&format!("{shape:?}, added"), &device.download(shape, &dx).unwrap(), &sum(&x, &expected), 1e-6);
        let mut dx = not_a_number(&device, &pool, shape);
        device.global_avg_pool2d_gradient(shape, &dy, &mut dx, Accumulate::Overwrite).unwrap();
        assert_close(&format!("{shape:?}, overwritten"), &device.download(shape, &dx).unwrap(), &expected, 1e-6);
    }
}

#[test]
fn means_apply_what_is_pending() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    for shape @ [n, c, ..] in SHAPES {
        let x = device.upload(&pool, shape, &noise(1, shape.iter().product())).unwrap();
        for activation in [Activation::None, Activation::Relu, Activation::Relu6] {
            let [scale, shift] = [2, 3].map(|seed| vector(&device, &noise(seed, c)));
            let affine = Affine { scale, shift, activation };
            let mut applied = not_a_number(&device, &pool, shape);
            device.apply_affine(shape, &affine, &x, &mut applied).unwrap();
            let of = |x, affine| {
                let mut y = not_a_number(&device, &pool, [n, c, 1, 1]);
                device.global_avg_pool2d(shape, x, affine, &mut y).unwrap();
                device.download([n, c, 1, 1], &y).unwrap()
            };
            // The same bytes as if it had been written before.
            assert_eq!(of(&x, Some(&affine)), of(&applied, None), "{shape:?}, {activation:?}");
        }
    }
}

#[test]
fn an_output_that_is_not_a_number_has_no_gradient() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    let shape = [1, 4, 1, 1];
    let y = device.upload(&pool, shape, &[f32::NAN, f32::INFINITY, -1.0, 6.0]).unwrap();
    for (activation, expected) in [(Activation::Relu, [0.0, 2.0, 0.0, 2.0]), (Activation::Relu6, [0.0; 4])] {
        let mut gradient = device.upload(&pool, shape, &[2.0; 4]).unwrap();
        device.activation_gradient(activation, &y, &mut gradient).unwrap();
        assert_eq!(device.download(shape, &gradient).unwrap(), expected, "{activation:?}");
    }
}

#[test]
fn flattening_keeps_the_order() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    for shape @ [n, c, h, w] in SHAPES {
        let len = shape.iter().product();
        let (values, start) = (noise(1, len), noise(2, len));
        let features = [n, c * h * w, 1, 1];
        let x = device.upload(&pool, shape, &values).unwrap();
        let mut y = not_a_number(&device, &pool, features);
        device.flatten(shape, &x, &mut y).unwrap();
        assert_eq!(device.download(features, &y).unwrap(), values, "{shape:?}");
        let mut dx = device.upload(&pool, shape, &start).unwrap();
        device.flatten_gradient(shape, &y, &mut dx, Accumulate::Add).unwrap();
        assert_eq!(device.download(shape, &dx).unwrap(), sum(&start, &values), "{shape:?}, added");
        let mut dx = not_a_number(&device, &pool, shape);
        device.flatten_gradient(shape, &y, &mut dx, Accumulate::Overwrite).unwrap();
        assert_eq!(device.download(shape, &dx).unwrap(), values, "{shape:?}, overwritten");
    }
}

fn not_a_number(device: &dfdx::tensor::Cuda, pool: &CudaPool, shape: [usize; 4]) -> train::device::cuda::CudaBuffer {
    device.upload(pool, shape, &vec![f32::NAN; shape.iter().product()]).unwrap()
}

//! The pooling's kernels against the reference: not one bit of difference.

use crate::common::{device, noise, pool, sum, vector};
use preprocess::pipeline::Precision;
use train::ops::max_pool2d::{MaxPool2dKernel, Window, reference};
use train::tensor::activation::Activation;
use train::tensor::memory::{Accumulate, Memory};
use train::tensor::pending::{Affine, PendingKernel};

const WINDOWS: [Window; 5] = [
    Window::HALVING,
    Window { size: 3, stride: 2, padding: 1 },
    Window { size: 3, stride: 1, padding: 1 },
    Window { size: 3, stride: 3, padding: 0 },
    Window { size: 5, stride: 2, padding: 2 },
];

#[test]
fn kernels_equal_the_reference() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    for shape @ [n, c, h, w] in
        [[1, 1, 2, 2], [2, 3, 5, 4], [1, 17, 3, 7], [3, 16, 8, 8], [1, 64, 2, 9], [2, 3, 61, 61]]
    {
        for window in WINDOWS {
            let Some([out_h, out_w]) = window.output([h, w]) else { continue };
            let out = [n, c, out_h, out_w];
            let (what, shapes) = (format!("{shape:?}, {window:?}"), [shape, out]);
            // Few different values, so that windows have ties.
            let x: Vec<f32> = noise(1, shape.iter().product()).iter().map(|v| (v * 4.0).round()).collect();
            // Sums of few quarters are exact in any order.
            let quarters = |seed, len| noise(seed, len).iter().map(|v| (v * 16.0).round() / 4.0).collect::<Vec<f32>>();
            let (dy, start) = (quarters(2, out.iter().product()), quarters(3, x.len()));
            let (expected, numbers) = reference::forward(window, shapes, &x);
            let on_device = device.upload(&pool, shape, &x).unwrap();
            let mut y = device.upload(&pool, out, &vec![f32::NAN; dy.len()]).unwrap();
            let largest = device.max_pool2d(&pool, window, shapes, &on_device, None, &mut y).unwrap();
            assert_eq!(device.download(out, &y).unwrap(), expected, "{what}");

            let expected = reference::gradient(window, shapes, &numbers, &dy);
            let dy = device.upload(&pool, out, &dy).unwrap();
            let gradient = |dx: &[f32], accumulate| {
                let mut dx = device.upload(&pool, shape, dx).unwrap();
                device.max_pool2d_gradient(window, shapes, &largest, &dy, &mut dx, accumulate).unwrap();
                device.download(shape, &dx).unwrap()
            };
            assert_eq!(gradient(&start, Accumulate::Add), sum(&start, &expected), "{what}, added");
            let overwritten = gradient(&vec![f32::NAN; x.len()], Accumulate::Overwrite);
            assert_eq!(overwritten, expected, "{what}, overwritten");
        }
    }
}

/// The same bytes as if it had been written before.
#[test]
fn what_is_pending_is_applied_first() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    for shape @ [n, c, h, w] in [[1, 1, 2, 2], [2, 3, 5, 4], [2, 17, 3, 7], [1, 3, 61, 61]] {
        let x = device.upload(&pool, shape, &noise(1, shape.iter().product())).unwrap();
        for activation in [Activation::None, Activation::Relu, Activation::Relu6] {
            let [scale, shift] = [2, 3].map(|seed| vector(&device, &noise(seed, c)));
            let affine = Affine { scale, shift, activation };
            let mut applied = device.allocate(&pool, shape).unwrap();
            device.apply_affine(shape, &affine, &x, &mut applied).unwrap();
            for window in WINDOWS {
                let Some([out_h, out_w]) = window.output([h, w]) else { continue };
                let (what, out) = (format!("{shape:?}, {window:?}, {activation:?}"), [n, c, out_h, out_w]);
                let of = |x, affine| {
                    let windows = vec![f32::NAN; out.iter().product()];
                    let mut y = device.upload(&pool, out, &windows).unwrap();
                    let largest = device.max_pool2d(&pool, window, [shape, out], x, affine, &mut y).unwrap();
                    // Where the maxima were: ones, spread over the input.
                    let ones = device.upload(&pool, out, &vec![1.0; windows.len()]).unwrap();
                    let mut dx = device.allocate(&pool, shape).unwrap();
                    let written = Accumulate::Overwrite;
                    device.max_pool2d_gradient(window, [shape, out], &largest, &ones, &mut dx, written).unwrap();
                    [device.download(out, &y).unwrap(), device.download(shape, &dx).unwrap()]
                };
                assert_eq!(of(&x, Some(&affine)), of(&applied, None), "{what}");
            }
        }
    }
}

#[test]
fn what_is_no_number_is_the_largest() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    let x = [f32::NAN, 1.0, 1.0, f32::NAN, 2.0, 3.0, 2.0, 0.0];
    for (window, shapes) in [
        (Window::HALVING, [[1, 1, 2, 4], [1, 1, 1, 2]]),
        (Window { size: 3, stride: 2, padding: 1 }, [[1, 1, 2, 4], [1, 1, 1, 2]]),
    ] {
        let [shape, out] = shapes;
        let (_, numbers) = reference::forward(window, shapes, &x);
        let on_device = device.upload(&pool, shape, &x).unwrap();
        let mut y = device.allocate(&pool, out).unwrap();
        let largest = device.max_pool2d(&pool, window, shapes, &on_device, None, &mut y).unwrap();
        let y = device.download(out, &y).unwrap();
        assert!(y.iter().all(|y| y.is_nan()), "{y:?}");
        let dy = device.upload(&pool, out, &[5.0, 6.0]).unwrap();
        let mut dx = device.allocate(&pool, shape).unwrap();
        device.max_pool2d_gradient(window, shapes, &largest, &dy, &mut dx, Accumulate::Overwrite).unwrap();
        let expected = reference::gradient(window, shapes, &numbers, &[5.0, 6.0]);
        assert_eq!(device.download(shape, &dx).unwrap(), expected, "{window:?}");
    }
}

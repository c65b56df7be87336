//! The pooling's kernels against the reference: not one bit of difference.

use crate::common::{device, noise, pool, sum};
use preprocess::pipeline::Precision;
use train::ops::max_pool2d::{MaxPool2dKernel, reference};
use train::tensor::memory::{Accumulate, Memory};

#[test]
fn kernels_equal_the_reference() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    for shape in [[1, 1, 2, 2], [2, 3, 5, 4], [1, 17, 3, 7], [3, 16, 8, 8], [1, 64, 2, 9], [2, 3, 61, 61]] {
        let [n, c, h, w] = shape;
        let out = [n, c, h / 2, w / 2];
        // Few different values, so that windows have ties.
        let x: Vec<f32> = noise(1, shape.iter().product()).iter().map(|v| (v * 4.0).round()).collect();
        let (dy, start) = (noise(2, out.iter().product()), noise(3, x.len()));
        let (expected, best) = reference::forward(shape, &x);
        let on_device = device.upload(&pool, shape, &x).unwrap();
        let mut y = device.upload(&pool, out, &vec![f32::NAN; dy.len()]).unwrap();
        let largest = device.max_pool2d(&pool, shape, &on_device, &mut y).unwrap();
        assert_eq!(device.download(out, &y).unwrap(), expected, "{shape:?}");

        let expected = reference::gradient(shape, &best, &dy);
        let dy = device.upload(&pool, out, &dy).unwrap();
        let gradient = |dx: &[f32], accumulate| {
            let mut dx = device.upload(&pool, shape, dx).unwrap();
            device.max_pool2d_gradient(shape, &largest, &dy, &mut dx, accumulate).unwrap();
            device.download(shape, &dx).unwrap()
        };
        assert_eq!(gradient(&start, Accumulate::Add), sum(&start, &expected), "{shape:?}, added");
        let overwritten = gradient(&vec![f32::NAN; x.len()], Accumulate::Overwrite);
        assert_eq!(overwritten, expected, "{shape:?}, overwritten");
    }
}

#[test]
fn not_a_number_stays_where_it_is_first_and_is_never_taken_later() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    let shape = [1, 1, 2, 4];
    let x = [f32::NAN, 1.0, 1.0, f32::NAN, 2.0, 3.0, 2.0, f32::NAN];
    let (expected, best) = reference::forward(shape, &x);
    assert!(expected[0].is_nan() && expected[1] == 2.0);
    let on_device = device.upload(&pool, shape, &x).unwrap();
    let mut y = device.allocate(&pool, [1, 1, 1, 2]).unwrap();
    let largest = device.max_pool2d(&pool, shape, &on_device, &mut y).unwrap();
    let y = device.download([1, 1, 1, 2], &y).unwrap();
    assert!(y[0].is_nan() && y[1] == 2.0, "{y:?}");
    let dy = device.upload(&pool, [1, 1, 1, 2], &[5.0, 6.0]).unwrap();
    let mut dx = device.allocate(&pool, shape).unwrap();
    device.max_pool2d_gradient(shape, &largest, &dy, &mut dx, Accumulate::Overwrite).unwrap();
    assert_eq!(device.download(shape, &dx).unwrap(), reference::gradient(shape, &best, &[5.0, 6.0]));
}

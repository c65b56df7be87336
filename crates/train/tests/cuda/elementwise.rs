//! Addition, the rectifier's gradient and flattening: the same numbers as on the CPU.

use crate::common::{device, noise, pool, sum};
use preprocess::pipeline::Precision;
use train::device::cuda::CudaPool;
use train::ops::flatten::FlattenKernel;
use train::ops::relu::{ReluKernel, reference};
use train::tensor::memory::{Accumulate, Memory};
use train::tensor::pending::AddKernel;

/// One element, a part of a block, a block and one more, many blocks.
const SHAPES: [[usize; 4]; 5] = [[1, 1, 1, 1], [2, 3, 5, 7], [1, 257, 1, 1], [1, 3, 61, 61], [3, 17, 30, 30]];

#[test]
fn addition_and_the_rectifier() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    for shape in SHAPES {
        let len = shape.iter().product();
        // Zeros too: the rectifier's gradient is zero there.
        let y: Vec<f32> = noise(1, len).iter().map(|v| (v * 4.0).round()).collect();
        let mut gradient = noise(2, len);
        let upload = |values: &[f32]| device.upload(&pool, shape, values).unwrap();
        let (y_on_device, mut on_device) = (upload(&y), upload(&gradient));
        device.relu_gradient(&y_on_device, &mut on_device).unwrap();
        reference::relu_gradient(&y, &mut gradient);
        assert_eq!(device.download(shape, &on_device).unwrap(), gradient, "relu of {shape:?}");
        device.add_assign(&mut on_device, &y_on_device).unwrap();
        assert_eq!(device.download(shape, &on_device).unwrap(), sum(&gradient, &y), "addition of {shape:?}");
    }
}

#[test]
fn an_output_that_is_not_a_number_has_no_gradient() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    let shape = [1, 3, 1, 1];
    let y = device.upload(&pool, shape, &[f32::NAN, f32::INFINITY, -1.0]).unwrap();
    let mut gradient = device.upload(&pool, shape, &[2.0; 3]).unwrap();
    device.relu_gradient(&y, &mut gradient).unwrap();
    assert_eq!(device.download(shape, &gradient).unwrap(), [0.0, 2.0, 0.0]);
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

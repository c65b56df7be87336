use super::*;
use crate::ops::batch_norm2d::NormOptions;
use crate::ops::testing::{assert_close, noise};
use crate::tensor::memory::Memory;
use std::rc::Rc;

#[test]
fn fast_equals_reference() {
    let (device, pool) = (Cpu::default(), BufferPool::default());
    for (shape, activation) in [
        ([1, 1, 1, 2], Activation::None),
        ([3, 17, 2, 3], Activation::Relu),
        ([2, 32, 29, 37], Activation::Relu),
        ([2, 32, 9, 7], Activation::Relu6),
        ([5, 3, 1, 1], Activation::None),
    ] {
        let what = |what: &str| format!("{what}, {shape:?}");
        let c = shape[1];
        // A mean far from zero, as a network's activations have it.
        let x: Vec<f32> = noise(1, shape.iter().product()).iter().map(|v| v + 30.0).collect();
        // Wide enough to reach both limits of ReLU6.
        let wide = |seed| noise(seed, c).iter().map(|v| 8.0 * v).collect::<Vec<f32>>();
        let (weight, bias, dy) = (wide(2), wide(3), noise(4, x.len()));
        let op = Normalization { shape, options: NormOptions { activation, epsilon: 1e-3, momentum: 0.1 } };
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
        let expected_y =
            reference::forward(shape, &x, &mean64, &variance64, &weight, &bias, op.options.epsilon, activation);
        let loose = |what: &str, actual: &[f32], expected: &[f32]| {
            let scale = expected.iter().fold(1e-3f32, |largest, v| largest.max(v.abs()));
            assert!(
                actual.iter().zip(expected).all(|(a, e)| (a - e).abs() < 1e-4 * scale),
                "{what}: {actual:?} {expected:?}"
            );
        };
        loose(&what("y"), &y, &expected_y);

        let d: Vec<f32> =
            dy.iter().zip(&expected_y).map(|(&d, &y)| if activation.passes(y) { d } else { 0.0 }).collect();
        let (expected_dx, expected_dweight, expected_dbias) =
            reference::gradient(shape, &x, &weight, op.options.epsilon, &d);
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

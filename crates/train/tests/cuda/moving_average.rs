//! The moving average of many parameters at once against the reference.

use crate::common::{assert_close, device, noise, pool, vector};
use preprocess::pipeline::Precision;
use train::ops::moving_average::{MovingAverageKernel, reference};
use train::tensor::memory::Memory;

#[test]
fn equals_the_reference_for_more_parameters_than_a_launch_takes() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    let lengths: Vec<usize> = [1, 1023, 1024, 1025, 5000].into_iter().chain((0..70).map(|at| 1 + at * 3)).collect();
    let parameters: Vec<_> = (0u64..).zip(&lengths).map(|(at, &len)| noise(at, len)).collect();
    let mut expected: Vec<_> = (100u64..).zip(&lengths).map(|(at, &len)| noise(at, len)).collect();
    let on_device: Vec<_> = parameters.iter().map(|values| vector(&device, values)).collect();
    let mut averages: Vec<_> = expected.iter().map(|values| vector(&device, values)).collect();
    for decay in [0.999, 0.25, 0.0] {
        device.moving_average(&pool, decay, averages.iter_mut().zip(&on_device).collect()).unwrap();
        for (at, (expected, average)) in expected.iter_mut().zip(&averages).enumerate() {
            reference::step(decay, &parameters[at], expected);
            assert_close(&format!("average {at} at {decay}"), &average.as_vec(), expected, 1e-6);
        }
    }
    for (at, (parameter, on_device)) in parameters.iter().zip(&on_device).enumerate() {
        assert_eq!(&on_device.as_vec(), parameter, "parameter {at} is only read");
    }
}

#[test]
fn a_copy_of_a_parameter_has_memory_of_its_own() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    let parameter = vector(&device, &[2.0, 4.0]);
    let mut average = device.copy_vector(&parameter).unwrap();
    device.moving_average(&pool, 0.0, vec![(&mut average, &vector(&device, &[1.0, 1.0]))]).unwrap();
    assert_eq!((parameter.as_vec(), average.as_vec()), (vec![2.0, 4.0], vec![1.0, 1.0]));
}

//! The step of SGD and the clipping of gradients, over many parameters at once.

use crate::common::{assert_close, device, noise, pool, slot, vector};
use dfdx::tensor::Gradients;
use preprocess::pipeline::Precision;
use train::ops::gradient_norm::clip_gradients;
use train::ops::sgd::{ParameterUpdate, SgdKernel, Step, reference};
use train::tensor::memory::{Memory, Vector};

/// Less than a block's share, all of it, more; many of them.
fn lengths() -> Vec<usize> {
    [1, 1023, 1024, 1025, 4096, 5000].into_iter().chain((0..140).map(|at| 1 + at * 3)).collect()
}

#[test]
fn a_step_equals_the_reference_for_more_parameters_than_a_launch_takes() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    let mut host: Vec<[Vec<f32>; 2]> =
        (0u64..).zip(lengths()).map(|(at, len)| [noise(at, len), noise(at + 1000, len)]).collect();
    let mut parameters: Vec<Vector<_>> = host.iter().map(|[p, _]| vector(&device, p)).collect();
    let mut momenta: Vec<_> = host.iter().map(|[_, m]| slot(&device, m)).collect();
    let step = Step { learning_rate: 3e-2, momentum: 0.9 };
    let (decay, rate) = (|at: usize| 0.05 * (at % 2) as f64, |at: usize| [1.0, 0.1][at / 2 % 2]);
    for round in 0..2 {
        let mut gradients = Gradients::leaky();
        for (at, ([p, m], parameter)) in host.iter_mut().zip(&parameters).enumerate() {
            let gradient = noise(at as u64 + 50 + round, p.len());
            device.storage_from_host(gradients.get_or_alloc_mut(parameter).unwrap(), &gradient).unwrap();
            let step = Step { learning_rate: step.learning_rate * rate(at), ..step };
            reference::step(&step, decay(at), &gradient, p, m);
        }
        let moved = parameters.iter_mut().zip(&mut momenta).enumerate().map(|(at, (parameter, momentum))| {
            ParameterUpdate { parameter, momentum, weight_decay: decay(at), rate: rate(at) }
        });
        device.sgd(&pool, &step, moved.collect(), &mut gradients).unwrap();
    }
    for (at, [p, m]) in host.iter().enumerate() {
        assert_close(&format!("values of parameter {at}"), &parameters[at].as_vec(), p, 1e-5);
        assert_close(&format!("momentum of {at}"), &device.storage_to_host(&momenta[at]).unwrap(), m, 1e-5);
    }
}

#[test]
fn gradients_are_clipped_to_a_norm_over_all_of_them() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    let host: Vec<Vec<f32>> = (0u64..).zip(lengths()).map(|(at, len)| noise(at, len)).collect();
    let parameters: Vec<Vector<_>> = host.iter().map(|values| vector(&device, values)).collect();
    let all: Vec<&Vector<_>> = parameters.iter().collect();
    let norm = host.iter().flatten().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    for (most, factor) in [(2.0 * norm, 1.0), (norm / 4.0, 0.25)] {
        let mut gradients = Gradients::leaky();
        for (parameter, values) in parameters.iter().zip(&host) {
            device.storage_from_host(gradients.get_or_alloc_mut(parameter).unwrap(), values).unwrap();
        }
        let found = clip_gradients(&device, &pool, &all, &mut gradients, most).unwrap();
        assert!((found / norm - 1.0).abs() < 1e-6, "a norm of {found} for {norm}");
        for (at, (parameter, values)) in parameters.iter().zip(&host).enumerate() {
            let expected: Vec<f32> = values.iter().map(|value| value * factor).collect();
            assert_close(&format!("gradient {at}"), &gradients.get(parameter).as_vec(), &expected, 1e-6);
        }
    }
}

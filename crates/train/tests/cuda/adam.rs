//! Adam's step over many parameters at once against the reference.

use crate::common::{assert_close, device, noise, pool, slot, vector};
use dfdx::tensor::Gradients;
use preprocess::pipeline::Precision;
use train::ops::adam::{AdamKernel, ParameterUpdate, Step, reference};
use train::tensor::memory::{Memory, Vector};

#[test]
fn equals_the_reference_for_more_parameters_than_a_launch_takes() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    // Less than a block's share, all of it, more; many of them.
    let lengths: Vec<usize> = [1, 1023, 1024, 1025, 5000].into_iter().chain((0..70).map(|at| 1 + at * 3)).collect();
    let mut host: Vec<[Vec<f32>; 3]> = (0u64..)
        .zip(&lengths)
        .map(|(at, &len)| {
            let second = noise(at + 2000, len).iter().map(|v| v.abs() * 1e-3).collect();
            [noise(at, len), noise(at + 1000, len), second]
        })
        .collect();
    let mut parameters: Vec<Vector<_>> = host.iter().map(|[p, _, _]| vector(&device, p)).collect();
    let mut firsts: Vec<_> = host.iter().map(|[_, m, _]| slot(&device, m)).collect();
    let mut seconds: Vec<_> = host.iter().map(|[_, _, v]| slot(&device, v)).collect();
    for count in [1, 2, 1000] {
        let step = Step { count, learning_rate: 3e-3, betas: [0.9, 0.999], epsilon: 1e-7 };
        let mut gradients = Gradients::leaky();
        let decay = |at: usize| if at % 2 == 1 { 0.05 } else { 0.0 };
        let rate = |at: usize| [1.0, 0.1][at / 2 % 2];
        for (at, (host, parameter)) in host.iter_mut().zip(&parameters).enumerate() {
            // One parameter has no gradient: as if that were zero.
            let gradient = if at == 3 { vec![0.0; host[0].len()] } else { noise(at as u64 + 50, host[0].len()) };
            if at != 3 {
                let slot = gradients.get_or_alloc_mut(parameter).unwrap();
                device.storage_from_host(slot, &gradient).unwrap();
            }
            let [p, m, v] = host;
            let step = Step { learning_rate: step.learning_rate * rate(at), ..step };
            reference::step(&step, decay(at), &gradient, p, m, v);
        }
        let moments = firsts.iter_mut().zip(&mut seconds).enumerate();
        let moved = parameters.iter_mut().zip(moments);
        let moved = moved.map(|(parameter, (at, (first, second)))| ParameterUpdate {
            parameter,
            first,
            second,
            weight_decay: decay(at),
            rate: rate(at),
        });
        device.adam(&pool, &step, moved.collect(), &mut gradients).unwrap();
        for (at, [p, m, v]) in host.iter().enumerate() {
            let what = |what: &str| format!("{what} of parameter {at} after step {count}");
            assert_close(&what("values"), &parameters[at].as_vec(), p, 1e-5);
            assert_close(&what("first moment"), &device.storage_to_host(&firsts[at]).unwrap(), m, 1e-5);
            assert_close(&what("second moment"), &device.storage_to_host(&seconds[at]).unwrap(), v, 1e-5);
        }
    }
}

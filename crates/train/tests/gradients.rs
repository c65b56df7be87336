//! Gradients of every op against finite differences, through the tape.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use dfdx::prelude::*;
use train::device::cpu::BufferPool;
use train::ops::activation::activate;
use train::ops::add::add;
use train::ops::batch_norm2d::{NormOptions, Parameters, batch_norm2d};
use train::ops::conv2d::{Options, Padding, conv2d};
use train::ops::global_avg_pool2d::global_avg_pool2d;
use train::ops::max_pool2d::{Window, max_pool2d};
use train::ops::{dense::dense, dropout::dropout, flatten::flatten};
use train::tensor::activation::Activation;
use train::tensor::feature_map::{FeatureMap, to_matrix};
use train::tensor::memory::Matrix;
use train::tensor::parameter::Parameter;
use train::tensor::pass::Pass;

type Run = dyn Fn(&FeatureMap<Cpu>, &mut [Parameter<Cpu>], &mut Pass<Cpu>) -> FeatureMap<Cpu>;

struct Case {
    name: &'static str,
    /// `[n, c, h, w]`.
    input: [usize; 4],
    /// Shapes of the parameters; the gradient by each is checked.
    parameters: &'static [&'static [usize]],
    run: Box<Run>,
}

fn cases() -> Vec<Case> {
    let grouped = |groups, stride, padding, activation, residual: bool| -> Box<Run> {
        Box::new(move |x, p, pass| {
            let residual = residual.then_some(x);
            let options = Options { stride, padding, groups, residual, activation, moments: false };
            let y = conv2d(x, &p[0], p.get(1), options, pass).unwrap();
            flatten(&y, pass).unwrap()
        })
    };
    let conv = |stride, padding, activation, residual| grouped(1, stride, padding, activation, residual);
    let norm = |activation, epsilon| -> Box<Run> {
        Box::new(move |x, p, pass| {
            let [weight, bias, running_mean, running_var] = p else { unreachable!("four parameters") };
            let options = NormOptions { activation, epsilon, momentum: 0.1 };
            let y = batch_norm2d(x, Parameters { weight, bias, running_mean, running_var }, options, pass).unwrap();
            flatten(&y, pass).unwrap()
        })
    };
    // An op on a map that is still to be normalised.
    let normed = |op: fn(&FeatureMap<Cpu>, &mut Pass<Cpu>) -> FeatureMap<Cpu>| -> Box<Run> {
        Box::new(move |x, p, pass| {
            let [weight, bias, running_mean, running_var] = p else { unreachable!("four parameters") };
            let options = NormOptions { activation: Activation::Relu, epsilon: 1e-3, momentum: 0.1 };
            let y = batch_norm2d(x, Parameters { weight, bias, running_mean, running_var }, options, pass).unwrap();
            flatten(&op(&y, pass), pass).unwrap()
        })
    };
    let pool = |window| -> Box<Run> {
        Box::new(move |x, _, pass| {
            let y = max_pool2d("pool", x, window, pass).unwrap();
            flatten(&y, pass).unwrap()
        })
    };
    let linear = |relu| -> Box<Run> {
        Box::new(move |x, p, pass| {
            let x = flatten(x, pass).unwrap();
            dense(&x, &p[0], &p[1], relu, pass).unwrap()
        })
    };
    vec![
        Case {
            name: "convolution",
            input: [2, 3, 5, 6],
            parameters: &[&[4, 3, 3, 3], &[4]],
            run: conv(1, Padding::Same, Activation::None, false),
        },
        Case {
            name: "stride 2",
            input: [1, 17, 6, 7],
            parameters: &[&[2, 17, 3, 3], &[2]],
            run: conv(2, Padding::Valid, Activation::None, false),
        },
        Case {
            name: "fused ReLU",
            input: [2, 3, 4, 4],
            parameters: &[&[5, 3, 3, 3], &[5]],
            run: conv(1, Padding::Valid, Activation::Relu, false),
        },
        Case {
            name: "residual",
            input: [2, 3, 4, 4],
            parameters: &[&[3, 3, 3, 3], &[3]],
            run: conv(1, Padding::Same, Activation::Relu, true),
        },
        Case {
            name: "batch norm",
            input: [3, 17, 2, 3],
            parameters: &[&[17], &[17], &[17], &[17]],
            run: norm(Activation::None, 1e-3),
        },
        Case {
            name: "batch norm, ReLU",
            input: [4, 3, 3, 3],
            parameters: &[&[3], &[3], &[3], &[3]],
            run: norm(Activation::Relu, 1e-3),
        },
        Case {
            name: "symmetric padding, stride 2, no bias",
            input: [2, 3, 6, 7],
            parameters: &[&[17, 3, 5, 5]],
            run: conv(2, Padding::Symmetric(2), Activation::None, false),
        },
        Case {
            name: "1x1 at stride 2, no bias",
            input: [2, 17, 5, 4],
            parameters: &[&[3, 17, 1, 1]],
            run: conv(2, Padding::Valid, Activation::None, false),
        },
        Case {
            name: "same padding at stride 2, ReLU6",
            input: [2, 3, 6, 5],
            parameters: &[&[4, 3, 3, 3], &[4]],
            run: conv(2, Padding::Same, Activation::Relu6, false),
        },
        Case {
            name: "residual, ReLU6, no bias",
            input: [2, 3, 4, 4],
            parameters: &[&[3, 3, 3, 3]],
            run: conv(1, Padding::Symmetric(1), Activation::Relu6, true),
        },
        Case {
            name: "depthwise",
            input: [2, 17, 6, 5],
            parameters: &[&[17, 1, 3, 3], &[17]],
            run: grouped(17, 1, Padding::Symmetric(1), Activation::Relu, false),
        },
        Case {
            name: "depthwise 5x5 at stride 2, no bias",
            input: [2, 17, 6, 7],
            parameters: &[&[17, 1, 5, 5]],
            run: grouped(17, 2, Padding::Same, Activation::None, false),
        },
        Case {
            name: "three groups",
            input: [2, 6, 5, 4],
            parameters: &[&[9, 2, 3, 3], &[9]],
            run: grouped(3, 1, Padding::Same, Activation::None, false),
        },
        Case {
            name: "batch norm, ReLU6, small epsilon",
            input: [4, 3, 3, 3],
            parameters: &[&[3], &[3], &[3], &[3]],
            run: norm(Activation::Relu6, 1e-5),
        },
        Case { name: "max pooling", input: [2, 3, 5, 4], parameters: &[], run: pool(Window::HALVING) },
        Case {
            name: "max pooling, overlapping windows",
            input: [2, 17, 5, 6],
            parameters: &[],
            run: pool(Window { size: 3, stride: 2, padding: 1 }),
        },
        Case {
            name: "global average pooling",
            input: [2, 17, 5, 6],
            parameters: &[],
            run: Box::new(|x, _, pass| global_avg_pool2d("mean", x, pass).unwrap()),
        },
        Case {
            name: "max pooling of a normalised map",
            input: [3, 17, 4, 5],
            parameters: &[&[17], &[17], &[17], &[17]],
            run: normed(|x, pass| max_pool2d("pool", x, Window { size: 3, stride: 2, padding: 1 }, pass).unwrap()),
        },
        Case {
            name: "global average pooling of a normalised map",
            input: [3, 17, 3, 4],
            parameters: &[&[17], &[17], &[17], &[17]],
            run: normed(|x, pass| global_avg_pool2d("mean", x, pass).unwrap()),
        },
        Case {
            name: "activation by itself",
            input: [2, 3, 4, 4],
            parameters: &[],
            run: Box::new(|x, _, pass| {
                let y = activate("relu", x, Activation::Relu, pass).unwrap();
                flatten(&y, pass).unwrap()
            }),
        },
        Case {
            name: "sum of a normalised map and the map itself",
            input: [4, 3, 3, 3],
            parameters: &[&[3], &[3], &[3], &[3]],
            run: Box::new(|x, p, pass| {
                let [weight, bias, running_mean, running_var] = p else { unreachable!("four parameters") };
                let options = NormOptions { activation: Activation::None, epsilon: 1e-3, momentum: 0.1 };
                let y = batch_norm2d(x, Parameters { weight, bias, running_mean, running_var }, options, pass).unwrap();
                let sum = add("sum", &y, x, Activation::Relu, pass).unwrap();
                let twice = add("twice", &sum, &sum, Activation::None, pass).unwrap();
                flatten(&twice, pass).unwrap()
            }),
        },
        Case { name: "dense", input: [5, 3, 2, 3], parameters: &[&[7, 18], &[7]], run: linear(false) },
        Case { name: "dense, ReLU", input: [5, 3, 2, 3], parameters: &[&[7, 18], &[7]], run: linear(true) },
        Case {
            name: "dropout",
            input: [4, 2, 3, 3],
            parameters: &[],
            run: Box::new(|x, _, pass| {
                let x = flatten(x, pass).unwrap();
                dropout("dropout", x, 0.4, pass).unwrap()
            }),
        },
        Case {
            name: "two readers",
            input: [2, 3, 4, 4],
            parameters: &[&[3, 3, 1, 1], &[3]],
            run: Box::new(|x, p, pass| {
                let (padding, activation) = (Padding::Valid, Activation::None);
                let plain = |residual| Options { stride: 1, padding, groups: 1, residual, activation, moments: false };
                let first = conv2d(x, &p[0], p.get(1), plain(Some(x)), pass).unwrap();
                let second = conv2d(&first, &p[0], p.get(1), plain(Some(x)), pass).unwrap();
                flatten(&second, pass).unwrap()
            }),
        },
    ]
}

fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Everything that the output depends on: the input, then the parameters.
fn evaluate(case: &Case, values: &[Vec<f32>]) -> (f64, Vec<Vec<f32>>) {
    let (device, pool) = (Cpu::default(), BufferPool::default());
    let parameter = |(at, shape): (usize, &&[usize])| {
        Parameter::new(format!("p{at}"), shape, values[at + 1].clone(), true, &device)
    };
    let mut parameters: Vec<_> = case.parameters.iter().enumerate().map(|p| parameter(p).unwrap()).collect();
    let mut pass = Pass::train(&device, &pool, 3, 4);
    let x = FeatureMap::from_nchw(&values[0], case.input, &pass).unwrap();
    let y = (case.run)(&x, &mut parameters, &mut pass);
    let y: Matrix<Cpu> = to_matrix(&y, &mut pass).unwrap();
    let factors = noise(99, y.shape().num_elements());
    let sum = y.as_vec().iter().zip(&factors).map(|(y, f)| f64::from(*y) * f64::from(*f)).sum();
    let factors = device.tensor_from_vec(factors, *y.shape());
    let mut gradients = (y.put_tape(pass.take_tape()) * factors).sum::<(), _>().backward();
    let mut all = vec![x.gradient_to_nchw(&device).unwrap().expect("the input's gradient")];
    for parameter in &parameters {
        gradients.get_or_alloc_mut(&parameter.tensor).unwrap();
        all.push(gradients.get(&parameter.tensor).as_vec());
    }
    (sum, all)
}

/// Moves each input and parameter a little in a random direction, forth and back: the change of the sum must be the
/// gradient times the direction.
#[test]
fn gradients_are_slopes() {
    for case in cases() {
        let lens = std::iter::once(case.input.iter().product())
            .chain(case.parameters.iter().map(|shape| shape.iter().product()));
        let values: Vec<Vec<f32>> = lens.enumerate().map(|(seed, len)| noise(seed as u64 + 1, len)).collect();
        let (_, gradients) = evaluate(&case, &values);
        let differentiable = if case.parameters.len() == 4 { 3 } else { values.len() };
        for which in 0..differentiable {
            let direction = noise(50 + which as u64, values[which].len());
            // Small enough to stay on one side of every kink, for these seeds.
            let step = 1e-3;
            let moved = |factor: f32| {
                let mut values = values.clone();
                values[which].iter_mut().zip(&direction).for_each(|(v, d)| *v += factor * d);
                evaluate(&case, &values).0
            };
            let slope = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
            let product = |(g, d): (&f32, &f32)| f64::from(*g) * f64::from(*d);
            let expected: f64 = gradients[which].iter().zip(&direction).map(product).sum();
            let scale = gradients[which].iter().zip(&direction).map(|p| product(p).abs()).sum::<f64>();
            assert!(
                (slope - expected).abs() < 2e-3 * scale,
                "{}, input {which}: slope {slope}, gradient {expected}",
                case.name
            );
        }
    }
}

//! Single ops and their gradients against PyTorch's (`fixtures/pytorch_ops.py`, in double precision).

#![allow(clippy::unwrap_used, clippy::expect_used)]

use dfdx::prelude::*;
use safetensors::SafeTensors;
use train::ops::Backend;
use train::ops::add::add;
use train::ops::batch_norm2d::{NormOptions, Parameters, batch_norm2d};
use train::ops::conv2d::{Options, Padding, conv2d};
use train::ops::flatten::flatten;
use train::ops::global_avg_pool2d::global_avg_pool2d;
use train::ops::max_pool2d::{Window, max_pool2d};
use train::tensor::activation::Activation;
use train::tensor::feature_map::{FeatureMap, to_matrix};
use train::tensor::memory::Memory;
use train::tensor::parameter::Parameter;
use train::tensor::pass::Pass;

const FIXTURE: &[u8] = include_bytes!("fixtures/pytorch_ops.safetensors");

/// Of the largest value.
const TOLERANCE: f32 = 2e-5;

/// What is done in a case.
enum Kind {
    Conv {
        stride: usize,
        padding: Padding,
        groups: usize,
        activation: Activation,
    },
    Norm {
        activation: Activation,
        momentum: f64,
    },
    Pool(Window),
    Mean,
    /// Of a 1x1 convolution and its input.
    Add,
}

const fn conv(stride: usize, padding: Padding, groups: usize) -> Kind {
    Kind::Conv { stride, padding, groups, activation: Activation::None }
}

const CASES: [(&str, Kind); 13] = [
    ("conv 7x7 stride 2", conv(2, Padding::Symmetric(3), 1)),
    ("conv 3x3 stride 2", conv(2, Padding::Symmetric(1), 1)),
    ("conv 1x1 stride 2", conv(2, Padding::Valid, 1)),
    (
        "conv 3x3 same stride 2, ReLU6",
        Kind::Conv { stride: 2, padding: Padding::Same, groups: 1, activation: Activation::Relu6 },
    ),
    ("depthwise 3x3", conv(1, Padding::Symmetric(1), 18)),
    ("depthwise 5x5 same stride 2", conv(2, Padding::Same, 5)),
    ("depthwise 7x7", conv(1, Padding::Symmetric(3), 17)),
    ("three groups", conv(1, Padding::Symmetric(1), 3)),
    ("batch norm, ReLU6", Kind::Norm { activation: Activation::Relu6, momentum: 0.3 }),
    ("batch norm", Kind::Norm { activation: Activation::None, momentum: 0.1 }),
    ("max pooling 3x3 stride 2", Kind::Pool(Window { size: 3, stride: 2, padding: 1 })),
    ("global average pooling", Kind::Mean),
    ("addition, ReLU", Kind::Add),
];

#[test]
fn ops_are_pytorchs() {
    let device = Cpu::default();
    ops_are_pytorchs_on(&device, &device.pool().unwrap());
}

/// The CUDA tests ask for the same on a GPU.
pub fn ops_are_pytorchs_on<B: Backend>(device: &B, pool: &B::Pool) {
    let fixture = Fixture(SafeTensors::deserialize(FIXTURE).unwrap());
    for (name, kind) in &CASES {
        let file = |part: &str| format!("{name}/{part}");
        let mut parameters: Vec<Parameter<B>> = Vec::new();
        while let Some((shape, values)) = fixture.get(&file(&format!("p{}", parameters.len()))) {
            let parameter = Parameter::new(format!("p{}", parameters.len()), &shape, values, true, device);
            parameters.push(parameter.unwrap());
        }
        let (shape, x) = fixture.get(&file("x")).unwrap();
        let mut pass = Pass::train(device, pool, 0, 0);
        let x = FeatureMap::from_nchw(&x, shape.try_into().unwrap(), &pass).unwrap();
        let mut moving = [0.5, 2.0].map(|start| {
            let channels = x.shape()[1];
            Parameter::new("moving".into(), &[channels], vec![start; channels], false, device).unwrap()
        });
        let y = run(kind, &x, &parameters, &mut moving, &mut pass);
        fixture.assert_close(&file("y"), &y.to_nchw(device).unwrap());

        let matrix = to_matrix(&flatten(&y, &mut pass).unwrap(), &mut pass).unwrap();
        let (_, dy) = fixture.get(&file("dy")).unwrap();
        let dy = device.tensor_from_vec(dy, *matrix.shape());
        let gradients = (matrix.put_tape(pass.take_tape()) * dy).sum::<(), _>().backward();
        fixture.assert_close(&file("dx"), &x.gradient_to_nchw(device).unwrap().unwrap());
        for parameter in &parameters {
            fixture.assert_close(&file(&format!("d{}", parameter.name)), &gradients.get(&parameter.tensor).as_vec());
        }
        if let Kind::Norm { .. } = kind {
            fixture.assert_close(&file("mean"), &moving[0].values());
            fixture.assert_close(&file("variance"), &moving[1].values());
        }
    }
}

fn run<B: Backend>(
    kind: &Kind,
    x: &FeatureMap<B>,
    p: &[Parameter<B>],
    [running_mean, running_var]: &mut [Parameter<B>; 2],
    pass: &mut Pass<B>,
) -> FeatureMap<B> {
    match *kind {
        Kind::Conv { stride, padding, groups, activation } => {
            let options = Options { stride, padding, groups, residual: None, activation, moments: false };
            conv2d(x, &p[0], p.get(1), options, pass).unwrap()
        }
        Kind::Norm { activation, momentum } => {
            let options = NormOptions { activation, epsilon: 1e-5, momentum };
            let parameters = Parameters { weight: &p[0], bias: &p[1], running_mean, running_var };
            batch_norm2d(x, parameters, options, pass).unwrap()
        }
        Kind::Pool(window) => max_pool2d("pool", x, window, pass).unwrap(),
        Kind::Mean => global_avg_pool2d("mean", x, pass).unwrap(),
        Kind::Add => {
            let (padding, activation) = (Padding::Valid, Activation::None);
            let options = Options { stride: 1, padding, groups: 1, residual: None, activation, moments: false };
            let branch = conv2d(x, &p[0], None, options, pass).unwrap();
            add("add", &branch, x, Activation::Relu, pass).unwrap()
        }
    }
}

struct Fixture<'a>(SafeTensors<'a>);

impl Fixture<'_> {
    fn get(&self, name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
        let tensor = self.0.tensor(name).ok()?;
        let floats = tensor.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        Some((tensor.shape().to_vec(), floats.collect()))
    }

    fn assert_close(&self, what: &str, actual: &[f32]) {
        let (_, expected) = self.get(what).unwrap_or_else(|| panic!("{what} is not in the fixture"));
        assert_eq!(actual.len(), expected.len(), "{what}");
        let scale = expected.iter().fold(0.0f32, |largest, v| largest.max(v.abs()));
        for (at, (a, e)) in actual.iter().zip(&expected).enumerate() {
            assert!((a - e).abs() <= TOLERANCE * scale, "{what}: {a} instead of {e} at {at}, largest {scale}");
        }
    }
}

//! One training step of a small network that uses every op, against the same step computed by PyTorch in double precision
//! (`fixtures/pytorch_step.py`): logits, loss, every gradient, every parameter after a step of Adam, the moving statistics,
//! and the logits in inference.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use dfdx::tensor::Cpu;
use dfdx::tensor_ops::Backward;
use safetensors::SafeTensors;
use train::model::input::images_to_feature_map;
use train::model::score::Score;
use train::network::layers::{Builder, Conv2d, ConvShape, Dense, Layer, ResidualUnit};
use train::ops::Backend;
use train::ops::conv2d::Padding;
use train::ops::cross_entropy::cross_entropy;
use train::ops::{flatten::flatten, max_pool2d::max_pool2d};
use train::tensor::feature_map::FeatureMap;
use train::tensor::memory::Memory;
use train::tensor::parameter::Parameter;
use train::tensor::pass::Pass;
use train::training::optimizer::Adam;

const FIXTURE: &[u8] = include_bytes!("fixtures/pytorch_step.safetensors");
const N: usize = 5;
const H: usize = 23;
const W: usize = 26;
const CLASSES: usize = 3;

struct Small<B: Backend> {
    conv1: Conv2d<B>,
    unit1: ResidualUnit<B>,
    conv2: Conv2d<B>,
    unit2: ResidualUnit<B>,
    dense1: Dense<B>,
    dense2: Dense<B>,
}

impl<B: Backend> Small<B> {
    fn new(device: &B) -> preprocess::Result<Self> {
        let builder = Builder { seed: 0, device, most_values: usize::MAX };
        let halving = ConvShape { inputs: 5, outputs: 5, kernel: 3, stride: 2, padding: Padding::Valid };
        Ok(Self {
            conv1: Conv2d::new("conv1", ConvShape::three(3, 5, Padding::Same), [3, H, W], &builder)?,
            unit1: ResidualUnit::new("unit1", [5, 11, 13], &builder)?,
            conv2: Conv2d::new("conv2", halving, [5, 11, 13], &builder)?,
            unit2: ResidualUnit::changing_filters("unit2", [5, 5, 6], 18, &builder)?,
            dense1: Dense::new("dense1", 18 * 5 * 6, 6, &builder)?,
            dense2: Dense::new("dense2", 6, CLASSES, &builder)?,
        })
    }

    fn forward(&mut self, images: &[u8], pass: &mut Pass<B>) -> preprocess::Result<FeatureMap<B>> {
        let x = images_to_feature_map(images, N, H, W, pass)?;
        let x = self.conv1.forward_relu(&x, pass)?;
        let x = max_pool2d("pool", &x, pass)?;
        let x = self.unit1.forward(&x, pass)?;
        let x = self.conv2.forward(&x, pass)?;
        let x = self.unit2.forward(&x, pass)?;
        let x = flatten(&x, pass)?;
        let x = self.dense1.forward_relu(&x, pass)?;
        self.dense2.forward(&x, pass)
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter<B>> {
        let layers: [&mut dyn Layer<B>; 6] =
            [&mut self.conv1, &mut self.unit1, &mut self.conv2, &mut self.unit2, &mut self.dense1, &mut self.dense2];
        layers.into_iter().flat_map(Layer::parameters_mut).collect()
    }
}

struct Fixture<'a>(SafeTensors<'a>);

impl Fixture<'_> {
    fn floats(&self, name: &str) -> Vec<f32> {
        let tensor = self.0.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        tensor.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    }
}

fn assert_close(what: &str, actual: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0.0f32, |largest, v| largest.max(v.abs()));
    for (at, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((a - e).abs() <= tolerance * scale, "{what}: {a} instead of {e} at {at}, largest {scale}");
    }
}

#[test]
fn a_step_is_pytorchs() {
    let device = Cpu::default();
    a_step_is_pytorchs_on(&device, &device.pool().unwrap());
}

/// The CUDA tests ask for the same on a GPU.
pub fn a_step_is_pytorchs_on<B: Backend>(device: &B, pool: &B::Pool) {
    let fixture = Fixture(SafeTensors::deserialize(FIXTURE).unwrap());
    let mut network = Small::new(device).unwrap();
    for parameter in network.parameters_mut() {
        parameter.set_values(&fixture.floats(&format!("before.{}", parameter.name))).unwrap();
    }
    let images = fixture.0.tensor("images").unwrap().data().to_vec();
    let labels = fixture.0.tensor("labels").unwrap().data().to_vec();
    // 64-bit integers, least significant byte first.
    let labels: Vec<usize> = labels.iter().step_by(8).map(|&label| label.into()).collect();

    let mut pass = Pass::train(device, pool, 0, 0);
    let logits = network.forward(&images, &mut pass).unwrap();
    let on_host = logits.to_nchw(device).unwrap();
    assert_close("logits", &on_host, &fixture.floats("logits"), 1e-5);
    let mut score = Score::default();
    score.add(&on_host, &labels);
    assert_close("loss", &[score.loss() as f32], &fixture.floats("loss"), 1e-6);

    let loss = cross_entropy(&logits, &labels, 0.0, &mut pass).unwrap();
    let mut gradients = loss.backward();
    for parameter in network.parameters_mut().into_iter().filter(|p| p.trainable) {
        let gradient = gradients.get(&parameter.tensor).as_vec();
        // A bias in front of a batch normalisation has no effect: its gradient is nothing but rounding.
        let vanishes = parameter.name == "unit1.conv1.bias" || parameter.name == "unit2.conv1.bias";
        match vanishes {
            true => assert!(gradient.iter().all(|g| g.abs() < 1e-6), "{}: {gradient:?}", parameter.name),
            false => {
                assert_close(&parameter.name, &gradient, &fixture.floats(&format!("gradient.{}", parameter.name)), 2e-5)
            }
        }
    }

    let parameters = network.parameters_mut();
    let mut adam = Adam::new(1e-3, &parameters.iter().map(|p| &**p).collect::<Vec<_>>(), device).unwrap();
    adam.update(parameters, &mut gradients).unwrap();
    for parameter in network.parameters_mut() {
        let (before, after) = (format!("before.{}", parameter.name), format!("after.{}", parameter.name));
        let moved = |now: &[f32]| now.iter().zip(fixture.floats(&before)).map(|(a, b)| a - b).collect::<Vec<_>>();
        // Adam's first step is the gradient's sign wherever that is not tiny: compare how far values moved.
        if !parameter.name.ends_with("conv1.bias") || parameter.name == "conv1.bias" {
            assert_close(&after, &moved(&parameter.values()), &moved(&fixture.floats(&after)), 2e-2);
        }
    }
    for parameter in
        network.parameters_mut().into_iter().filter(|p| p.name.contains("unit") && p.name.ends_with("conv1.bias"))
    {
        parameter.set_values(&fixture.floats(&format!("after.{}", parameter.name))).unwrap();
    }
    let logits = network.forward(&images, &mut Pass::infer(device, pool)).unwrap();
    assert_close("inference", &logits.to_nchw(device).unwrap(), &fixture.floats("inference"), 1e-4);
}

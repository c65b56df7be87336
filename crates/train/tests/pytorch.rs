//! One training step of a small network that uses every op, against the same step computed by PyTorch in double
//! precision (`fixtures/pytorch_step.py`): logits, loss, every gradient, every parameter after a step of Adam, the
//! moving statistics, and the logits in inference.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use dfdx::tensor::Cpu;
use dfdx::tensor_ops::Backward;
use safetensors::SafeTensors;
use train::model::input::images_to_feature_map;
use train::model::score::Score;
use train::network::Network;
use train::network::builder::GraphBuilder;
use train::network::graph::{Conv, Graph, NodeId, Norm};
use train::network::initialization::Initialization;
use train::ops::Backend;
use train::ops::conv2d::Padding;
use train::ops::cross_entropy::{Targets, cross_entropy};
use train::ops::max_pool2d::Window;
use train::tensor::memory::Memory;
use train::tensor::pass::Pass;
use train::tensor::standardization::Standardization;
use train::training::optimizer::Optimizer;

const FIXTURE: &[u8] = include_bytes!("fixtures/pytorch_step.safetensors");
const N: usize = 5;
const H: usize = 23;
const W: usize = 26;
const CLASSES: usize = 3;

/// The network of the script.
fn small() -> preprocess::Result<Graph> {
    let (mut network, x) = GraphBuilder::new("small", [3, H, W], Initialization::Keras);
    let x = network.conv("conv1", x, Conv::new(5, 3, Padding::Same))?;
    let x = network.relu(x);
    let x = network.max_pool("pool", x, Window::HALVING)?;
    let x = unit(&mut network, "unit1", x, [5, 5])?;
    let x = network.conv("conv2", x, Conv::new(5, 3, Padding::Valid).stride(2))?;
    let x = unit(&mut network, "unit2", x, [5, 18])?;
    let x = network.flatten(x)?;
    let x = network.dense("dense1", x, 6)?;
    let x = network.relu(x);
    network.dense("dense2", x, CLASSES)?;
    Ok(network.finish())
}

fn unit(
    network: &mut GraphBuilder,
    name: &str,
    x: NodeId,
    [channels, filters]: [usize; 2],
) -> preprocess::Result<NodeId> {
    let part = |part: &str| format!("{name}.{part}");
    let norm = Norm { epsilon: 1e-3, momentum: 0.1 };
    let mut shortcut = x;
    if channels != filters {
        shortcut = network.conv(part("shortcut"), x, Conv::new(filters, 1, Padding::Valid))?;
    }
    let mut branch = x;
    for (number, filters) in [(1, channels), (2, filters)] {
        branch = network.batch_norm(part(&format!("bn{number}")), branch, norm)?;
        branch = network.relu(branch);
        branch = network.conv(part(&format!("conv{number}")), branch, Conv::new(filters, 3, Padding::Same))?;
    }
    network.add(part("add"), branch, shortcut)
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
    let mut network = Network::new(small().unwrap(), 0, usize::MAX, device).unwrap();
    for parameter in network.parameters_mut() {
        parameter.set_values(&fixture.floats(&format!("before.{}", parameter.name))).unwrap();
    }
    let images = fixture.0.tensor("images").unwrap().data().to_vec();
    let labels = fixture.0.tensor("labels").unwrap().data().to_vec();
    // 64-bit integers, least significant byte first.
    let labels: Vec<usize> = labels.iter().step_by(8).map(|&label| label.into()).collect();

    let mut pass = Pass::train(device, pool, 0, 0);
    let input = |pass: &Pass<B>| images_to_feature_map(&images, N, H, W, Standardization::default(), pass).unwrap();
    let logits = network.forward(input(&pass), &mut pass).unwrap();
    let on_host = logits.to_nchw(device).unwrap();
    assert_close("logits", &on_host, &fixture.floats("logits"), 1e-5);
    let mut score = Score::default();
    score.add(&on_host, &labels);
    assert_close("loss", &[score.loss() as f32], &fixture.floats("loss"), 1e-6);

    let (loss, _) = cross_entropy(&logits, &Targets::new(&labels, 0.0), &mut pass).unwrap();
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
    let mut adam = Optimizer::adam(1e-3, &parameters.iter().map(|p| &**p).collect::<Vec<_>>(), device).unwrap();
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
    for (what, network) in [("folded", &mut network.for_inference(device).unwrap()), ("inference", &mut network)] {
        let mut pass = Pass::infer(device, pool);
        let logits = network.forward(input(&pass), &mut pass).unwrap();
        assert_close(what, &logits.to_nchw(device).unwrap(), &fixture.floats("inference"), 1e-4);
    }
}

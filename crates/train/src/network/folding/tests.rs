use crate::model::input::images_to_feature_map;
use crate::network::Network;
use crate::network::architectures::graph;
use crate::network::graph::Layer;
use crate::ops::testing::noise;
use crate::tensor::memory::Memory;
use crate::tensor::pass::Pass;
use crate::tensor::standardization::Standardization;
use dfdx::tensor::Cpu;
use preprocess::pipeline::Architecture;

const SIDE: usize = 40;
const IMAGES: usize = 3;

/// A network whose normalisations do something.
fn network(architecture: Architecture, device: &Cpu) -> Network<Cpu> {
    let graph = graph(architecture, 4, [SIDE, SIDE]).unwrap();
    let mut network = Network::new(graph, 1, usize::MAX, device).unwrap();
    for (parameter, seed) in network.parameters_mut().into_iter().zip(1..) {
        if parameter.shape.len() == 1 {
            let around = if parameter.name.ends_with("weight") || parameter.name.ends_with("var") { 1.0 } else { 0.0 };
            let values: Vec<f32> = noise(seed, parameter.len()).iter().map(|v| around + 0.3 * v).collect();
            parameter.set_values(&values).unwrap();
        }
    }
    network
}

fn logits(network: &mut Network<Cpu>, device: &Cpu) -> Vec<f32> {
    let pixels: Vec<u8> = (0..IMAGES * SIDE * SIDE * 3).map(|at| ((at * 2_654_435_761) >> 13) as u8).collect();
    let mut pass = Pass::infer(device, &device.pool().unwrap());
    let images = images_to_feature_map(&pixels, IMAGES, SIDE, SIDE, Standardization::default(), &pass).unwrap();
    network.forward(images, &mut pass).unwrap().to_nchw(device).unwrap()
}

#[test]
fn a_folded_network_is_the_same_function() {
    let device = Cpu::default();
    // Of the pre-activation ResNet only the second normalisation of each unit follows a convolution that nothing else
    // reads.
    for (architecture, norms_left) in [
        (Architecture::BaselineCnn, 0),
        (Architecture::Resnet, 2),
        (Architecture::Resnet18, 0),
        (Architecture::Resnet50, 0),
    ] {
        let mut network = network(architecture, &device);
        let mut folded = network.for_inference(&device).unwrap();
        let norms = |network: &Network<Cpu>| {
            network.graph().nodes().iter().filter(|node| matches!(node.layer, Layer::BatchNorm2d(_))).count()
        };
        assert_eq!(norms(&folded), norms_left, "{architecture:?}");
        let (expected, actual) = (logits(&mut network, &device), logits(&mut folded, &device));
        let scale = expected.iter().fold(0.0f32, |largest, v| largest.max(v.abs()));
        let error = expected.iter().zip(&actual).fold(0.0f32, |error, (e, a)| error.max((e - a).abs()));
        assert!(error <= 1e-5 * scale, "{architecture:?}: {error} of {scale}");
    }
}

#[test]
fn the_original_is_as_it_was() {
    let device = Cpu::default();
    let mut network = network(Architecture::Resnet18, &device);
    let before = logits(&mut network, &device);
    drop(network.for_inference(&device).unwrap());
    assert_eq!(logits(&mut network, &device), before);
}

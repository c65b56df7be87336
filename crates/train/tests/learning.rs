//! Whole networks on the tape: they learn, and the same seed gives the same weights to the last bit on any number of
//! threads.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use dfdx::tensor::{AsArray, Cpu};
use dfdx::tensor_ops::Backward;
use preprocess::pipeline::Architecture;
use train::device::cpu::BufferPool;
use train::model::input::images_to_feature_map;
use train::network::Network;
use train::network::architectures::graph;
use train::network::builder::GraphBuilder;
use train::network::graph::{Conv, Graph, Norm};
use train::network::initialization::Initialization;
use train::ops::conv2d::Padding;
use train::ops::cross_entropy::{Targets, cross_entropy};
use train::ops::max_pool2d::Window;
use train::tensor::activation::Activation;
use train::tensor::pass::Pass;
use train::tensor::standardization::Standardization;
use train::training::optimizer::Optimizer;

const CLASSES: usize = 3;
const IMAGES: usize = 6;
const SIDE: usize = 24;

/// Images whose brightest colour is their class.
fn batch() -> (Vec<u8>, Vec<usize>) {
    let value = |at: usize| {
        let (image, pixel, channel) = (at / (SIDE * SIDE * 3), at / 3, at % 3);
        let texture = (pixel * 37 + image * 11) % 61;
        (if channel == image % CLASSES { 150 + texture } else { 40 + texture }) as u8
    };
    let labels = (0..IMAGES).map(|image| image % CLASSES);
    ((0..IMAGES * SIDE * SIDE * 3).map(value).collect(), labels.collect())
}

/// A small network of the kind of MobileNets: a stem, a depthwise and a pointwise convolution with a shortcut, the mean over all pixels.
fn mobile() -> Graph {
    let norm = Norm { epsilon: 1e-5, momentum: 0.1 };
    let (mut network, x) = GraphBuilder::new("mobile", [3, SIDE, SIDE], Initialization::Torchvision);
    network.standardize(Standardization::IMAGENET);
    let layer = |network: &mut GraphBuilder, name: &str, x, conv: Conv| {
        let x = network.conv(format!("{name}.conv"), x, conv.unbiased()).unwrap();
        network.batch_norm(format!("{name}.bn"), x, norm).unwrap()
    };
    let stem = layer(&mut network, "stem", x, Conv::new(17, 3, Padding::Same).stride(2));
    let stem = network.activation(stem, Activation::Relu6);
    let x = layer(&mut network, "depthwise", stem, Conv::new(17, 5, Padding::Symmetric(2)).depthwise());
    let x = network.activation(x, Activation::Relu6);
    let x = layer(&mut network, "pointwise", x, Conv::new(17, 1, Padding::Valid));
    let x = network.add("add", x, stem).unwrap();
    let x = network.max_pool("pool", x, Window { size: 3, stride: 2, padding: 1 }).unwrap();
    let x = network.global_avg_pool("mean", x).unwrap();
    network.dense("classifier", x, CLASSES).unwrap();
    network.finish()
}

/// Losses of each step, then all parameters.
fn train(graph: &Graph, steps: u64) -> (Vec<f32>, Vec<Vec<f32>>) {
    let (device, pool) = (Cpu::default(), BufferPool::default());
    let mut network = Network::new(graph.clone(), 5, usize::MAX, &device).unwrap();
    let mut adam = Optimizer::adam(1e-3, &network.parameters(), &device).unwrap();
    let (images, labels) = batch();
    let losses = (0..steps).map(|step| {
        let mut pass = Pass::train(&device, &pool, 5, step);
        let x = images_to_feature_map(&images, IMAGES, SIDE, SIDE, network.graph().standardization(), &pass).unwrap();
        let logits = network.forward(x, &mut pass).unwrap();
        assert_eq!(logits.shape(), [IMAGES, CLASSES, 1, 1]);
        let (loss, _) = cross_entropy(&logits, &Targets::new(&labels, 0.0), &mut pass).unwrap();
        let value = loss.array();
        let mut gradients = loss.backward();
        adam.update(network.parameters_mut(), &mut gradients).unwrap();
        value
    });
    (losses.collect(), network.parameters().iter().map(|p| p.values()).collect())
}

#[test]
fn networks_learn_and_repeat_themselves() {
    let of = |architecture: Architecture| (architecture.name(), graph(architecture, CLASSES, [SIDE, SIDE]).unwrap());
    let own = ("depthwise", mobile());
    for (name, graph) in [of(Architecture::BaselineCnn), of(Architecture::Resnet), own] {
        // A classifier without pooling to features learns faster.
        let (steps, part) = if name == "depthwise" { (60, 0.6) } else { (12, 0.5) };
        let (losses, weights) = train(&graph, steps);
        assert!(losses[losses.len() - 1] < part * losses[0], "{name}: {losses:?}");
        let again = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| train(&graph, steps))
        };
        let first = (losses, weights);
        for threads in [1, 3] {
            assert!(first == again(threads), "{name} differs on {threads} threads");
        }
    }
}

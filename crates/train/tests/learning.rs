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
use train::ops::cross_entropy::cross_entropy;
use train::tensor::pass::Pass;
use train::training::optimizer::Adam;

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

/// Losses of each step, then all parameters.
fn train(architecture: Architecture, steps: u64) -> (Vec<f32>, Vec<Vec<f32>>) {
    let (device, pool) = (Cpu::default(), BufferPool::default());
    let graph = graph(architecture, CLASSES, [SIDE, SIDE]).unwrap();
    let mut network = Network::new(graph, 5, usize::MAX, &device).unwrap();
    let mut adam = Adam::new(1e-3, &network.parameters(), &device).unwrap();
    let (images, labels) = batch();
    let losses = (0..steps).map(|step| {
        let mut pass = Pass::train(&device, &pool, 5, step);
        let x = images_to_feature_map(&images, IMAGES, SIDE, SIDE, network.graph().standardization(), &pass).unwrap();
        let logits = network.forward(x, &mut pass).unwrap();
        assert_eq!(logits.shape(), [IMAGES, CLASSES, 1, 1]);
        let (loss, _) = cross_entropy(&logits, &labels, 0.0, &mut pass).unwrap();
        let value = loss.array();
        let mut gradients = loss.backward();
        adam.update(network.parameters_mut(), &mut gradients).unwrap();
        value
    });
    (losses.collect(), network.parameters().iter().map(|p| p.values()).collect())
}

#[test]
fn both_architectures_learn_and_repeat_themselves() {
    for architecture in [Architecture::BaselineCnn, Architecture::Resnet] {
        let (losses, weights) = train(architecture, 12);
        assert!(losses[11] < 0.5 * losses[0], "{architecture:?}: {losses:?}");
        let again = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| train(architecture, 12))
        };
        let first = (losses, weights);
        for threads in [1, 3] {
            assert!(first == again(threads), "{architecture:?} differs on {threads} threads");
        }
    }
}

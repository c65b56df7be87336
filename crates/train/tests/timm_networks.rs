//! The networks that timm has too against timm's own (`fixtures/timm_networks.py`, in double precision): names and shapes of the
//! parameters, logits in inference and in training, and the gradients of one training step.
//!
//! `TIMM_WEIGHTS=DIR` takes instead what `timm_networks.py --full DIR` wrote: the same with timm's own random weights.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use dfdx::tensor::Cpu;
use dfdx::tensor_ops::Backward;
use preprocess::pipeline::Architecture;
use safetensors::SafeTensors;
use std::path::PathBuf;
use train::model::input::images_to_feature_map;
use train::network::Network;
use train::network::architectures::graph;
use train::ops::Backend;
use train::ops::cross_entropy::{Targets, cross_entropy};
use train::tensor::memory::Memory;
use train::tensor::pass::Pass;

const FIXTURE: &[u8] = include_bytes!("fixtures/timm_networks.safetensors");

/// Of the largest magnitude of what is compared.
const TOLERANCE: f32 = 1e-4;

struct Case {
    architecture: Architecture,
    model: &'static str,
    images: usize,
    height: usize,
    width: usize,
    classes: usize,
}

const fn case(architecture: Architecture, model: &'static str, [images, height, width, classes]: [usize; 4]) -> Case {
    Case { architecture, model, images, height, width, classes }
}

const CASES: [Case; 6] = [
    case(Architecture::Resnet18, "resnet18", [8, 32, 32, 3]),
    case(Architecture::Resnet18, "resnet18", [4, 64, 72, 7]),
    case(Architecture::Resnet34, "resnet34", [6, 40, 40, 5]),
    case(Architecture::Resnet50, "resnet50", [12, 32, 32, 6]),
    case(Architecture::EfficientnetLite0, "tf_efficientnet_lite0", [8, 33, 40, 3]),
    case(Architecture::Mobilenetv4ConvSmall, "mobilenetv4_conv_small", [8, 48, 33, 4]),
];

/// Where the fixture comes from.
enum Source {
    Formula,
    Directory(PathBuf),
}

impl Source {
    fn weights(&self, name: &str) -> Option<Vec<u8>> {
        match self {
            Self::Formula => None,
            Self::Directory(directory) => {
                Some(std::fs::read(directory.join(format!("{name}.weights.safetensors"))).unwrap())
            }
        }
    }
}

#[test]
fn networks_are_timms() {
    let device = Cpu::default();
    let pool = device.pool().unwrap();
    CASES.iter().for_each(|case| a_network_is_timms_on(case, true, &device, &pool));
}

/// The smallest of each kind; the CUDA tests ask for the same on a GPU. The last one's gradients are left out: a value
/// that is next to a ReLU's zero comes out on the other side there.
#[allow(dead_code)]
pub fn the_smallest_are_timms_on<B: Backend>(device: &B, pool: &B::Pool) {
    for (case, gradients) in [(0, true), (4, true), (5, false)] {
        a_network_is_timms_on(&CASES[case], gradients, device, pool);
    }
}

/// `gradients` says whether the gradients of a training step are compared too.
fn a_network_is_timms_on<B: Backend>(case: &Case, gradients: bool, device: &B, pool: &B::Pool) {
    let source =
        std::env::var_os("TIMM_WEIGHTS").map_or(Source::Formula, |directory| Source::Directory(directory.into()));
    let bytes = match &source {
        Source::Formula => FIXTURE.to_vec(),
        Source::Directory(directory) => std::fs::read(directory.join("timm_networks.safetensors")).unwrap(),
    };
    let fixture = SafeTensors::deserialize(&bytes).unwrap();
    let &Case { architecture, model, images, height, width, classes } = case;
    let name = format!("{model}-{images}x{height}x{width}-{classes}");
    let graph = graph(architecture, classes, [width, height]).unwrap();
    let mut network = Network::new(graph, 0, usize::MAX, device).unwrap();
    fill(&mut network, source.weights(&name).as_deref());
    assert_names_and_shapes(&network, &fixture, &name);

    let pixels: Vec<u8> =
        (0..images * height * width * 3).map(|at| (mix((at + images * height * width) as u64) >> 56) as u8).collect();
    let standardization = network.graph().standardization();
    let input = |pass: &Pass<B>| images_to_feature_map(&pixels, images, height, width, standardization, pass).unwrap();
    let expected = floats(&fixture, &format!("{name}/inference"));
    let infer = |what: &str, network: &mut Network<B>| {
        let mut pass = Pass::infer(device, pool);
        let logits = network.forward(input(&pass), &mut pass).unwrap().to_nchw(device).unwrap();
        assert_close(&format!("{name}, {what}"), &logits, &expected);
    };
    infer("inference as trained", &mut network);
    infer("inference, folded", &mut network.for_inference(device).unwrap());

    let mut pass = Pass::train(device, pool, 0, 0);
    let logits = network.forward(input(&pass), &mut pass).unwrap();
    assert_close(&name, &logits.to_nchw(device).unwrap(), &floats(&fixture, &format!("{name}/logits")));
    if !gradients {
        return;
    }
    let labels: Vec<usize> = (0..images).map(|image| image % classes).collect();
    let (loss, _) = cross_entropy(&logits, &Targets::new(&labels, 0.0), &mut pass).unwrap();
    let gradients = loss.backward();
    for parameter in network.parameters().into_iter().filter(|parameter| parameter.trainable) {
        let gradient = gradients.get(&parameter.tensor).as_vec();
        let expected = floats(&fixture, &format!("{name}/gradient/{}", parameter.name));
        let at = integers(&fixture, &format!("{name}/at/{}", parameter.name));
        // A bias that the next normalisation takes away has no gradient but rounding: that of the weight beside it is
        // the measure.
        let beside = parameter.name.strip_suffix(".bias").map(|layer| format!("{name}/gradient/{layer}.weight"));
        let floor = beside.map_or(0.0, |beside| floats(&fixture, &beside)[0]);
        let largest = gradient.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        let sampled: Vec<f32> = [largest].into_iter().chain(at.iter().map(|&at| gradient[at])).collect();
        assert_within(&format!("{name}, gradient of {}", parameter.name), &sampled, &expected, floor);
    }
}

/// Every parameter by the fixture's formula, or from timm's file; of that the statistics too.
fn fill<B: Backend>(network: &mut Network<B>, file: Option<&[u8]>) {
    let weights = file.map(|bytes| SafeTensors::deserialize(bytes).unwrap());
    for parameter in network.parameters_mut() {
        let values = match &weights {
            Some(weights) => floats(weights, &parameter.name),
            None => formula(&parameter.name, &parameter.shape),
        };
        parameter.set_values(&values).unwrap();
    }
}

fn assert_names_and_shapes<B: Backend>(network: &Network<B>, fixture: &SafeTensors<'_>, name: &str) {
    let prefix = format!("{name}/shape/");
    let mut expected: Vec<(String, Vec<usize>)> = fixture
        .names()
        .into_iter()
        .filter_map(|key| Some((key.strip_prefix(&prefix)?.to_owned(), integers(fixture, key))))
        .collect();
    let trainable = network.parameters().into_iter().filter(|parameter| parameter.trainable);
    let mut ours: Vec<_> = trainable.map(|parameter| (parameter.name.clone(), parameter.shape.clone())).collect();
    expected.sort();
    ours.sort();
    assert_eq!(ours, expected, "{name}");
}

fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// As in the script.
fn formula(name: &str, shape: &[usize]) -> Vec<f32> {
    let fnv = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let start = u64::from(fnv) << 32;
    let noise = |at: usize| (mix(start + at as u64) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
    let value = |noise: f32| match shape {
        [_, 1, h, w] => noise * (6.0 / (h * w) as f64).sqrt() as f32,
        [out, _, h, w] => noise * (6.0 / (out * h * w) as f64).sqrt() as f32,
        _ if name.starts_with("fc.") || name.starts_with("classifier.") => noise * 0.05,
        _ if [".bn2.weight", ".bn3.weight", "pw_proj.bn.weight"].iter().any(|end| name.ends_with(end)) => {
            0.25 + 0.125 * noise
        }
        _ if name.ends_with("weight") || name.ends_with("running_var") => 1.0 + 0.5 * noise,
        _ => 0.25 * noise,
    };
    (0..shape.iter().product()).map(|at| value(noise(at))).collect()
}

fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let tensor = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    tensor.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

fn integers(file: &SafeTensors<'_>, name: &str) -> Vec<usize> {
    let tensor = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    tensor.data().chunks_exact(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()) as usize).collect()
}

fn assert_close(what: &str, actual: &[f32], expected: &[f32]) {
    assert_within(what, actual, expected, 0.0);
}

/// Within the tolerance of the largest value, or of `floor` if that is larger.
fn assert_within(what: &str, actual: &[f32], expected: &[f32], floor: f32) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(floor, |largest, v| largest.max(v.abs()));
    for (at, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((a - e).abs() <= TOLERANCE * scale, "{what}: {a} instead of {e} at {at}, largest {scale}");
    }
}

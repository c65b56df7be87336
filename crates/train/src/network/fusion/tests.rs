use super::*;
use crate::network::builder::GraphBuilder;
use crate::network::graph::{Conv, Norm};
use crate::network::initialization::Initialization;
use crate::ops::conv2d::Padding;

const NORM: Norm = Norm { epsilon: 1e-3, momentum: 0.1 };

fn three(filters: usize) -> Conv {
    Conv::new(filters, 3, Padding::Same)
}

/// `conv + add(images) > relu` for every step.
fn plan(network: GraphBuilder) -> Vec<String> {
    let graph = network.finish();
    let name = |NodeId(node): NodeId| graph.nodes[node].name.clone();
    let text = |step: Step| {
        let residual = step.residual.map_or(String::new(), |residual| format!(" + {}", name(residual)));
        let activation = match step.activation {
            Activation::None => String::new(),
            other => format!(" > {}", Layer::Activation(other).kind()),
        };
        let moments = if step.moments { " (moments)" } else { "" };
        format!("{}{residual}{activation}{moments}", name(step.node))
    };
    steps(&graph).into_iter().map(text).collect()
}

#[test]
fn a_post_activation_block_adds_two_pending_maps() {
    let (mut network, images) = GraphBuilder::new("test", [3, 8, 8], Initialization::Keras);
    let x = network.conv("conv1", images, three(4)).unwrap();
    let x = network.batch_norm("bn1", x, NORM).unwrap();
    let x = network.relu(x);
    let shortcut = network.conv("down", images, three(4)).unwrap();
    let shortcut = network.batch_norm("bn2", shortcut, NORM).unwrap();
    let sum = network.add("add", x, shortcut).unwrap();
    network.activation(sum, Activation::Relu6);
    assert_eq!(plan(network), ["conv1 (moments)", "bn1 > ReLU", "down (moments)", "bn2", "add > ReLU6"]);
}

#[test]
fn the_later_of_two_convolutions_takes_the_sum() {
    let (mut network, images) = GraphBuilder::new("test", [3, 8, 8], Initialization::Keras);
    let shortcut = network.conv("shortcut", images, three(4)).unwrap();
    let branch = network.conv("conv", images, three(4)).unwrap();
    let sum = network.add("add", branch, shortcut).unwrap();
    let x = network.relu(sum);
    network.batch_norm("bn", x, NORM).unwrap();
    assert_eq!(plan(network), ["shortcut", "conv + shortcut > ReLU (moments)", "bn"]);
}

#[test]
fn nothing_runs_with_a_result_that_others_read() {
    let (mut network, images) = GraphBuilder::new("test", [3, 8, 8], Initialization::Keras);
    let conv = network.conv("conv", images, three(3)).unwrap();
    let active = network.relu(conv);
    let sum = network.add("sum", conv, active).unwrap();
    let twice = network.add("twice", sum, sum).unwrap();
    let features = network.flatten(twice).unwrap();
    let dense = network.dense("dense", features, 4).unwrap();
    network.activation(dense, Activation::Relu6);
    assert_eq!(plan(network), ["conv", "conv.relu", "sum", "twice", "flatten", "dense", "dense.relu6"]);
}

#[test]
fn results_are_kept_until_their_last_reader() {
    let (mut network, images) = GraphBuilder::new("test", [3, 8, 8], Initialization::Keras);
    let a = network.conv("a", images, three(3)).unwrap();
    let b = network.conv("b", a, three(3)).unwrap();
    let c = network.conv("c", b, three(3)).unwrap();
    network.add("sum", c, a).unwrap();
    let graph = network.finish();
    let read: Vec<Vec<usize>> =
        steps(&graph).iter().map(|step| step.last_read.iter().map(|&NodeId(node)| node).collect()).collect();
    assert_eq!(read, [vec![0], vec![], vec![2, 1]]);
}

//! The ResNet: a 7x7 stem, a pre-activation residual unit (He et al. 2016), a convolution that halves the image, a
//! residual unit that doubles the filters, one dense layer.

use super::NORM;
use crate::network::builder::GraphBuilder;
use crate::network::graph::{Conv, Graph, NodeId, Shape};
use crate::network::initialization::Initialization;
use crate::ops::conv2d::Padding;
use preprocess::Result;

/// Filters of the stem and the first unit.
const FILTERS: usize = 32;

/// Filters of the last unit.
const LAST_FILTERS: usize = 64;

/// For images of `input` `[channels, height, width]`.
///
/// # Errors
/// Images that are too small.
pub(super) fn graph(input: [usize; 3], classes: usize) -> Result<Graph> {
    let (mut network, x) = GraphBuilder::new("resnet", input, Initialization::Keras);
    let x = network.conv("conv1", x, Conv::new(FILTERS, 7, Padding::Valid).stride(2))?;
    network.next_stage();
    let x = unit(&mut network, "unit1", x, FILTERS)?;
    network.next_stage();
    let x = network.conv("conv2", x, Conv::new(FILTERS, 3, Padding::Valid).stride(2))?;
    let x = unit(&mut network, "unit2", x, LAST_FILTERS)?;
    let x = network.flatten(x)?;
    network.next_stage();
    network.dense("dense", x, classes)?;
    Ok(network.finish())
}

/// `shortcut(x) + conv2(relu(bn2(conv1(relu(bn1(x))))))`, both convolutions 3x3 with same padding. The shortcut is the
/// identity, or a 1x1 convolution where the number of filters changes.
fn unit(network: &mut GraphBuilder, name: &str, x: NodeId, filters: usize) -> Result<NodeId> {
    let part = |part: &str| format!("{name}.{part}");
    let channels = match network.shape(x) {
        Shape::Map([channels, ..]) => channels,
        Shape::Features(_) => filters,
    };
    let shortcut = match channels == filters {
        true => x,
        false => network.conv(part("shortcut"), x, Conv::new(filters, 1, Padding::Valid))?,
    };
    let branch = network.batch_norm(part("bn1"), x, NORM)?;
    let branch = network.relu(branch);
    let branch = network.conv(part("conv1"), branch, Conv::new(channels, 3, Padding::Same))?;
    let branch = network.batch_norm(part("bn2"), branch, NORM)?;
    let branch = network.relu(branch);
    let branch = network.conv(part("conv2"), branch, Conv::new(filters, 3, Padding::Same))?;
    network.add(part("add"), branch, shortcut)
}

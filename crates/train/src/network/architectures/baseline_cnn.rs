//! The baseline CNN: five convolutions with ReLU in three groups, each group followed by max pooling, then two dense
//! layers.

use crate::network::builder::GraphBuilder;
use crate::network::graph::{Conv, Graph};
use crate::network::initialization::Initialization;
use crate::ops::conv2d::Padding::{self, Same, Valid};
use crate::ops::max_pool2d::Window;
use preprocess::Result;

/// Features between the two dense layers.
const HIDDEN: usize = 128;

/// How much of the hidden features is dropped in training.
const DROPOUT: f32 = 0.5;

/// Filters and padding of the convolutions; a pooling ends each group.
const GROUPS: [&[(usize, Padding)]; 3] = [&[(32, Same)], &[(64, Same), (64, Same)], &[(128, Valid), (128, Valid)]];

/// For images of `input` `[channels, height, width]`.
///
/// # Errors
/// Images that are too small.
pub(super) fn graph(input: [usize; 3], classes: usize) -> Result<Graph> {
    let (mut network, mut x) = GraphBuilder::new("baseline-cnn", input, Initialization::Keras);
    let mut names = (1..).map(|number| format!("conv{number}"));
    for (convolutions, pool) in GROUPS.into_iter().zip(1..) {
        for (&(filters, padding), name) in convolutions.iter().zip(&mut names) {
            x = network.conv(name, x, Conv::new(filters, 3, padding))?;
            x = network.relu(x);
        }
        x = network.max_pool(format!("pool{pool}"), x, Window::HALVING)?;
        network.next_stage();
    }
    x = network.flatten(x)?;
    x = network.dense("dense1", x, HIDDEN)?;
    x = network.relu(x);
    x = network.dropout("dropout", x, DROPOUT)?;
    network.next_stage();
    network.dense("dense2", x, classes)?;
    Ok(network.finish())
}

//! The networks. A new one is a description in a file here, a name in the pipeline file's `Architecture`, and an arm
//! in [`graph`].

mod baseline_cnn;
mod efficientnet_lite;
mod mobilenetv4;
mod resnet;
mod resnets;

use super::graph::{Graph, Norm};
use preprocess::pipeline::Architecture;
use preprocess::{Error, Result};
use resnets::Block::{Basic, Bottleneck};

/// The notebook's normalisation. ε is Keras' default. The momentum is PyTorch's: Keras' 0.01 (a momentum of 0.99 in
/// its words) leaves the moving statistics closer to their initial values than to the data's for the first hundreds of
/// steps, so that the first epochs' validation scores say nothing.
pub(crate) const NORM: Norm = Norm { epsilon: 1e-3, momentum: 0.1 };

/// Describes a network for images of `width` and `height` pixels.
///
/// # Errors
/// Fewer than two classes, or images too small for the architecture: the error spells out the sizes.
pub fn graph(architecture: Architecture, classes: usize, [width, height]: [usize; 2]) -> Result<Graph> {
    if classes < 2 {
        return Err(Error::new(format!("a classifier needs at least two classes, not {classes}")));
    }
    let input = [3, height, width];
    match architecture {
        Architecture::BaselineCnn => baseline_cnn::graph(input, classes),
        Architecture::Resnet => resnet::graph(input, classes),
        Architecture::Resnet18 => resnets::graph("resnet18", Basic, [2, 2, 2, 2], input, classes),
        Architecture::Resnet34 => resnets::graph("resnet34", Basic, [3, 4, 6, 3], input, classes),
        Architecture::EfficientnetLite0 => efficientnet_lite::graph(input, classes),
        Architecture::Mobilenetv4ConvSmall => mobilenetv4::graph(input, classes),
        Architecture::Resnet50 => resnets::graph("resnet50", Bottleneck, [3, 4, 6, 3], input, classes),
    }
}

#[cfg(test)]
mod tests;

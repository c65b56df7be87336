//! ResNet-18, -34 and -50 (He et al. 2015) as torchvision and timm build them: post-activation residual blocks in four
//! groups, the stride of a bottleneck in its 3x3 convolution, names and shapes of `timm/resnet18` and its siblings.

use crate::network::builder::GraphBuilder;
use crate::network::graph::{Conv, Graph, NodeId, Norm, Shape};
use crate::network::initialization::Initialization;
use crate::ops::conv2d::Padding;
use crate::ops::max_pool2d::Window;
use crate::tensor::standardization::Standardization;
use preprocess::Result;

/// PyTorch's defaults.
const NORM: Norm = Norm { epsilon: 1e-5, momentum: 0.1 };

/// What a group is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3, and 1x1 with four times the filters.
    Bottleneck,
}

/// `blocks` says how many each of the four groups has.
///
/// # Errors
/// Images that are too small.
pub(super) fn graph(
    architecture: &str,
    block: Block,
    blocks: [usize; 4],
    input: [usize; 3],
    classes: usize,
) -> Result<Graph> {
    let (mut network, x) = GraphBuilder::new(architecture, input, Initialization::Torchvision);
    network.standardize(Standardization::IMAGENET);
    let x = network.conv("conv1", x, conv(64, 7, 2))?;
    let x = network.batch_norm("bn1", x, NORM)?;
    let x = network.relu(x);
    let mut x = network.max_pool("maxpool", x, Window { size: 3, stride: 2, padding: 1 })?;
    for (group, (blocks, filters)) in blocks.into_iter().zip([64, 128, 256, 512]).enumerate() {
        network.next_stage();
        for at in 0..blocks {
            let stride = if group > 0 && at == 0 { 2 } else { 1 };
            x = residual(&mut network, &format!("layer{}.{at}", group + 1), x, (block, filters, stride))?;
        }
    }
    let x = network.global_avg_pool("avgpool", x)?;
    network.next_stage();
    network.dense("fc", x, classes)?;
    Ok(network.finish())
}

/// `relu(shortcut(x) + branch(x))`. The shortcut is the identity, or a 1x1 convolution with a normalisation where the
/// shape changes.
fn residual(
    network: &mut GraphBuilder,
    name: &str,
    x: NodeId,
    (block, filters, stride): (Block, usize, usize),
) -> Result<NodeId> {
    let (convolutions, outputs) = match block {
        Block::Basic => (vec![conv(filters, 3, stride), conv(filters, 3, 1)], filters),
        Block::Bottleneck => {
            let outputs = 4 * filters;
            (vec![conv(filters, 1, 1), conv(filters, 3, stride), conv(outputs, 1, 1)], outputs)
        }
    };
    let (mut branch, last) = (x, convolutions.len());
    for (conv, number) in convolutions.into_iter().zip(1..) {
        branch = network.conv(format!("{name}.conv{number}"), branch, conv)?;
        branch = network.batch_norm(format!("{name}.bn{number}"), branch, NORM)?;
        if number < last {
            branch = network.relu(branch);
        }
    }
    let mut shortcut = x;
    if stride != 1 || !matches!(network.shape(x), Shape::Map([channels, ..]) if channels == outputs) {
        shortcut = network.conv(format!("{name}.downsample.0"), x, conv(outputs, 1, stride))?;
        shortcut = network.batch_norm(format!("{name}.downsample.1"), shortcut, NORM)?;
    }
    let sum = network.add(format!("{name}.add"), branch, shortcut)?;
    Ok(network.relu(sum))
}

/// Without bias, with half the kernel of zeros around the image.
fn conv(filters: usize, kernel: usize, stride: usize) -> Conv {
    Conv::new(filters, kernel, Padding::Symmetric(kernel / 2)).stride(stride).unbiased()
}

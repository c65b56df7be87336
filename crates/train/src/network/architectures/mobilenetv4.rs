//! MobileNetV4-Conv-S (Qin et al. 2024) as timm's `mobilenetv4_conv_small` builds it: plain convolutions, then
//! universal inverted bottlenecks, which have a depthwise convolution before the expansion, after it, or both.

use crate::network::builder::GraphBuilder;
use crate::network::graph::{Conv, Graph, NodeId, Norm, Shape};
use crate::network::initialization::Initialization;
use crate::ops::conv2d::Padding;
use crate::tensor::standardization::Standardization;
use preprocess::Result;

const NORM: Norm = Norm { epsilon: 1e-5, momentum: 0.1 };

/// Of the convolution after the pooling.
const FEATURES: usize = 1280;

/// A block of a stage.
enum Block {
    /// A convolution with normalisation and ReLU: kernel, stride, filters.
    Plain(usize, usize, usize),
    /// A universal inverted bottleneck.
    Bottleneck {
        /// Kernel of the depthwise convolution before the expansion, 0 for none.
        start: usize,
        /// Of the one after it.
        middle: usize,
        stride: usize,
        /// Channels after the expansion.
        inner: usize,
        filters: usize,
    },
}

use Block::Plain;

const fn bottleneck(start: usize, middle: usize, stride: usize, inner: usize, filters: usize) -> Block {
    Block::Bottleneck { start, middle, stride, inner, filters }
}

const STAGES: [&[Block]; 5] = [
    &[Plain(3, 2, 32), Plain(1, 1, 32)],
    &[Plain(3, 2, 96), Plain(1, 1, 64)],
    &[
        bottleneck(5, 5, 2, 192, 96),
        bottleneck(0, 3, 1, 192, 96),
        bottleneck(0, 3, 1, 192, 96),
        bottleneck(0, 3, 1, 192, 96),
        bottleneck(0, 3, 1, 192, 96),
        bottleneck(3, 0, 1, 384, 96),
    ],
    &[
        bottleneck(3, 3, 2, 576, 128),
        bottleneck(5, 5, 1, 512, 128),
        bottleneck(0, 5, 1, 512, 128),
        bottleneck(0, 5, 1, 384, 128),
        bottleneck(0, 3, 1, 512, 128),
        bottleneck(0, 3, 1, 512, 128),
    ],
    &[Plain(1, 1, 960)],
];

/// For images of `input` `[channels, height, width]`.
///
/// # Errors
/// Images that are too small.
pub(super) fn graph(input: [usize; 3], classes: usize) -> Result<Graph> {
    let (mut network, x) = GraphBuilder::new("mobilenetv4-conv-small", input, Initialization::Torchvision);
    network.standardize(Standardization::IMAGENET);
    let mut x = network.normalized_conv(["conv_stem", "bn1"], x, (conv(32, 3, 2), NORM))?;
    x = network.relu(x);
    for (number, blocks) in STAGES.into_iter().enumerate() {
        network.next_stage();
        for (at, block) in blocks.iter().enumerate() {
            let name = format!("blocks.{number}.{at}");
            x = match block {
                &Plain(kernel, stride, filters) => {
                    let names = [format!("{name}.conv"), format!("{name}.bn1")];
                    let x = network.normalized_conv(names, x, (conv(filters, kernel, stride), NORM))?;
                    network.relu(x)
                }
                bottleneck => universal_bottleneck(&mut network, &name, x, bottleneck)?,
            };
        }
    }
    let x = network.global_avg_pool_map("global_pool", x)?;
    let x = network.normalized_conv(["conv_head", "norm_head"], x, (conv(FEATURES, 1, 1), NORM))?;
    let x = network.relu(x);
    let x = network.flatten(x)?;
    network.next_stage();
    network.dense("classifier", x, classes)?;
    Ok(network.finish())
}

/// ReLU follows the expansion and the depthwise convolution after it, nothing else. The stride is that of the later
/// depthwise convolution.
fn universal_bottleneck(network: &mut GraphBuilder, name: &str, x: NodeId, block: &Block) -> Result<NodeId> {
    let &Block::Bottleneck { start, middle, stride, inner, filters } = block else { return Ok(x) };
    let channels = match network.shape(x) {
        Shape::Map([channels, ..]) => channels,
        Shape::Features(_) => filters,
    };
    let part = |part: &str| [format!("{name}.{part}.conv"), format!("{name}.{part}.bn")];
    let mut branch = x;
    if start > 0 {
        let stride = if middle > 0 { 1 } else { stride };
        branch =
            network.normalized_conv(part("dw_start"), branch, (conv(channels, start, stride).depthwise(), NORM))?;
    }
    branch = network.normalized_conv(part("pw_exp"), branch, (conv(inner, 1, 1), NORM))?;
    branch = network.relu(branch);
    if middle > 0 {
        branch = network.normalized_conv(part("dw_mid"), branch, (conv(inner, middle, stride).depthwise(), NORM))?;
        branch = network.relu(branch);
    }
    branch = network.normalized_conv(part("pw_proj"), branch, (conv(filters, 1, 1), NORM))?;
    match stride == 1 && channels == filters {
        true => network.add(format!("{name}.add"), branch, x),
        false => Ok(branch),
    }
}

/// Without bias, with half the kernel of zeros around the image.
fn conv(filters: usize, kernel: usize, stride: usize) -> Conv {
    Conv::new(filters, kernel, Padding::Symmetric(kernel / 2)).stride(stride).unbiased()
}

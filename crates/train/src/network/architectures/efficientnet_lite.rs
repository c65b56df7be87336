//! EfficientNet-Lite0 (Tan and Le 2019 without squeeze-and-excitation, ReLU6 for SiLU) as timm's
//! `tf_efficientnet_lite0` builds it for TensorFlow's weights: "same" padding, ε of 1e-3.

use crate::network::builder::GraphBuilder;
use crate::network::graph::{Conv, Graph, NodeId, Norm, Shape};
use crate::network::initialization::Initialization;
use crate::ops::conv2d::Padding;
use crate::tensor::activation::Activation;
use crate::tensor::standardization::Standardization;
use preprocess::Result;

const NORM: Norm = Norm { epsilon: 1e-3, momentum: 0.1 };

/// Filters of the first convolution.
const STEM: usize = 32;

/// Of the 1x1 convolution before the pooling.
const FEATURES: usize = 1280;

/// A stage of blocks.
struct Stage {
    blocks: usize,
    /// Rows and columns of the depthwise kernels.
    kernel: usize,
    /// Of the first block.
    stride: usize,
    /// How many times as many channels there are within a block as before it.
    expansion: usize,
    filters: usize,
}

const fn stage(blocks: usize, kernel: usize, stride: usize, expansion: usize, filters: usize) -> Stage {
    Stage { blocks, kernel, stride, expansion, filters }
}

const STAGES: [Stage; 7] = [
    stage(1, 3, 1, 1, 16),
    stage(2, 3, 2, 6, 24),
    stage(2, 5, 2, 6, 40),
    stage(3, 3, 2, 6, 80),
    stage(3, 5, 1, 6, 112),
    stage(4, 5, 2, 6, 192),
    stage(1, 3, 1, 6, 320),
];

/// For images of `input` `[channels, height, width]`.
///
/// # Errors
/// Images that are too small.
pub(super) fn graph(input: [usize; 3], classes: usize) -> Result<Graph> {
    let (mut network, x) = GraphBuilder::new("efficientnet-lite0", input, Initialization::Torchvision);
    network.standardize(Standardization::INCEPTION);
    let stem = Conv::new(STEM, 3, Padding::Same).stride(2);
    let x = network.normalized_conv(["conv_stem", "bn1"], x, (stem, NORM))?;
    let mut x = network.activation(x, Activation::Relu6);
    for (number, stage) in STAGES.iter().enumerate() {
        network.next_stage();
        for block in 0..stage.blocks {
            let stride = if block == 0 { stage.stride } else { 1 };
            x = inverted_residual(&mut network, &format!("blocks.{number}.{block}"), x, stage, stride)?;
        }
    }
    let head = Conv::new(FEATURES, 1, Padding::Valid);
    let x = network.normalized_conv(["conv_head", "bn2"], x, (head, NORM))?;
    let x = network.activation(x, Activation::Relu6);
    let x = network.global_avg_pool("global_pool", x)?;
    network.next_stage();
    network.dense("classifier", x, classes)?;
    Ok(network.finish())
}

/// 1x1 to more channels, depthwise, 1x1 to fewer without activation; added to `x` where the shape is the same. A stage
/// that does not expand has no first convolution, and its names are one off.
fn inverted_residual(
    network: &mut GraphBuilder,
    name: &str,
    x: NodeId,
    stage: &Stage,
    stride: usize,
) -> Result<NodeId> {
    let part = |part: &str| format!("{name}.{part}");
    let channels = match network.shape(x) {
        Shape::Map([channels, ..]) => channels,
        Shape::Features(_) => stage.filters,
    };
    let inner = channels * stage.expansion;
    let expands = stage.expansion > 1;
    let [depthwise_norm, projection, projection_norm] =
        if expands { ["bn2", "conv_pwl", "bn3"] } else { ["bn1", "conv_pw", "bn2"] };
    let mut branch = x;
    if expands {
        let expand = Conv::new(inner, 1, Padding::Valid);
        branch = network.normalized_conv([part("conv_pw"), part("bn1")], branch, (expand, NORM))?;
        branch = network.activation(branch, Activation::Relu6);
    }
    let depthwise = Conv::new(inner, stage.kernel, Padding::Same).stride(stride).depthwise();
    branch = network.normalized_conv([part("conv_dw"), part(depthwise_norm)], branch, (depthwise, NORM))?;
    branch = network.activation(branch, Activation::Relu6);
    let project = Conv::new(stage.filters, 1, Padding::Valid);
    branch = network.normalized_conv([part(projection), part(projection_norm)], branch, (project, NORM))?;
    match stride == 1 && channels == stage.filters {
        true => network.add(part("add"), branch, x),
        false => Ok(branch),
    }
}

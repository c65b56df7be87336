//! A network as data: nodes in the order of their computation, each a layer applied to the results of earlier ones.
//!
//! All that is known of a network before it has weights follows from here: the shapes on the way, its parameters with
//! their names, the summary, what an image costs. How nodes run together is [`fusion`](super::fusion)'s to find, never
//! a description's to say.

use super::initialization::{Initial, Initialization};
use crate::ops::conv2d::{Geometry, Padding};
use crate::ops::max_pool2d::Window;
use crate::tensor::activation::Activation;
use crate::tensor::standardization::Standardization;
use std::fmt;

/// A node, by its place in the graph; what the node computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub(crate) usize);

/// What a layer makes of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `[channels, height, width]`.
    Map([usize; 3]),
    /// A vector of so many features.
    Features(usize),
}

impl Shape {
    /// Values an image.
    pub fn values(self) -> usize {
        self.checked_len().unwrap_or(usize::MAX)
    }

    /// Values an image, unless they are more than can be counted.
    pub(crate) fn checked_len(self) -> Option<usize> {
        match self {
            Self::Map([channels, height, width]) => channels.checked_mul(height)?.checked_mul(width),
            Self::Features(features) => Some(features),
        }
    }
}

impl fmt::Display for Shape {
    /// `(32, 61, 61)` or `(128)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map([channels, height, width]) => write!(f, "({channels}, {height}, {width})"),
            Self::Features(features) => write!(f, "({features})"),
        }
    }
}

/// A convolution's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv {
    /// Output channels.
    pub filters: usize,
    /// Rows and columns of the kernel.
    pub kernel: usize,
    /// Step of the kernel, both ways.
    pub stride: usize,
    /// What lies around the image.
    pub padding: Padding,
    /// Parts that the channels fall into, each convolved by itself: 1, or as many as there are channels (depthwise),
    /// or between.
    pub groups: usize,
    /// Whether there is a bias.
    pub bias: bool,
}

impl Conv {
    /// Stride 1, one group, with bias.
    pub fn new(filters: usize, kernel: usize, padding: Padding) -> Self {
        Self { filters, kernel, stride: 1, padding, groups: 1, bias: true }
    }

    /// The same with another stride.
    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// The same without bias.
    pub fn unbiased(self) -> Self {
        Self { bias: false, ..self }
    }

    /// The same on every channel by itself.
    pub fn depthwise(self) -> Self {
        Self { groups: self.filters, ..self }
    }
}

/// A batch normalisation's settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norm {
    /// Added to the variance.
    pub epsilon: f32,
    /// How far the moving statistics go towards the batch's in one step, as PyTorch counts.
    pub momentum: f64,
}

/// What a node does.
#[derive(Debug, Clone, PartialEq)]
pub enum Layer {
    /// The images.
    Input,
    /// Convolution, with kernels `[filters, channels / groups, kernel, kernel]`.
    Conv2d(Conv),
    /// Batch normalisation.
    BatchNorm2d(Norm),
    /// An activation by itself.
    Activation(Activation),
    /// Max pooling.
    MaxPool2d(Window),
    /// The mean over all pixels.
    GlobalAvgPool2d,
    /// The sum of two maps.
    Add,
    /// A map as a vector.
    Flatten,
    /// A dense layer to so many features, with bias.
    Dense(usize),
    /// Dropout in training at this rate.
    Dropout(f32),
}

impl Layer {
    /// As the summary names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Input => "Input",
            Self::Conv2d(_) => "Conv2d",
            Self::BatchNorm2d(_) => "BatchNorm2d",
            Self::Activation(Activation::None) => "Identity",
            Self::Activation(Activation::Relu) => "ReLU",
            Self::Activation(Activation::Relu6) => "ReLU6",
            Self::MaxPool2d(_) => "MaxPool2d",
            Self::GlobalAvgPool2d => "GlobalAvgPool2d",
            Self::Add => "Add",
            Self::Flatten => "Flatten",
            Self::Dense(_) => "Dense",
            Self::Dropout(_) => "Dropout",
        }
    }

    /// For the way of an image that is too small: `conv 7x7 stride 2`.
    pub(super) fn text(&self) -> String {
        let stride = |stride: usize| if stride == 1 { String::new() } else { format!(" stride {stride}") };
        match self {
            Self::Conv2d(conv) => format!("conv {0}x{0}{1}", conv.kernel, stride(conv.stride)),
            Self::MaxPool2d(window) if window.size == window.stride => format!("max pooling {0}x{0}", window.size),
            Self::MaxPool2d(window) => format!("max pooling {0}x{0}{1}", window.size, stride(window.stride)),
            other => other.kind().to_owned(),
        }
    }
}

/// One layer in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Prefix of its parameters' names, as PyTorch names them: `layer1.0.conv1`.
    pub name: String,
    /// What it does.
    pub layer: Layer,
    /// What it is done to; earlier nodes.
    pub inputs: Vec<NodeId>,
    /// Of the result, an image.
    pub output: Shape,
    /// Which of the stages that a network is tuned by, counted from the images.
    pub stage: usize,
}

/// A parameter before there are values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ParameterSpec {
    /// `layer1.0.conv1.weight`.
    pub name: String,
    /// PyTorch's: convolution `[out, in / groups, height, width]`, dense `[out, in]`, others `[channels]`.
    pub shape: Vec<usize>,
    /// Whether the optimiser changes it.
    pub trainable: bool,
    /// How its first values are drawn.
    pub initial: Initial,
}

/// A network's description. The last node's result are the logits.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// The architecture's name, for errors.
    pub(super) name: String,
    /// How the images' bytes become numbers.
    pub(super) standardization: Standardization,
    pub(super) initialization: Initialization,
    pub(super) nodes: Vec<Node>,
}

impl Graph {
    /// In the order of their computation; the first is the input.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// How the images' bytes become numbers.
    pub fn standardization(&self) -> Standardization {
        self.standardization
    }

    /// The same for images that become numbers in another way, if one is given.
    pub(crate) fn standardized(self, standardization: Option<Standardization>) -> Self {
        Self { standardization: standardization.unwrap_or(self.standardization), ..self }
    }

    /// `[channels, height, width]` of the images.
    pub(crate) fn input(&self) -> [usize; 3] {
        match self.nodes.first().map(|node| node.output) {
            Some(Shape::Map(shape)) => shape,
            _ => [0; 3],
        }
    }

    /// Length of the vector that the head turns into logits.
    pub(crate) fn features(&self) -> usize {
        self.head().and_then(|node| self.input_of(node).checked_len()).unwrap_or_default()
    }

    /// The last dense layer, which turns features into logits.
    pub(crate) fn head(&self) -> Option<&Node> {
        self.nodes.iter().rev().find(|node| matches!(node.layer, Layer::Dense(_)))
    }

    /// How many stages there are before the head.
    pub(crate) fn stages(&self) -> usize {
        self.head().map_or(0, |head| head.stage)
    }

    /// A node's parameters, in the order of PyTorch's `state_dict`.
    pub(crate) fn parameters(&self, node: &Node) -> Vec<ParameterSpec> {
        let spec = |part: &str, shape: Vec<usize>, trainable: bool, initial: Initial| ParameterSpec {
            name: format!("{}.{part}", node.name),
            shape,
            trainable,
            initial,
        };
        let scheme = self.initialization;
        match (&node.layer, self.input_of(node)) {
            (Layer::Conv2d(conv), Shape::Map([channels, ..])) => {
                let kernel = vec![conv.filters, channels / conv.groups, conv.kernel, conv.kernel];
                let kernel = spec("weight", kernel, true, scheme.kernel());
                let bias = conv.bias.then(|| spec("bias", vec![conv.filters], true, Initial::Constant(0.0)));
                [kernel].into_iter().chain(bias).collect()
            }
            (Layer::BatchNorm2d(_), Shape::Map([channels, ..])) => {
                let vector = |part, value, trainable| spec(part, vec![channels], trainable, Initial::Constant(value));
                vec![
                    vector("weight", 1.0, true),
                    vector("bias", 0.0, true),
                    vector("running_mean", 0.0, false),
                    vector("running_var", 1.0, false),
                ]
            }
            (&Layer::Dense(outputs), Shape::Features(inputs)) => vec![
                spec("weight", vec![outputs, inputs], true, scheme.matrix(inputs)),
                spec("bias", vec![outputs], true, scheme.dense_bias(inputs)),
            ],
            _ => Vec::new(),
        }
    }

    /// Floating-point operations of a node for one image, as the direct algorithm has them; those of convolutions and
    /// dense layers, as is usual.
    pub(crate) fn flops(&self, node: &Node) -> usize {
        match (&node.layer, self.input_of(node), node.output) {
            (Layer::Conv2d(conv), Shape::Map([c, h, w]), Shape::Map(_)) => {
                let kernel = [conv.filters, c / conv.groups, conv.kernel, conv.kernel];
                let input = [1, c, h, w];
                Geometry::new(input, kernel, conv.stride, conv.padding).map_or(0, |geometry| geometry.flops())
            }
            (&Layer::Dense(outputs), Shape::Features(inputs), _) => 2 * inputs * outputs,
            _ => 0,
        }
    }

    /// What a node's first input is.
    pub(super) fn input_of(&self, node: &Node) -> Shape {
        node.inputs.first().map_or(node.output, |&NodeId(input)| self.nodes[input].output)
    }
}

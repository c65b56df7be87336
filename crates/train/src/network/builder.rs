//! Writes a network's description, following the shape of an image from layer to layer.

use super::graph::{Conv, Graph, Layer, Node, NodeId, Norm, Shape};
use super::initialization::Initialization;
use crate::ops::conv2d::Geometry;
use crate::ops::max_pool2d::Window;
use crate::tensor::activation::Activation;
use crate::tensor::standardization::Standardization;
use preprocess::{Error, Result};

/// A description that grows: each function adds a node to what an earlier one returned.
#[derive(Debug)]
pub struct GraphBuilder {
    graph: Graph,
    /// Of the nodes to come.
    stage: usize,
}

impl GraphBuilder {
    /// For images of `input` `[channels, height, width]`; the node of these. `architecture` is named in errors.
    pub fn new(architecture: &str, input: [usize; 3], initialization: Initialization) -> (Self, NodeId) {
        let images = Node {
            name: "images".into(),
            layer: Layer::Input,
            inputs: Vec::new(),
            output: Shape::Map(input),
            stage: 0,
        };
        let name = architecture.to_owned();
        let standardization = Standardization::default();
        let graph = Graph { name, standardization, initialization, nodes: vec![images] };
        (Self { graph, stage: 0 }, NodeId(0))
    }

    /// The nodes to come are of the next stage: those of one are tuned together. The head is a stage of its own.
    pub fn next_stage(&mut self) {
        self.stage += 1;
    }

    /// The images' bytes become numbers in this way.
    pub fn standardize(&mut self, standardization: Standardization) {
        self.graph.standardization = standardization;
    }

    /// What the node is of an image.
    pub fn shape(&self, node: NodeId) -> Shape {
        self.graph.nodes[node.0].output
    }

    /// The description, complete with its last node.
    pub fn finish(self) -> Graph {
        self.graph
    }

    /// A convolution.
    ///
    /// # Errors
    /// The kernel does not fit into the image; the groups do not divide the channels.
    pub fn conv(&mut self, name: impl Into<String>, x: NodeId, conv: Conv) -> Result<NodeId> {
        let (name, layer) = (name.into(), Layer::Conv2d(conv));
        let [c, h, w] = self.map(&name, x)?;
        if conv.groups == 0 || ![c, conv.filters].iter().all(|channels| channels.is_multiple_of(conv.groups)) {
            let Conv { filters, groups, .. } = conv;
            return Err(
                self.misfit(&name, format!("{groups} groups divide neither {c} channels nor {filters} filters"))
            );
        }
        let kernel = [conv.filters, c / conv.groups, conv.kernel, conv.kernel];
        match Geometry::new([1, c, h, w], kernel, conv.stride, conv.padding) {
            Some(geometry) => {
                let output = Shape::Map([conv.filters, geometry.out_h, geometry.out_w]);
                Ok(self.push(name, layer, vec![x], output))
            }
            None => Err(self.too_small(x, &layer)),
        }
    }

    /// Batch normalisation.
    ///
    /// # Errors
    /// `x` is no map.
    pub fn batch_norm(&mut self, name: impl Into<String>, x: NodeId, norm: Norm) -> Result<NodeId> {
        let name = name.into();
        let shape = self.map(&name, x)?;
        Ok(self.push(name, Layer::BatchNorm2d(norm), vec![x], Shape::Map(shape)))
    }

    /// A convolution without bias and the normalisation of its result, by their names.
    ///
    /// # Errors
    /// As [`conv`](Self::conv).
    pub fn normalized_conv<N: Into<String>>(
        &mut self,
        [conv, norm]: [N; 2],
        x: NodeId,
        settings: (Conv, Norm),
    ) -> Result<NodeId> {
        let x = self.conv(conv, x, settings.0.unbiased())?;
        self.batch_norm(norm, x, settings.1)
    }

    /// An activation; it has the name of its input, and what it is after it.
    pub fn activation(&mut self, x: NodeId, activation: Activation) -> NodeId {
        let (layer, output) = (Layer::Activation(activation), self.shape(x));
        let name = format!("{}.{}", self.graph.nodes[x.0].name, layer.kind().to_lowercase());
        self.push(name, layer, vec![x], output)
    }

    /// ReLU.
    pub fn relu(&mut self, x: NodeId) -> NodeId {
        self.activation(x, Activation::Relu)
    }

    /// Max pooling.
    ///
    /// # Errors
    /// The window does not fit into the image.
    pub fn max_pool(&mut self, name: impl Into<String>, x: NodeId, window: Window) -> Result<NodeId> {
        let (name, layer) = (name.into(), Layer::MaxPool2d(window));
        let [c, h, w] = self.map(&name, x)?;
        match window.output([h, w]) {
            Some([h, w]) => Ok(self.push(name, layer, vec![x], Shape::Map([c, h, w]))),
            None => Err(self.too_small(x, &layer)),
        }
    }

    /// The mean over all pixels, as features.
    ///
    /// # Errors
    /// `x` is no map.
    pub fn global_avg_pool(&mut self, name: impl Into<String>, x: NodeId) -> Result<NodeId> {
        let name = name.into();
        let [channels, ..] = self.map(&name, x)?;
        Ok(self.push(name, Layer::GlobalAvgPool2d, vec![x], Shape::Features(channels)))
    }

    /// The mean over all pixels, as a map of one pixel: for convolutions after it.
    ///
    /// # Errors
    /// `x` is no map.
    pub fn global_avg_pool_map(&mut self, name: impl Into<String>, x: NodeId) -> Result<NodeId> {
        let name = name.into();
        let [channels, ..] = self.map(&name, x)?;
        Ok(self.push(name, Layer::GlobalAvgPool2d, vec![x], Shape::Map([channels, 1, 1])))
    }

    /// The sum of two.
    ///
    /// # Errors
    /// They have different shapes.
    pub fn add(&mut self, name: impl Into<String>, a: NodeId, b: NodeId) -> Result<NodeId> {
        let (name, [first, second]) = (name.into(), [self.shape(a), self.shape(b)]);
        if first != second {
            return Err(self.misfit(&name, format!("{first} and {second} cannot be added")));
        }
        Ok(self.push(name, Layer::Add, vec![a, b], first))
    }

    /// A map as a vector of features.
    ///
    /// # Errors
    /// It has more values than can be counted.
    pub fn flatten(&mut self, x: NodeId) -> Result<NodeId> {
        let features = self.shape(x).checked_len();
        let features = features.ok_or_else(|| self.misfit("flatten", "the features cannot be counted".into()))?;
        Ok(self.push("flatten".into(), Layer::Flatten, vec![x], Shape::Features(features)))
    }

    /// A dense layer with bias.
    ///
    /// # Errors
    /// `x` is a map.
    pub fn dense(&mut self, name: impl Into<String>, x: NodeId, outputs: usize) -> Result<NodeId> {
        let name = name.into();
        match self.shape(x) {
            Shape::Features(_) => Ok(self.push(name, Layer::Dense(outputs), vec![x], Shape::Features(outputs))),
            shape => Err(self.misfit(&name, format!("{shape} is no vector"))),
        }
    }

    /// Dropout of features.
    ///
    /// # Errors
    /// `x` is a map.
    pub fn dropout(&mut self, name: impl Into<String>, x: NodeId, rate: f32) -> Result<NodeId> {
        let name = name.into();
        match self.shape(x) {
            output @ Shape::Features(_) => Ok(self.push(name, Layer::Dropout(rate), vec![x], output)),
            shape => Err(self.misfit(&name, format!("{shape} is no vector"))),
        }
    }

    fn push(&mut self, name: String, layer: Layer, inputs: Vec<NodeId>, output: Shape) -> NodeId {
        self.graph.nodes.push(Node { name, layer, inputs, output, stage: self.stage });
        NodeId(self.graph.nodes.len() - 1)
    }

    fn map(&self, name: &str, x: NodeId) -> Result<[usize; 3]> {
        match self.shape(x) {
            Shape::Map(shape) => Ok(shape),
            shape => Err(self.misfit(name, format!("{shape} is no map"))),
        }
    }

    /// The description is wrong, whatever the images.
    fn misfit(&self, layer: &str, why: String) -> Error {
        Error::new(format!("`{}` is described wrongly at `{layer}`", self.graph.name)).because(why)
    }

    /// The image has become too small for `layer`. The way there is spelled out: what changed its size.
    fn too_small(&self, x: NodeId, layer: &Layer) -> Error {
        let mut way = vec![format!("{} does not fit", layer.text())];
        let (mut at, mut size) = (x, pixels(self.shape(x)));
        while let Some(&before) = self.graph.nodes[at.0].inputs.first() {
            let larger = pixels(self.shape(before));
            if larger != size {
                way.extend([size_text(size), self.graph.nodes[at.0].layer.text()]);
            }
            (at, size) = (before, larger);
        }
        way.push(size_text(size));
        way.reverse();
        Error::new(format!("images of {} pixels are too small for `{}`", size_text(size), self.graph.name))
            .because(way.join(" -> "))
            .hint("set a larger `preprocess.image.width` and `preprocess.image.height`")
    }
}

fn pixels(shape: Shape) -> [usize; 2] {
    match shape {
        Shape::Map([_, height, width]) => [height, width],
        Shape::Features(_) => [1, 1],
    }
}

/// Width by height, as in the pipeline file.
fn size_text([height, width]: [usize; 2]) -> String {
    format!("{width}x{height}")
}

//! Networks: a description, and a network with weights that runs it.
//!
//! [`architectures`] write a [`graph`] with a [`builder`]; [`Network`] gives its parameters their values and runs it,
//! by the steps that [`fusion`] finds; [`folding`] makes the network that inference runs; [`summary`] is the table of
//! layers.

pub mod architectures;
pub mod builder;
mod folding;
mod fusion;
pub mod graph;
pub mod initialization;
pub mod summary;

use crate::ops::Backend;
use crate::ops::activation::activate;
use crate::ops::add::add;
use crate::ops::batch_norm2d::{NormOptions, Parameters, batch_norm2d};
use crate::ops::conv2d::{Options, conv2d};
use crate::ops::dense::dense;
use crate::ops::dropout::dropout;
use crate::ops::flatten::flatten;
use crate::ops::global_avg_pool2d::global_avg_pool2d;
use crate::ops::max_pool2d::max_pool2d;
use crate::tensor::activation::Activation;
use crate::tensor::feature_map::FeatureMap;
use crate::tensor::parameter::Parameter;
use crate::tensor::pass::Pass;
use fusion::Step;
use graph::{Conv, Graph, Layer, NodeId, ParameterSpec};
use preprocess::{Error, Result};
use std::ops::Range;

/// A classifier of images on a device.
#[derive(Debug)]
pub struct Network<B: Backend> {
    graph: Graph,
    steps: Vec<Step>,
    /// In the order of the nodes.
    parameters: Vec<Parameter<B>>,
    /// Where each node's are among them.
    of_node: Vec<Range<usize>>,
    /// Stages, from the images on, that training leaves as they are.
    frozen: usize,
}

impl<B: Backend> Network<B> {
    /// A network with initial values that follow from the seed. Memory for more than `most_values` of them is not
    /// asked for: of a description that came with a file, the values that the file holds.
    ///
    /// # Errors
    /// More values, or the device has no memory left.
    pub fn new(graph: Graph, seed: u64, most_values: usize, device: &B) -> Result<Self> {
        let specs: Vec<Vec<ParameterSpec>> = graph.nodes().iter().map(|node| graph.parameters(node)).collect();
        for spec in specs.iter().flatten() {
            let values = spec.shape.iter().try_fold(1, |product: usize, &size| product.checked_mul(size));
            if values.is_none_or(|values| values > most_values) {
                return Err(too_many(spec, most_values));
            }
        }
        Self::with(graph, specs, device, |spec| Ok(spec.initial.values(seed, &spec.name, &spec.shape)))
    }

    /// The parameters of each node, with values by their description.
    fn with(
        graph: Graph,
        specs: Vec<Vec<ParameterSpec>>,
        device: &B,
        mut values: impl FnMut(&ParameterSpec) -> Result<Vec<f32>>,
    ) -> Result<Self> {
        let (mut parameters, mut of_node) = (Vec::new(), Vec::with_capacity(specs.len()));
        for specs in specs {
            let first = parameters.len();
            for spec in specs {
                let values = values(&spec)?;
                parameters.push(Parameter::new(spec.name, &spec.shape, values, spec.trainable, device)?);
            }
            of_node.push(first..parameters.len());
        }
        Ok(Self { steps: fusion::steps(&graph), graph, parameters, of_node, frozen: 0 })
    }

    /// What it is made after.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// All parameters, in the order of the layers; always the same order.
    pub fn parameters(&self) -> Vec<&Parameter<B>> {
        self.parameters.iter().collect()
    }

    /// All parameters, in the same order.
    pub fn parameters_mut(&mut self) -> Vec<&mut Parameter<B>> {
        self.parameters.iter_mut().collect()
    }

    /// Leaves the first `stages` as they are from now on: their normalisations take the moving statistics, and no
    /// gradient is computed for them.
    pub(crate) fn freeze(&mut self, stages: usize) {
        self.frozen = stages;
        for (node, parameters) in self.graph.nodes().iter().zip(&self.of_node) {
            if node.stage < stages {
                self.parameters[parameters.clone()].iter_mut().for_each(|parameter| parameter.trainable = false);
            }
        }
    }

    /// The stage of each parameter, in their order.
    pub(crate) fn parameter_stages(&self) -> impl Iterator<Item = (&Parameter<B>, usize)> {
        let stages = self.graph.nodes().iter().zip(&self.of_node);
        let stages = stages.flat_map(|(node, parameters)| parameters.clone().map(move |at| (at, node.stage)));
        stages.map(|(at, stage)| (&self.parameters[at], stage))
    }

    /// What the head turns into logits: `[images, features, 1, 1]`.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub(crate) fn features(&mut self, images: FeatureMap<B>, pass: &mut Pass<B>) -> Result<FeatureMap<B>> {
        let features = self.graph.head().and_then(|head| head.inputs.first().copied());
        self.run(images, features, pass)
    }

    /// Logits of what [`features`](Self::features) gave.
    ///
    /// # Errors
    /// Features of another length, or a failure of the device.
    pub(crate) fn head(&mut self, features: FeatureMap<B>, pass: &mut Pass<B>) -> Result<FeatureMap<B>> {
        let at = self.graph.nodes().iter().rposition(|node| matches!(node.layer, Layer::Dense(_)));
        let head = at.map(|at| &mut self.parameters[self.of_node[at].clone()]);
        match head {
            Some([weight, bias]) => dense(&features, weight, bias, false, pass),
            _ => Err(Error::new(format!("`{}` has no head", self.graph.name))),
        }
    }

    /// Logits `[images, classes, 1, 1]`, of which the [loss](crate::ops::cross_entropy) is taken.
    ///
    /// # Errors
    /// Images of another size than the network was built for, or a failure of the device.
    pub fn forward(&mut self, images: FeatureMap<B>, pass: &mut Pass<B>) -> Result<FeatureMap<B>> {
        let last = self.graph.nodes().len().checked_sub(1).map(NodeId);
        self.run(images, last, pass)
    }

    /// The result of the node `until`.
    fn run(&mut self, images: FeatureMap<B>, until: Option<NodeId>, pass: &mut Pass<B>) -> Result<FeatureMap<B>> {
        let [_, shape @ ..] = images.shape();
        if shape != self.graph.input() {
            return Err(Error::new(format!("the network is for images of shape {:?}", self.graph.input()))
                .because(format!("these are of shape {shape:?}")));
        }
        let mut results: Vec<Option<FeatureMap<B>>> = vec![None; self.graph.nodes().len()];
        results[0] = Some(images);
        let Self { graph, steps, parameters, of_node, frozen } = self;
        for step in steps.iter() {
            let run = Run { graph, step, results: &results };
            let parameters = &mut parameters[of_node[step.node.0].clone()];
            let stands_still = graph.nodes()[step.node.0].stage < *frozen;
            let result = match stands_still {
                true => pass.standing_still(|pass| run.apply(parameters, pass))?,
                false => run.apply(parameters, pass)?,
            };
            if until == Some(step.result) {
                return Ok(result);
            }
            step.last_read.iter().for_each(|&NodeId(read)| results[read] = None);
            results[step.result.0] = Some(result);
        }
        Err(Error::new("the network has no layers"))
    }
}

fn too_many(spec: &ParameterSpec, most_values: usize) -> Error {
    let sizes: Vec<String> = spec.shape.iter().map(usize::to_string).collect();
    Error::new(format!("`{}` would have {} values", spec.name, sizes.join(" x ")))
        .because(format!("there are {most_values} in all"))
}

/// A step, and the results before it.
struct Run<'a, B: Backend> {
    graph: &'a Graph,
    step: &'a Step,
    results: &'a [Option<FeatureMap<B>>],
}

impl<B: Backend> Run<'_, B> {
    fn apply(&self, parameters: &mut [Parameter<B>], pass: &mut Pass<B>) -> Result<FeatureMap<B>> {
        let node = &self.graph.nodes()[self.step.node.0];
        let &Step { activation, moments, residual, .. } = self.step;
        let name = &node.name;
        let input = |at: usize| node.inputs.get(at).map_or_else(|| Err(self.missing()), |&input| self.result(input));
        let x = input(0)?;
        match (&node.layer, parameters) {
            (Layer::Conv2d(conv), [weight, bias @ ..]) => {
                let residual = residual.map(|residual| self.result(residual)).transpose()?;
                let &Conv { stride, padding, groups, .. } = conv;
                let options = Options { stride, padding, groups, residual, activation, moments };
                conv2d(x, weight, bias.first(), options, pass)
            }
            (Layer::BatchNorm2d(norm), [weight, bias, running_mean, running_var]) => {
                let options = NormOptions { activation, epsilon: norm.epsilon, momentum: norm.momentum };
                batch_norm2d(x, Parameters { weight, bias, running_mean, running_var }, options, pass)
            }
            (Layer::Dense(_), [weight, bias]) => dense(x, weight, bias, activation == Activation::Relu, pass),
            (Layer::Activation(activation), _) => activate(name, x, *activation, pass),
            (Layer::MaxPool2d(window), _) => max_pool2d(name, x, *window, pass),
            (Layer::GlobalAvgPool2d, _) => global_avg_pool2d(name, x, pass),
            (Layer::Add, _) => add(name, x, input(1)?, activation, pass),
            (Layer::Flatten, _) => flatten(x, pass),
            (Layer::Dropout(rate), _) => dropout(name, x.clone(), *rate, pass),
            (Layer::Input | Layer::Conv2d(_) | Layer::BatchNorm2d(_) | Layer::Dense(_), _) => Err(self.missing()),
        }
    }

    fn result(&self, NodeId(node): NodeId) -> Result<&FeatureMap<B>> {
        self.results[node].as_ref().ok_or_else(|| self.missing())
    }

    /// A mistake in this program: the steps are in the wrong order, or a node lacks parameters.
    fn missing(&self) -> Error {
        let node = &self.graph.nodes()[self.step.node.0];
        Error::new(format!("`{}` ({}) cannot be computed", node.name, node.layer.kind()))
            .because("something that it needs is missing, which is a mistake in this program")
    }
}

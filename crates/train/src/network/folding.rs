//! The network that inference runs: batch normalisation is a factor and a summand a channel once its statistics stand
//! still, so the convolution before it can have both in its weight and bias. What follows the normalisation then runs
//! with the convolution.

use super::Network;
use super::graph::{Graph, Layer, NodeId, ParameterSpec};
use crate::ops::Backend;
use crate::ops::batch_norm2d::fold::{Folded, Statistics, fold};
use crate::tensor::parameter::Parameter;
use preprocess::{Error, Result};

/// A graph without the normalisations that could be folded.
struct Plan {
    graph: Graph,
    /// For each node, which of the original's it was.
    origin: Vec<NodeId>,
    /// For each node, the normalisation that it took in.
    norm: Vec<Option<NodeId>>,
}

impl Plan {
    fn of(original: &Graph) -> Self {
        let mut readers = vec![0; original.nodes.len()];
        original.nodes.iter().flat_map(|node| &node.inputs).for_each(|&NodeId(input)| readers[input] += 1);
        let (graph, origin, norm) = (Graph { nodes: Vec::new(), ..original.clone() }, Vec::new(), Vec::new());
        let mut plan = Self { graph, origin, norm };
        // Where each of the original's results is now.
        let mut now = Vec::with_capacity(original.nodes.len());
        for (at, node) in original.nodes.iter().enumerate() {
            if let (Layer::BatchNorm2d(_), &[NodeId(input)]) = (&node.layer, node.inputs.as_slice())
                && readers[input] == 1
                && let Layer::Conv2d(conv) = &original.nodes[input].layer
            {
                let NodeId(place) = now[input];
                plan.graph.nodes[place].layer = Layer::Conv2d(super::graph::Conv { bias: true, ..*conv });
                plan.norm[place] = Some(NodeId(at));
                now.push(NodeId(place));
                continue;
            }
            let mut node = node.clone();
            node.inputs.iter_mut().for_each(|input| *input = now[input.0]);
            now.push(NodeId(plan.graph.nodes.len()));
            plan.graph.nodes.push(node);
            plan.origin.push(NodeId(at));
            plan.norm.push(None);
        }
        plan
    }
}

impl<B: Backend> Network<B> {
    /// The same function of images in inference, with every normalisation folded that alone reads a convolution.
    /// Parameters that did not change are shared, so the original may only be trained on once this is gone.
    ///
    /// # Errors
    /// The device failed, or has no memory left.
    pub fn for_inference(&self, device: &B) -> Result<Self> {
        let Plan { graph, origin, norm } = Plan::of(&self.graph);
        let (mut parameters, mut of_node) = (Vec::new(), Vec::with_capacity(origin.len()));
        for (at, node) in graph.nodes.iter().enumerate() {
            let first = parameters.len();
            let own = &self.parameters[self.of_node[origin[at].0].clone()];
            match norm[at] {
                Some(norm) => parameters.extend(self.folded(own, norm, graph.parameters(node), device)?),
                None => parameters.extend(own.iter().cloned()),
            }
            of_node.push(first..parameters.len());
        }
        Ok(Self { steps: super::fusion::steps(&graph), graph, parameters, of_node, frozen: 0 })
    }

    /// Weight and bias of a convolution (`own`) with the normalisation `norm`.
    fn folded(
        &self,
        own: &[Parameter<B>],
        norm: NodeId,
        specs: Vec<ParameterSpec>,
        device: &B,
    ) -> Result<Vec<Parameter<B>>> {
        let node = &self.graph.nodes[norm.0];
        let (Layer::BatchNorm2d(settings), [weight, bias @ ..], [gamma, beta, mean, variance]) =
            (&node.layer, own, &self.parameters[self.of_node[norm.0].clone()])
        else {
            return Err(Error::new(format!("`{}` cannot be folded", node.name))
                .because("it is no normalisation of a convolution, which is a mistake in this program"));
        };
        let [gamma, beta, mean, variance] = [gamma, beta, mean, variance].map(|vector| vector.values());
        let statistics =
            Statistics { weight: &gamma, bias: &beta, mean: &mean, variance: &variance, epsilon: settings.epsilon };
        let bias = bias.first().map(|bias| bias.values());
        let Folded { weight, bias } = fold(&weight.values(), bias.as_deref(), &statistics);
        let values = specs.into_iter().zip([weight, bias]);
        values.map(|(spec, values)| Parameter::new(spec.name, &spec.shape, values, false, device)).collect()
    }
}

#[cfg(test)]
mod tests;

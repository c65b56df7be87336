//! Which nodes of a graph run together, found from the description.
//!
//! - An activation runs with the convolution, normalisation, addition or dense layer before it, if nothing else reads
//!   that.
//! - An addition runs as the residual of the later of two convolutions that it adds, or of the convolution that it
//!   adds to something earlier, if nothing else reads that convolution.
//! - A convolution whose result batch normalisation reads takes the moments as it goes.
//!
//! What batch normalisation leaves pending, the next op applies as it reads; that is between the ops and needs no
//! plan. In inference [`folding`](super::folding) removes normalisations first, so that more runs together.

use super::graph::{Graph, Layer, NodeId};
use crate::tensor::activation::Activation;

/// One call of an op.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// The node whose op it is.
    pub node: NodeId,
    /// What is added to its result before the activation.
    pub residual: Option<NodeId>,
    /// What the op ends with.
    pub activation: Activation,
    /// Whether it takes the moments of its result in training.
    pub moments: bool,
    /// The last of the nodes that run together: the one whose result this is.
    pub result: NodeId,
    /// Results that nothing reads after this step.
    pub last_read: Vec<NodeId>,
}

/// The steps of a graph, in order.
pub(super) fn steps(graph: &Graph) -> Vec<Step> {
    let readers = Readers::of(graph);
    let mut taken = vec![false; graph.nodes.len()];
    let mut steps = Vec::new();
    for at in 1..graph.nodes.len() {
        if !taken[at] {
            let step = readers.step(graph, NodeId(at));
            let addition = step.residual.and_then(|_| readers.only(step.node));
            for NodeId(covered) in [step.node, step.result].into_iter().chain(addition) {
                taken[covered] = true;
            }
            steps.push(step);
        }
    }
    mark_last_reads(graph, &mut steps);
    steps
}

/// For each node, those that read it.
struct Readers(Vec<Vec<NodeId>>);

impl Readers {
    fn of(graph: &Graph) -> Self {
        let mut readers = vec![Vec::new(); graph.nodes.len()];
        for (at, node) in graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&NodeId(input)| readers[input].push(NodeId(at)));
        }
        Self(readers)
    }

    /// The reader of a node that has one.
    fn only(&self, node: NodeId) -> Option<NodeId> {
        match self.0[node.0].as_slice() {
            &[reader] => Some(reader),
            _ => None,
        }
    }

    /// The step of `node`, with what follows it.
    fn step(&self, graph: &Graph, node: NodeId) -> Step {
        let mut step = Step {
            node,
            residual: None,
            activation: Activation::None,
            moments: false,
            result: node,
            last_read: vec![],
        };
        let layer = |NodeId(node): NodeId| &graph.nodes[node].layer;
        let is_conv = matches!(layer(node), Layer::Conv2d(_));
        if let (Layer::Conv2d(_), Some(add)) = (layer(node), self.only(node))
            && let (Layer::Add, &[a, b]) = (layer(add), graph.nodes[add.0].inputs.as_slice())
        {
            let other = if a == node { b } else { a };
            // Only what is there by now can be added.
            if other < node {
                (step.residual, step.result) = (Some(other), add);
            }
        }
        let takes = |activation| match layer(node) {
            Layer::Conv2d(_) | Layer::BatchNorm2d(_) | Layer::Add => true,
            Layer::Dense(_) => activation == Activation::Relu,
            _ => false,
        };
        if let Some(next) = self.only(step.result)
            && let &Layer::Activation(activation) = layer(next)
            && takes(activation)
        {
            (step.activation, step.result) = (activation, next);
        }
        let normalized = |&reader: &NodeId| matches!(layer(reader), Layer::BatchNorm2d(_));
        step.moments = is_conv && self.0[step.result.0].iter().any(normalized);
        step
    }
}

/// Finds for each result the last step that reads it.
fn mark_last_reads(graph: &Graph, steps: &mut [Step]) {
    let mut read = vec![false; graph.nodes.len()];
    for step in steps.iter_mut().rev() {
        let inputs = graph.nodes[step.node.0].inputs.iter().copied().chain(step.residual);
        for input in inputs {
            if !std::mem::replace(&mut read[input.0], true) {
                step.last_read.push(input);
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! The table of layers, as Keras' `model.summary()` prints it.

use super::graph::{Graph, Layer, Node};
use std::fmt::Write;

/// Numbers of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ParameterCounts {
    /// Those that the optimiser changes.
    pub trainable: usize,
    /// Moving means and variances.
    pub non_trainable: usize,
}

impl ParameterCounts {
    /// Of a whole network.
    pub fn of(graph: &Graph) -> Self {
        graph.nodes().iter().fold(Self::default(), |sum, node| {
            let Self { trainable, non_trainable } = Self::of_node(graph, node);
            Self { trainable: sum.trainable + trainable, non_trainable: sum.non_trainable + non_trainable }
        })
    }

    fn of_node(graph: &Graph, node: &Node) -> Self {
        graph.parameters(node).iter().fold(Self::default(), |mut counts, parameter| {
            let count = if parameter.trainable { &mut counts.trainable } else { &mut counts.non_trainable };
            *count += parameter.shape.iter().product::<usize>();
            counts
        })
    }

    /// Both kinds.
    pub(crate) fn total(self) -> usize {
        self.trainable + self.non_trainable
    }
}

/// The whole table, with the totals below it. Activations and the input have no line: they have no parameters, and no
/// shape of their own.
pub(crate) fn table(graph: &Graph) -> String {
    let header = ["Layer (type)", "Output shape", "Parameters", "MFLOP"].map(str::to_owned);
    let shown = graph.nodes().iter().filter(|node| !matches!(node.layer, Layer::Input | Layer::Activation(_)));
    let cells: Vec<[String; 4]> = shown.map(|node| line(graph, node)).collect();
    let width = |column: usize| cells.iter().chain([&header]).map(|row| row[column].len()).max().unwrap_or(0);
    let [layer, shape, count, flops] = [width(0), width(1), width(2), width(3)];
    let rule = "─".repeat(layer + shape + count + flops + 6);
    let text_of = |cells: &[String; 4]| {
        let [name, output, parameters, work] = cells;
        let line = format!("{name:layer$}  {output:shape$}  {parameters:>count$}  {work:>flops$}");
        format!("{}\n", line.trim_end())
    };
    let lines: String = cells.iter().map(text_of).collect();
    let mut text = format!("{}{rule}\n{lines}{rule}\n", text_of(&header));
    let counts = ParameterCounts::of(graph);
    for (name, number) in [
        ("Total parameters:", counts.total()),
        ("Trainable parameters:", counts.trainable),
        ("Non-trainable parameters:", counts.non_trainable),
    ] {
        let _ = writeln!(text, "{name:25}  {:>12}", grouped(number));
    }
    let work: usize = graph.nodes().iter().map(|node| graph.flops(node)).sum();
    let _ = writeln!(text, "{:25}  {:>12} (forward, an image)", "MFLOP:", mega(work));
    text
}

/// Name and kind, output, parameters, and what an image costs.
fn line(graph: &Graph, node: &Node) -> [String; 4] {
    let counts = ParameterCounts::of_node(graph, node);
    let work = graph.flops(node);
    [
        format!("{} ({})", node.name, node.layer.kind()),
        node.output.to_string(),
        grouped(counts.total()),
        if work == 0 { String::new() } else { mega(work) },
    ]
}

/// Millions, with one decimal.
fn mega(flops: usize) -> String {
    format!("{:.1}", flops as f64 / 1e6)
}

/// `3,491,603`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

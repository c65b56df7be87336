//! The table of layers, as Keras' `model.summary()` prints it.

use crate::network::Network;
use crate::ops::Backend;
use crate::tensor::parameter::Parameter;
use std::fmt::Write;

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRow {
    /// `unit1.conv2`; also the prefix of its parameters' names.
    pub name: String,
    /// `Conv2d`, `BatchNorm2d`, …
    pub kind: &'static str,
    /// Without the batch: `[channels, height, width]` or `[features]`.
    pub output: Vec<usize>,
    /// Values in its parameters, trainable or not.
    pub parameters: usize,
}

/// Numbers of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ParameterCounts {
    /// Those that the optimiser changes.
    pub trainable: usize,
    /// Moving means and variances.
    pub non_trainable: usize,
}

impl ParameterCounts {
    /// Counts the values of some parameters.
    pub fn of<B: Backend>(parameters: &[&Parameter<B>]) -> Self {
        parameters.iter().fold(Self::default(), |mut counts, parameter| {
            let count = if parameter.trainable { &mut counts.trainable } else { &mut counts.non_trainable };
            *count += parameter.len();
            counts
        })
    }

    /// Both kinds.
    pub fn total(self) -> usize {
        self.trainable + self.non_trainable
    }
}

/// The whole table, with the totals below it.
pub fn table<B: Backend>(network: &dyn Network<B>) -> String {
    let rows = network.layers();
    let header = ["Layer (type)", "Output shape", "Parameters"].map(str::to_owned);
    let cells: Vec<[String; 3]> = rows
        .iter()
        .map(|row| [format!("{} ({})", row.name, row.kind), shape_text(&row.output), grouped(row.parameters)])
        .collect();
    let width = |column: usize| cells.iter().chain([&header]).map(|row| row[column].len()).max().unwrap_or(0);
    let [layer, shape, count] = [width(0), width(1), width(2)];
    let rule = "─".repeat(layer + shape + count + 4);
    let mut text = String::new();
    let mut line = |cells: &[String; 3]| {
        let _ = writeln!(text, "{:layer$}  {:shape$}  {:>count$}", cells[0], cells[1], cells[2]);
    };
    line(&header);
    cells.iter().for_each(line);
    let first_line = text.find('\n').map_or(text.len(), |at| at + 1);
    text.insert_str(first_line, &format!("{rule}\n"));
    let counts = ParameterCounts::of(&network.parameters());
    let _ = writeln!(text, "{rule}");
    let _ = writeln!(text, "Total parameters:          {:>12}", grouped(counts.total()));
    let _ = writeln!(text, "Trainable parameters:      {:>12}", grouped(counts.trainable));
    let _ = writeln!(text, "Non-trainable parameters:  {:>12}", grouped(counts.non_trainable));
    text
}

/// `(32, 61, 61)`, the batch left out.
fn shape_text(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("({})", sizes.join(", "))
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

//! Which classes are taken for which: first the most frequent confusions, then the whole matrix.

use super::Material;
use crate::document::{Block, Drawing, Section, Table};
use crate::figure::ConfusionFigure;
use crate::format::{count, percent};
use crate::metrics::ConfusionMatrix;
use crate::run::confusion_csv_name;

/// Pairs listed of each model.
const PAIRS: usize = 10;

pub(super) fn section(material: &Material) -> Option<Section> {
    let metrics = material.metrics;
    let split = metrics.judged_split?;
    let classes = &metrics.dataset.classes;
    let mut blocks = Vec::new();
    for (name, model) in &metrics.models {
        let Some(scores) = model.splits.get(&split) else { continue };
        let matrix = ConfusionMatrix::from_rows(&scores.confusion);
        blocks.push(Block::Heading(format!("{name}, {} split", split.name())));
        let pairs = pairs_table(&matrix, classes);
        blocks.push(if pairs.rows.is_empty() { Block::Paragraph("No mistakes.".into()) } else { Block::Table(pairs) });
        let figure = ConfusionFigure { classes: classes.clone(), matrix, of: format!("{name} on the {} split", split.name()) };
        blocks.push(Block::Wide(Drawing {
            name: format!("confusion-{name}-{}", split.name()),
            figure: Box::new(figure),
            caption: String::new(),
        }));
        for &split in model.splits.keys() {
            blocks.push(Block::File {
                path: confusion_csv_name(name, split),
                label: format!("Confusion matrix of {name} on the {} split as CSV", split.name()),
            });
        }
    }
    Some(Section { id: "confusion", title: "Confusions".into(), blocks })
}

fn pairs_table(matrix: &ConfusionMatrix, classes: &[String]) -> Table {
    let mut table = Table::new(["True class", "Taken for", "#Images", "#Of the true class"]);
    for (truth, predicted, number) in matrix.confused_pairs().into_iter().take(PAIRS) {
        table.row([
            classes[truth].clone(),
            classes[predicted].clone(),
            count(number),
            percent(number as f64 / matrix.support(truth) as f64),
        ]);
    }
    table
}

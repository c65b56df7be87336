//! Which classes are taken for which: first the most frequent confusions, then the whole matrix.

use super::material::Material;
use crate::document::{Block, Drawing, Section, Table};
use crate::figure::ConfusionFigure;
use crate::files::confusion_csv_name;
use crate::format::{count, percent};
use crate::metrics::ConfusionMatrix;

/// Pairs listed of each model.
const PAIRS: usize = 10;
/// Matrices of so many classes can be read at half the page's width.
const SIDE_BY_SIDE: usize = 12;

pub(super) fn section(material: &Material) -> Option<Section> {
    let metrics = material.metrics;
    let split = metrics.judged_split?;
    let classes = &metrics.dataset.classes;
    let of = |name: &str| format!("{name} on the {} split", split.name());
    let measured: Vec<(&String, ConfusionMatrix)> = metrics
        .models
        .iter()
        .filter_map(|(name, model)| Some((name, ConfusionMatrix::from_rows(&model.splits.get(&split)?.confusion))))
        .collect();

    let pairs =
        measured.iter().map(|(name, matrix)| (format!("Most confused by {name}"), pairs_table(matrix, classes)));
    let mut blocks = vec![Block::Columns(pairs.collect())];
    let drawings = measured.into_iter().map(|(name, matrix)| Drawing {
        name: format!("confusion-{name}-{}", split.name()),
        figure: Box::new(ConfusionFigure { classes: classes.clone(), matrix, of: of(name) }),
        caption: of(name),
    });
    if classes.len() <= SIDE_BY_SIDE {
        blocks.push(Block::Gallery(drawings.collect()));
    } else {
        blocks.extend(drawings.map(Block::Wide));
    }
    for (name, model) in &metrics.models {
        blocks.extend(model.splits.keys().map(|&split| Block::File {
            path: confusion_csv_name(name, split),
            label: format!("Confusion matrix of {name} on the {} split as CSV", split.name()),
        }));
    }
    Some(Section { id: "confusion", title: "Confusions".into(), blocks })
}

fn pairs_table(matrix: &ConfusionMatrix, classes: &[String]) -> Table {
    let mut table = Table::new(["True class", "Taken for", "#Images", "#Of its class"]);
    for (truth, predicted, number) in matrix.confused_pairs().into_iter().take(PAIRS) {
        table.row([
            classes[truth].clone(),
            classes[predicted].clone(),
            count(number),
            percent(number as f64 / matrix.support(truth) as f64),
        ]);
    }
    if table.rows.is_empty() {
        table.row(["no mistakes", "", "", ""]);
    }
    table
}

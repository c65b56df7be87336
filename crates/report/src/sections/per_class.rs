//! Precision, recall, F1 and support of every class.

use super::material::{Material, capitalised};
use crate::document::{Block, Cell, Drawing, Section, Table};
use crate::figure::{Bar, BarChart};
use crate::format::{count, counted, images_in_groups};
use crate::metrics::AverageScores;
use crate::metrics_file::{Metrics, SplitMetrics};
use preprocess::pipeline::Split;

pub(super) fn section(material: &Material) -> Section {
    let metrics = material.metrics;
    let mut blocks = Vec::new();
    if let Some(split) = metrics.judged_split {
        blocks.push(Block::Gallery(vec![Drawing {
            name: "f1-by-class".into(),
            figure: Box::new(f1_chart(metrics, split)),
            caption: format!("F1 of each class on the {} split{}.", split.name(), measured_on(metrics, split)),
        }]));
        let tables = metrics.models.iter().filter_map(|(name, model)| {
            Some((format!("{name}, {} split", split.name()), scores_table(model.splits.get(&split)?)))
        });
        blocks.push(Block::Columns(tables.collect()));
        blocks.push(Block::Paragraph(
            "Precision: of the images predicted as the class, the fraction that are of it. Recall: of the images of the class, the \
             fraction predicted as it. F1: their harmonic mean. Support: images of the class. A score without a denominator is 0. \
             The macro average counts all classes that have images alike, the weighted average by their support."
                .into(),
        ));
        let empty = metrics.models.values().filter_map(|model| model.splits.get(&split)).next();
        if let Some(empty) = empty.map(|scores| scores.classes_without_images).filter(|&empty| empty > 0) {
            blocks.push(Block::Note(format!(
                "{} no image in the {} split: nothing is known of {}, and the macro average leaves {} out.",
                counted(empty, "class has", "classes have"),
                split.name(),
                if empty == 1 { "it" } else { "them" },
                if empty == 1 { "it" } else { "them" },
            )));
        }
    } else {
        blocks.push(Block::Note("There is neither a test nor a validation split: nothing could be measured.".into()));
    }
    let title = metrics
        .judged_split
        .map_or("Scores by class".into(), |split| format!("Scores by class: {}", capitalised(split)));
    Section { id: "classes", title, blocks }
}

/// `: 600 images in 580 groups`; nothing without a model.
fn measured_on(metrics: &Metrics, split: Split) -> String {
    let scores = metrics.models.values().find_map(|model| model.splits.get(&split));
    scores.map_or_else(String::new, |scores| format!(": {}", images_in_groups(scores.images, scores.groups)))
}

fn f1_chart(metrics: &Metrics, split: Split) -> BarChart {
    let bar = |(label, class): (usize, &String)| {
        let f1 = |(series, scores): (usize, &SplitMetrics)| Some((series, scores.classes.get(label)?.scores.f1));
        let measured = metrics.models.values().filter_map(|model| model.splits.get(&split)).enumerate();
        Bar { name: class.clone(), strong: false, values: measured.filter_map(f1).collect() }
    };
    BarChart {
        quantity: "F1".into(),
        series: metrics.models.keys().cloned().collect(),
        bars: metrics.dataset.classes.iter().enumerate().map(bar).collect(),
    }
}

fn scores_table(scores: &SplitMetrics) -> Table {
    let mut table = Table::new(["Class", "#Precision", "#Recall", "#F1", "#Support"]);
    for class in &scores.classes {
        let of = &class.scores;
        table.row([class.class.clone(), decimal(of.precision), decimal(of.recall), decimal(of.f1), count(of.support)]);
    }
    for (name, AverageScores { precision, recall, f1 }) in
        [("Macro average", scores.macro_average), ("Weighted average", scores.weighted_average)]
    {
        let cells = [name.to_string(), decimal(precision), decimal(recall), decimal(f1), count(scores.images)];
        table.row(cells.map(|text| Cell::new(text, true)));
    }
    table
}

fn decimal(value: f64) -> String {
    format!("{value:.3}")
}

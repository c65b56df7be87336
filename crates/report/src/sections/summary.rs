//! The models side by side, and whether their difference means anything.

use super::material::{Material, capitalised};
use crate::document::{Block, Cell, Column, Section, Table};
use crate::format::{
    count, counted, interval, number_in_groups, p_value, percent, percent_interval, points, points_interval, seconds,
};
use crate::metrics::Interval;
use crate::metrics_file::{ClassMetrics, Comparison, Metrics, ModelMetrics, SplitMetrics};
use crate::results::MEASURED;
use preprocess::pipeline::Split;

pub(super) fn section(material: &Material) -> Section {
    let metrics = material.metrics;
    let mut blocks: Vec<Block> =
        material.results.notes.iter().chain(material.notes).map(|note| Block::Note(note.clone())).collect();
    if metrics.judged_split != Some(Split::Test) {
        blocks.push(Block::Note(
            "There is no test split: the validation split, on which the best epoch was chosen, flatters the models."
                .into(),
        ));
    }
    blocks.push(Block::Table(comparison_table(metrics)));
    blocks.push(Block::Paragraph(
        "In brackets, intervals that hold the true value with 95 % confidence: Wilson's for accuracy, the normal one for the loss, the bootstrap \
         for macro F1, each over groups of images that belong together (near-copies, or what the pipeline file groups). Every image counts once \
         and is not augmented. The loss is the mean cross-entropy. Macro recall is the mean over the classes, each counting alike; the worst class \
         is named with its number of images."
            .into(),
    ));
    if !metrics.comparisons.is_empty() {
        blocks.push(Block::Heading("Is the difference real?".into()));
        blocks.push(Block::Table(significance_table(metrics)));
        blocks.push(Block::Paragraph(
            "Two models measured on the same images are compared on the images that only one of them classifies rightly, a group at \
             a time (exact sign-flip test, which is McNemar's where every group is one image; two-sided at 5 %; with several pairs corrected \
             by Holm's method). A difference that is not significant may be chance."
                .into(),
        ));
    }
    Section { id: "summary", title: "Comparison of the models".into(), blocks }
}

/// A row a quantity, a column a model.
pub(crate) fn comparison_table(metrics: &Metrics) -> Table {
    let mut table = Table::new([""]);
    table.columns.extend(metrics.models.keys().map(Column::number));
    let mut row = |name: String, value: &dyn Fn(&ModelMetrics) -> String| {
        let cells = metrics.models.values().map(|model| Cell::from(value(model)));
        table.rows.push(std::iter::once(Cell::from(name)).chain(cells).collect());
    };
    row("Parameters".into(), &|model| count(model.parameters));
    row("of which trainable".into(), &|model| count(model.trainable_parameters));
    row("Epochs trained".into(), &|model| model.epochs.to_string());
    row("Best epoch".into(), &|model| model.best_epoch.to_string());
    row("Time per epoch".into(), &|model| model.seconds_per_epoch.map_or_else(|| "unknown".into(), seconds));
    for split in MEASURED {
        split_rows(&mut table, metrics, split);
    }
    table
}

/// The scores of one split, if it was measured at all.
fn split_rows(table: &mut Table, metrics: &Metrics, split: Split) {
    let measured: Vec<Option<&SplitMetrics>> = metrics.models.values().map(|model| model.splits.get(&split)).collect();
    if measured.iter().all(Option::is_none) {
        return;
    }
    let mut row = |name: &str, rank: &dyn Fn(&SplitMetrics) -> f64, value: &dyn Fn(&SplitMetrics) -> String| {
        let best = measured.iter().flatten().map(|scores| rank(scores)).fold(f64::NEG_INFINITY, f64::max);
        let cell = |scores: &Option<&SplitMetrics>| match scores {
            Some(scores) => Cell::new(value(scores), measured.len() > 1 && rank(scores) == best),
            None => Cell::from("not measured"),
        };
        let title = format!("{} {name}", capitalised(split));
        table.rows.push(std::iter::once(Cell::from(title)).chain(measured.iter().map(cell)).collect());
    };
    // Of no score is a greater number of images the better one.
    row("images", &|_| f64::NAN, &|scores| number_in_groups(scores.images, scores.groups));
    row("accuracy", &|scores| scores.accuracy, &|scores| {
        format!("{} ({})", percent(scores.accuracy), percent_interval(&scores.accuracy_interval))
    });
    row("loss (nats)", &|scores| -scores.loss, &|scores| with_interval(scores.loss, scores.loss_interval));
    row("macro F1", &|scores| scores.macro_average.f1, &|scores| {
        with_interval(scores.macro_average.f1, scores.macro_f1_interval)
    });
    row("macro recall", &|scores| scores.macro_average.recall, &|scores| percent(scores.macro_average.recall));
    row("worst class' recall", &|scores| worst(scores).map_or(0.0, |class| class.scores.recall), &|scores| {
        worst(scores).map_or_else(
            || "unknown".into(),
            |class| format!("{} ({}, {})", percent(class.scores.recall), class.class, count(class.scores.support)),
        )
    });
    if measured.iter().flatten().any(|scores| scores.top_3_accuracy.is_some()) {
        row("top-3 accuracy", &|scores| scores.top_3_accuracy.unwrap_or(0.0), &|scores| {
            scores.top_3_accuracy.map_or_else(|| "unknown".into(), percent)
        });
    }
    row("calibration error", &|scores| -scores.calibration_error, &|scores| percent(scores.calibration_error));
}

/// The class of which the fewest images are recognised, in proportion; the first of equals. None without images.
fn worst(scores: &SplitMetrics) -> Option<&ClassMetrics> {
    let measured = scores.classes.iter().filter(|class| class.scores.support > 0);
    measured.min_by(|a, b| a.scores.recall.total_cmp(&b.scores.recall))
}

fn with_interval(value: f64, bounds: Option<Interval>) -> String {
    bounds.map_or_else(|| format!("{value:.3}"), |bounds| format!("{value:.3} ({})", interval(&bounds)))
}

fn significance_table(metrics: &Metrics) -> Table {
    let columns = [
        "Split",
        "First",
        "Second",
        "#Accuracy difference",
        "#95 % interval",
        "#Only the first right",
        "#Only the second right",
        "Verdict",
    ];
    let mut table = Table::new(columns);
    for comparison in &metrics.comparisons {
        table.row([
            Cell::from(capitalised(comparison.split)),
            Cell::from(&comparison.first),
            Cell::from(&comparison.second),
            Cell::from(points(comparison.difference)),
            Cell::from(comparison.difference_interval.as_ref().map_or_else(|| "unknown".into(), points_interval)),
            Cell::from(counted(comparison.only_first, "image", "images")),
            Cell::from(counted(comparison.only_second, "image", "images")),
            Cell::new(verdict(comparison), comparison.significant),
        ]);
    }
    table
}

/// Whether one of the two is better: `resnet is better (p = 0.007)`, `not significant (p = 0.210)`.
pub(crate) fn verdict(comparison: &Comparison) -> String {
    let Comparison { first, second, difference, significant, .. } = comparison;
    let better = if *difference > 0.0 { second } else { first };
    let verdict = if *significant { format!("{better} is better") } else { "not significant".to_string() };
    format!("{verdict} ({})", p_value(comparison.p_value))
}

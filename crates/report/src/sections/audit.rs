//! What is wrong with the data, beside the score.

use super::audit_cards::drawings;
use super::material::{Material, capitalised};
use crate::audit::scores::{AuditMetrics, OverFolds, PartScores, ScoresWithout};
use crate::audit::{Audit, Kind};
use crate::document::{Block, Cell, Section, Table};
use crate::files::AUDIT;
use crate::format::{count, counted, percent, percent_interval};
use crate::metrics::Interval;
use train::audit::evidence::FeatureSource;

/// Pairs of classes in the table of label errors.
const PAIRS: usize = 10;

pub(super) fn section(material: &Material) -> Option<Section> {
    let audit = material.audit?;
    let metrics = &audit.metrics;
    let mut blocks = vec![Block::Paragraph(basis(metrics)), Block::Table(findings_table(metrics))];
    blocks.push(Block::Paragraph(redundant(metrics)));
    blocks.push(Block::File { path: AUDIT.into(), label: "All findings, with the reason of each".into() });
    blocks.push(Block::Heading("How many labels are wrong?".into()));
    blocks.extend(label_errors(metrics));
    blocks.push(Block::Heading("Scores and the data's faults".into()));
    blocks.extend(folds(metrics));
    blocks.extend(without(material, metrics));
    for kind in Kind::ALL {
        let drawings = drawings(material, audit, kind);
        if !drawings.is_empty() {
            blocks.push(Block::Heading(heading(kind, audit)));
            blocks.push(Block::Gallery(drawings));
        }
    }
    blocks.push(Block::Heading("What to do".into()));
    blocks.extend(what_to_do());
    Some(Section { id: "audit", title: "Audit of the data".into(), blocks })
}

/// What all of it is judged by.
fn basis(metrics: &AuditMetrics) -> String {
    let source = match &metrics.features {
        FeatureSource::Pretrained(weights) => {
            format!("features of a pretrained network ({weights}) that has seen none of these labels")
        }
        FeatureSource::Trained(model) => format!(
            "the last features of the model {model}. They were trained on these very labels, so wrong ones among the training images are \
             partly learnt by heart: fewer are found than there are. A model with pretrained weights in the pipeline finds more"
        ),
    };
    format!(
        "{} are judged by {source}. A classifier on these features gives each image probabilities while the image is held back; neighbours are the \
         images with the most similar features. A finding is a reason to look, not a verdict.",
        counted(metrics.images, "image", "images")
    )
}

fn findings_table(metrics: &AuditMetrics) -> Table {
    let mut table = Table::new(["Finding", "#Images", "What it means"]);
    for (&kind, &number) in &metrics.findings {
        table.row([Cell::from(kind.name()), Cell::from(count(number)), Cell::from(meaning(kind))]);
    }
    table
}

fn meaning(kind: Kind) -> &'static str {
    match kind {
        Kind::WrongLabel => "the label is likely another's",
        Kind::Duplicate => "the same picture is there under another label",
        Kind::Leak => {
            "the same picture, or its group, is in an earlier split: the score is measured on what was learnt"
        }
        Kind::Unusable => "nearly empty, blurred, or of an odd form",
        Kind::Outlier => "like no other image, of its class or of any",
    }
}

fn redundant(metrics: &AuditMetrics) -> String {
    match metrics.redundant_copies {
        0 => "No two images of one class and split show the same picture.".into(),
        copies => format!(
            "{} the same picture as another one of the class and split. That is harmless, and not listed.",
            counted(copies, "image shows", "images show")
        ),
    }
}

fn label_errors(metrics: &AuditMetrics) -> Vec<Block> {
    let errors = &metrics.label_errors;
    let text = format!(
        "Confident learning estimates {:.0} wrong labels of {} (95 % interval: {}). Copies of one picture count once. The interval tells what \
         chance may do; classes that the classifier itself confuses seem to be labelled worse than they are.",
        errors.images,
        count(metrics.images),
        number_interval(&errors.interval)
    );
    let mut blocks = vec![Block::Paragraph(text)];
    if errors.pairs.is_empty() {
        return blocks;
    }
    let mut table = Table::new(["Given", "Likely", "#Estimated images", "#95 % interval"]);
    for pair in errors.pairs.iter().take(PAIRS) {
        let estimate = format!("{:.1}", pair.images);
        table.row([pair.given.clone(), pair.likely.clone(), estimate, number_interval(&pair.interval)]);
    }
    blocks.push(Block::Table(table));
    if let Some(more) = errors.pairs.len().checked_sub(PAIRS).filter(|&more| more > 0) {
        blocks.push(Block::Paragraph(format!("And {} with fewer.", counted(more, "pair", "pairs"))));
    }
    blocks
}

/// In images.
fn number_interval(interval: &Interval) -> String {
    format!("{:.0} to {:.0}", interval.low, interval.high)
}

fn folds(metrics: &AuditMetrics) -> Vec<Block> {
    let folds = &metrics.folds;
    if folds.images.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new(["Fold", "#Images", "#Accuracy", "#Macro recall"]);
    for (index, &images) in folds.images.iter().enumerate() {
        let score = |over: &OverFolds| over.folds.get(index).map_or_else(|| "unknown".into(), |&score| percent(score));
        table.row([(index + 1).to_string(), count(images), score(&folds.accuracy), score(&folds.macro_recall)]);
    }
    let over = |name: &str, value: fn(&OverFolds) -> Option<String>| {
        let text = |over: &OverFolds| value(over).unwrap_or_else(|| "unknown".into());
        [name.to_owned(), String::new(), text(&folds.accuracy), text(&folds.macro_recall)]
    };
    table.row(over("mean", |over| over.mean.map(percent)));
    table.row(over("standard deviation", |over| over.spread.map(percent)));
    table.row(over("95 % interval of the mean", |over| over.interval.as_ref().map(percent_interval)));
    let text = "The classifier on the features, each fold's images judged by one that was fitted without them; the test split is in no fold. The \
                spread shows what another division of the images changes. The interval is Student's; folds share their training images, so the truth \
                may lie outside of it oftener than once in twenty.";
    vec![Block::Table(table), Block::Paragraph(text.into())]
}

fn without(material: &Material, metrics: &AuditMetrics) -> Vec<Block> {
    let Some(split) = material.metrics.judged_split.filter(|_| !metrics.models.is_empty()) else { return Vec::new() };
    let mut table =
        Table::new(["Model", "Images", "#Left out", "#Images", "#Accuracy", "#95 % interval", "#Macro recall"]);
    for (model, scores) in &metrics.models {
        for (name, part) in parts(scores) {
            let score = |value: Option<f64>| value.map_or_else(|| "unknown".into(), percent);
            table.row([
                model.clone(),
                name.into(),
                count(part.left_out),
                count(part.images),
                score(part.accuracy),
                percent_interval(&part.accuracy_interval),
                score(part.macro_recall),
            ]);
        }
    }
    let text = format!(
        "{} split. Without relatives in training: what a model knows of new pictures. Without likely wrong labels: what it might score if \
         they were corrected; a little too high, since hard images that are labelled rightly are suspected too.",
        capitalised(split)
    );
    vec![Block::Table(table), Block::Paragraph(text)]
}

/// The parts of a split, each with what it is called.
fn parts(scores: &ScoresWithout) -> [(&'static str, &PartScores); 3] {
    [
        ("all", &scores.all),
        ("without likely wrong labels", &scores.without_wrong_labels),
        ("without relatives in training", &scores.without_relatives),
    ]
}

fn heading(kind: Kind, audit: &Audit) -> String {
    let name = match kind {
        Kind::WrongLabel => "Labels that are likely wrong",
        Kind::Duplicate => "The same picture under two labels",
        Kind::Leak => "The same picture in two splits",
        Kind::Unusable => "Images that show nothing, or are of an odd form",
        Kind::Outlier => "Images like no other",
    };
    let (all, shown) = (audit.of_kind(kind).count(), drawn(kind, audit));
    if all > shown { format!("{name}: the worst {shown} of {}", count(all)) } else { name.into() }
}

fn drawn(kind: Kind, audit: &Audit) -> usize {
    super::audit_cards::shown(audit, kind).count()
}

fn what_to_do() -> Vec<Block> {
    let mut table = Table::new(["path", "action", "What it does"]);
    table.row(["a path from audit.csv", "relabel CLASS", "gives the image another class"]);
    table.row(["a path from audit.csv", "drop", "leaves the image out"]);
    table.row(["a path from audit.csv", "keep", "the image is right as it is: no finding is listed of it again"]);
    vec![
        Block::Paragraph(
            "Look at the findings, and write what you decide into a file corrections.csv with the columns path and action. Of two images \
             that are each given the other's label, correct one."
                .into(),
        ),
        Block::Table(table),
        Block::Paragraph(
            "Name the file in the pipeline file, as preprocess.corrections: corrections.csv, and run all three stages again. The source images \
             stay as they are."
                .into(),
        ),
    ]
}

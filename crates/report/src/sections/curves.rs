//! Loss and accuracy against epochs.

use super::material::Material;
use crate::document::{Block, Drawing, Section};
use crate::figure::{Line, LineChart};
use train::model::history::EpochScores;

type Value = fn(&EpochScores) -> f64;

pub(super) fn section(material: &Material) -> Section {
    let loss = chart(material, "Loss (nats)", false, [|epoch| epoch.loss, |epoch| epoch.validation_loss]);
    let accuracy = chart(material, "Accuracy", true, [|epoch| epoch.accuracy, |epoch| epoch.validation_accuracy]);
    let caption =
        "Training scores are of the images as they were seen: augmented, with dropout. The ring marks the best epoch.";
    Section {
        id: "curves",
        title: "Training".into(),
        blocks: vec![
            Block::Gallery(vec![
                Drawing { name: "loss".into(), figure: Box::new(loss), caption: String::new() },
                Drawing { name: "accuracy".into(), figure: Box::new(accuracy), caption: String::new() },
            ]),
            Block::Paragraph(caption.into()),
        ],
    }
}

/// Two lines a model: training dashed, validation solid.
fn chart(material: &Material, quantity: &str, percent: bool, [training, validation]: [Value; 2]) -> LineChart {
    let mut lines = Vec::new();
    for (series, model) in material.results.models.iter().enumerate() {
        for (kind, dashed, value) in [("training", true, training), ("validation", false, validation)] {
            let points: Vec<_> = model.history.iter().map(|epoch| (epoch.epoch, value(epoch))).collect();
            if points.iter().any(|(_, value)| value.is_finite()) {
                let marked = (!dashed).then_some(model.config.best_epoch);
                lines.push(Line { name: format!("{}, {kind}", model.name), series, dashed, points, marked });
            }
        }
    }
    LineChart { quantity: quantity.into(), percent, lines }
}

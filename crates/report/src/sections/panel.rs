//! Sample images, each beside the bar chart of its predicted distribution.

use super::cards::card;
use super::material::{Material, capitalised};
use crate::document::{Block, Drawing, Section};

/// Bars of so many classes at most; a chart of 50 could not be read.
const CLASSES: usize = 20;
/// Models drawn beside one another in one chart.
const MODELS: usize = 4;

pub(super) fn section(material: &Material) -> Option<Section> {
    let picks = material.picks?;
    let series: Vec<usize> = (0..material.results.models.len().min(MODELS)).collect();
    let drawing = |(number, &row): (usize, &usize)| {
        let card = card(material, picks, row, &series, CLASSES)?;
        Some(Drawing { name: format!("sample-{}", number + 1), figure: Box::new(card), caption: String::new() })
    };
    let text = format!(
        "{} images of as many classes as there is room for, drawn by a hash of their names, with the probability that each model gives to the \
         classes. The true class is set in bold.",
        capitalised(picks.split)
    );
    Some(Section {
        id: "samples",
        title: "Sample predictions".into(),
        blocks: vec![
            Block::Paragraph(text),
            Block::Gallery(picks.samples.iter().enumerate().filter_map(drawing).collect()),
        ],
    })
}

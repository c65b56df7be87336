//! Wrong answers that the models were surest of: often the data set's own mistakes.

use super::cards::card;
use super::material::Material;
use crate::document::{Block, Drawing, Section};

/// Bars of so many classes.
const CLASSES: usize = 5;

pub(super) fn section(material: &Material) -> Option<Section> {
    let picks = material.picks?;
    let mut blocks = vec![Block::Paragraph(
        "The wrong answers that each model was surest of. They often show images that are labelled wrongly or hardly to be told."
            .into(),
    )];
    for (series, (model, mistakes)) in material.results.models.iter().zip(&picks.mistakes).enumerate() {
        blocks.push(Block::Heading(model.name.clone()));
        if mistakes.is_empty() {
            blocks.push(Block::Paragraph("No mistakes.".into()));
            continue;
        }
        let drawing = |(number, &row): (usize, &usize)| {
            let card = card(material, picks, row, &[series], CLASSES)?;
            let name = format!("mistake-{}-{}", model.name, number + 1);
            Some(Drawing { name, figure: Box::new(card), caption: String::new() })
        };
        blocks.push(Block::Gallery(mistakes.iter().enumerate().filter_map(drawing).collect()));
    }
    Some(Section { id: "mistakes", title: "Most confident mistakes".into(), blocks })
}

//! The report's content, a file a section. A new section is a new file here and a line in [`document`].

mod cards;
mod confusion;
mod curves;
mod dataset;
mod mistakes;
mod panel;
mod per_class;
mod provenance;
mod summary;

pub(crate) use summary::{comparison_table, verdict};

use crate::document::Document;
use crate::format::counted;
use crate::metrics_file::Metrics;
use crate::results::Results;
use crate::samples::{Picks, Picture};
use preprocess::pipeline::Split;
use std::collections::BTreeMap;

/// What sections are made from.
pub struct Material<'a> {
    /// What the stages wrote.
    pub results: &'a Results,
    /// The numbers.
    pub metrics: &'a Metrics,
    /// The images to show; none where no split is judged.
    pub picks: Option<&'a Picks>,
    /// Their pixels by path; empty where the shards are gone.
    pub pictures: &'a BTreeMap<String, Picture>,
    /// What the reader should know, beside the results' own notes.
    pub notes: &'a [String],
}

/// The whole report.
pub fn document(material: &Material) -> Document {
    let mut sections = vec![summary::section(material), dataset::section(material), curves::section(material)];
    sections.push(per_class::section(material));
    sections.extend(confusion::section(material));
    sections.extend(panel::section(material));
    sections.extend(mistakes::section(material));
    sections.push(provenance::section(material));
    let (results, classes) = (material.results, material.results.manifest.classes.len());
    Document {
        title: format!("Report: {}", results.pipeline.name),
        subtitle: format!("{} compared on {classes} classes.", counted(results.models.len(), "model", "models"),),
        sections,
    }
}

/// With a capital letter, as a heading or a table's first column begins.
fn capitalised(split: Split) -> &'static str {
    match split {
        Split::Train => "Training",
        Split::Validation => "Validation",
        Split::Test => "Test",
    }
}

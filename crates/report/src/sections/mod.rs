//! The report's content, a file a section. A new section is a new file here and a line in [`document`].

mod audit;
mod audit_cards;
mod cards;
mod confusion;
mod curves;
mod dataset;
mod material;
mod mistakes;
mod panel;
mod per_class;
mod provenance;
mod summary;

pub(crate) use audit_cards::shown_images as audited_images;
pub use material::Material;
pub(crate) use summary::{comparison_table, verdict};

use crate::document::Document;
use crate::format::counted;

/// The whole report.
pub fn document(material: &Material) -> Document {
    let mut sections = vec![summary::section(material), dataset::section(material), curves::section(material)];
    sections.push(per_class::section(material));
    sections.extend(confusion::section(material));
    sections.extend(panel::section(material));
    sections.extend(mistakes::section(material));
    sections.extend(audit::section(material));
    sections.push(provenance::section(material));
    let (results, classes) = (material.results, material.results.manifest.classes.len());
    Document {
        title: format!("Report: {}", results.pipeline.name),
        subtitle: format!("{} compared on {classes} classes.", counted(results.models.len(), "model", "models"),),
        sections,
    }
}

//! `audit.csv`: a row a finding.

use super::finding::Suggestion;
use super::{Audit, Finding};
use crate::format::counted;
use preprocess::Result;
use preprocess::stage::error::Context;
use preprocess::stage::names::csv_cell;

/// The columns.
const HEADER: [&str; 6] = ["path", "finding", "label", "suggestion", "score", "evidence"];

/// The whole file: the findings in their order; names are escaped as in every CSV file of the pipeline.
///
/// # Errors
/// None that a finding could cause.
pub fn to_csv(audit: &Audit) -> Result<Vec<u8>> {
    let context = || format!("cannot lay out {}", counted(audit.findings.len(), "finding", "findings"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER).context(context)?;
    for finding in &audit.findings {
        let row = cells(audit, finding);
        writer.write_record(row.iter().map(|cell| csv_cell(cell).into_owned())).context(context)?;
    }
    writer.into_inner().context(context)
}

fn cells(audit: &Audit, finding: &Finding) -> [String; 6] {
    let classes = &audit.evidence.record.classes;
    let image = &audit.evidence.images[finding.row];
    let suggestion = match finding.suggestion {
        Suggestion::Relabel(class) => classes[class].clone(),
        Suggestion::Drop => "drop".into(),
        Suggestion::Look => String::new(),
    };
    [
        image.path.clone(),
        finding.kind.name().into(),
        classes[image.label].clone(),
        suggestion,
        format!("{:.3}", finding.score),
        finding.evidence.clone(),
    ]
}

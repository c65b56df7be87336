//! The names of the files in the report's directory.

use preprocess::pipeline::Split;

/// All numbers, for programs.
pub(crate) const METRICS: &str = "metrics.json";
/// Every finding about the data.
pub(crate) const AUDIT: &str = "audit.csv";
/// Written by the gate.
pub(crate) const JUNIT: &str = "junit.xml";

/// The file of a confusion matrix, within the report's directory.
pub(crate) fn confusion_csv_name(model: &str, split: Split) -> String {
    format!("confusion-{model}-{}.csv", split.name())
}

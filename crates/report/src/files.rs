//! Names of files of the report.

use preprocess::pipeline::Split;

/// The file of a confusion matrix, within the report's directory.
pub(crate) fn confusion_csv_name(model: &str, split: Split) -> String {
    format!("confusion-{model}-{}.csv", split.name())
}

//! Images that models are measured on, though the same picture is in a split that they were made from.

use super::finding::{Finding, Kind, Suggestion};
use super::relatives::Relatives;
use preprocess::pipeline::Split;
use train::audit::evidence::Evidence;

/// Test images with a relative among those that models were fitted on or chosen by, and validation images with one
/// among the former; each once, with its nearest relative. What leaks from the validation into the test split is listed
/// of the test image alone: to leave that out is enough.
pub(super) fn find(evidence: &Evidence, relatives: &Relatives) -> Vec<Finding> {
    let images = &evidence.images;
    let found = |row: usize| {
        let earlier = |split: Split| relatives.first(row, |other| other.split == split);
        let (base, relative) = match images[row].split {
            Split::Train => return None,
            Split::Validation => (0.0, earlier(Split::Train)?),
            Split::Test => (0.5, earlier(Split::Train).or_else(|| earlier(Split::Validation))?),
        };
        Some(finding(evidence, row, relative, base, relatives.are_equal(row, relative)))
    };
    (0..images.len()).filter_map(found).collect()
}

/// The score begins at `base`; the surer it is that both show one picture, the more is added.
fn finding(evidence: &Evidence, row: usize, relative: usize, base: f64, is_equal: bool) -> Finding {
    let (image, other) = (&evidence.images[row], &evidence.images[relative]);
    let is_copy = image.copies.contains(&relative) || other.copies.contains(&row);
    let (relation, severity) = match (is_equal, is_copy) {
        (true, _) => ("equal pixels as", 0.5),
        (_, true) => ("near-copy of", 0.375),
        _ => ("same group as", 0.25),
    };
    let mut place = other.split.name().to_owned();
    if other.label != image.label {
        place += &format!(", labelled {}", evidence.record.classes[other.label]);
    }
    Finding {
        row,
        kind: Kind::Leak,
        suggestion: Suggestion::Drop,
        score: base + severity,
        evidence: format!("{relation} {} ({place})", other.path),
        beside: vec![relative],
    }
}

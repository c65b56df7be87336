//! The same picture under two classes: one of the labels is wrong.

use super::finding::{Finding, Kind, Suggestion};
use super::relatives::{Relatives, labels};
use std::collections::BTreeSet;
use train::audit::evidence::{Evidence, ImageEvidence};

/// Images that have a copy of another class, unless most of the copies agree with their own. Equal pixels or files come
/// before near-copies; an image that is among the former is not listed again. `groups` says whether an image's group
/// holds near-copies alone.
pub(super) fn find(evidence: &Evidence, relatives: &Relatives, groups: bool) -> Vec<Finding> {
    let images = &evidence.images;
    let found = |row: usize| {
        let certain = contradicted(evidence, row, &relatives.equal(row), relatives, 0.5);
        certain.or_else(|| contradicted(evidence, row, &relatives.near(row, groups), relatives, 0.0))
    };
    (0..images.len()).filter_map(found).collect()
}

/// What is to be said of an image beside these copies of it; nothing where they, or most of them, have its label. Of
/// two labels that are as frequent, each image is given the other one.
fn contradicted(
    evidence: &Evidence,
    row: usize,
    copies: &BTreeSet<usize>,
    relatives: &Relatives,
    base: f64,
) -> Option<Finding> {
    let (images, classes) = (&evidence.images, &evidence.record.classes);
    let own = images[row].label;
    let mut votes = labels(images, copies.iter().copied().chain([row]));
    let agreeing = votes.remove(&own)?;
    let (class, most) = likeliest(&images[row], votes)?;
    if agreeing > most {
        return None;
    }
    let others: Vec<usize> = copies.iter().copied().filter(|&copy| images[copy].label == class).collect();
    let first = &images[*others.first()?];
    let relation = if relatives.are_equal(row, others[0]) { "equal pixels as" } else { "near-copy of" };
    let more = match (agreeing - 1, most) {
        (0, 1) => String::new(),
        (own, other) => {
            format!("; of its copies {own} are {}, {other} are {}", classes[images[row].label], classes[class])
        }
    };
    Some(Finding {
        row,
        kind: Kind::Duplicate,
        suggestion: Suggestion::Relabel(class),
        score: base + 0.5 * doubt(&images[row], class),
        evidence: format!("{relation} {} ({}){more}", first.path, classes[class]),
        beside: others,
    })
}

/// The most frequent of the classes that others have, of equals the one that is more probable for the image.
fn likeliest(image: &ImageEvidence, votes: impl IntoIterator<Item = (usize, usize)>) -> Option<(usize, usize)> {
    votes.into_iter().max_by(|a, b| {
        let probability = |class: usize| image.label_probabilities[class];
        a.1.cmp(&b.1).then(probability(a.0).total_cmp(&probability(b.0))).then(b.0.cmp(&a.0))
    })
}

/// 0 to 1: how much more probable another class is than the label.
fn doubt(image: &ImageEvidence, class: usize) -> f64 {
    let margin = f64::from(image.label_probabilities[class]) - f64::from(image.label_probabilities[image.label]);
    ((1.0 + margin) / 2.0).clamp(0.0, 1.0)
}

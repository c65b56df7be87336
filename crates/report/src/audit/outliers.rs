//! Images of another kind than all the rest: far from their class, and near to nothing else.

use super::finding::{Finding, Kind, Suggestion, beyond};
use super::robust::Distribution;
use train::audit::evidence::{Evidence, ImageEvidence};

/// How many standard deviations from the median, by the median absolute deviation, an image must be in both measures.
const FAR: f64 = 3.5;
/// Features of a class may be so alike that nothing differs but rounding.
const FLOOR: f64 = 0.15;
/// So many times the usual distance is far in any set.
const FARTHER: f64 = 1.5;

/// In the order of the rows. An image that is far from its class alone is rather labelled wrongly; one that is far from
/// its neighbours alone belongs to a class of few images.
pub(super) fn find(evidence: &Evidence) -> Vec<Finding> {
    let images = &evidence.images;
    let classes: Vec<Option<Distribution>> =
        (0..evidence.record.classes.len()).map(|class| within_class(images, class)).collect();
    let all = Distribution::of(images.iter().filter_map(neighbourhood).map(distance), FLOOR);
    let found = |(row, image): (usize, &ImageEvidence)| {
        let (class, set) = (classes[image.label]?, all?);
        let (typicality, near) = (f64::from(image.typicality?), neighbourhood(image)?);
        let far = excess(class, typicality)?.min(excess(set, near)?);
        let name = &evidence.record.classes[image.label];
        Some(Finding {
            row,
            kind: Kind::Outlier,
            suggestion: Suggestion::Look,
            score: beyond(far, FAR),
            evidence: format!(
                "similarity {typicality:.2} to its nearest of {name} (median of the class {:.2}), {near:.2} to its nearest of all \
                 (median of the set {:.2})",
                similarity(class.median),
                similarity(set.median)
            ),
            beside: image.neighbours.iter().map(|neighbour| neighbour.row).collect(),
        })
    };
    images.iter().enumerate().filter_map(found).collect()
}

fn within_class(images: &[ImageEvidence], class: usize) -> Option<Distribution> {
    let own = images.iter().filter(|image| image.label == class);
    Distribution::of(own.filter_map(|image| image.typicality).map(|typicality| distance(f64::from(typicality))), FLOOR)
}

/// Mean similarity to the nearest images of all; none without any.
fn neighbourhood(image: &ImageEvidence) -> Option<f64> {
    let similarities: Vec<f64> = image.neighbours.iter().map(|neighbour| f64::from(neighbour.similarity)).collect();
    (!similarities.is_empty()).then(|| similarities.iter().sum::<f64>() / similarities.len() as f64)
}

/// Logarithm of 1 - cosine: cosines crowd below 1, so that their own spread would make half of a set's images odd.
fn distance(similarity: f64) -> f64 {
    (1.0 - similarity).max(1e-4).ln()
}

/// The way back.
fn similarity(distance: f64) -> f64 {
    1.0 - distance.exp()
}

/// By how many standard deviations a similarity is farther than usual; none where it is not far.
fn excess(distribution: Distribution, similarity: f64) -> Option<f64> {
    let deviation = distribution.deviation(distance(similarity));
    let is_far = deviation > FAR && distance(similarity) > distribution.median + FARTHER.ln();
    is_far.then_some(deviation)
}

//! Images whose label is likely wrong.

use super::finding::{Finding, Kind, Suggestion, percent};
use super::ranking::Suspicion;
use train::audit::evidence::{Evidence, ImageEvidence};

/// The suspects, in the order of the rows.
pub(super) fn find(evidence: &Evidence, ranking: &[Suspicion]) -> Vec<Finding> {
    let suspects = ranking.iter().enumerate().filter(|(_, suspicion)| suspicion.is_suspect);
    suspects
        .map(|(row, suspicion)| {
            let image = &evidence.images[row];
            Finding {
                row,
                kind: Kind::WrongLabel,
                suggestion: Suggestion::Relabel(suspicion.likely),
                score: suspicion.score,
                evidence: reason(image, suspicion, &evidence.record.classes),
                beside: image.neighbours.iter().map(|neighbour| neighbour.row).collect(),
            }
        })
        .collect()
}

/// `held back: 97 % dog, 1 % cat; 9 of its 10 nearest images are dog`.
fn reason(image: &ImageEvidence, suspicion: &Suspicion, classes: &[String]) -> String {
    let of = |class: usize| format!("{} {}", percent(f64::from(image.label_probabilities[class])), classes[class]);
    let held_back = format!("held back: {}, {}", of(suspicion.likely), of(image.label));
    match suspicion.neighbours {
        (0, _) => held_back,
        (all, likely) => {
            format!("{held_back}; {likely} of its {all} nearest images are {}", classes[suspicion.likely])
        }
    }
}

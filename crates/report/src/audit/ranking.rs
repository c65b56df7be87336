//! Which labels are likely wrong, and in which order a person best looks at them.

use super::confident::confident_classes;
use std::collections::BTreeSet;
use train::audit::evidence::ImageEvidence;

/// What the votes say of an image's label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Suspicion {
    /// Whether the label is likely wrong: the held-back probabilities count the image to another class.
    pub is_suspect: bool,
    /// The class that it likely belongs to: for a suspect the one that it is counted to, otherwise the most probable
    /// one beside its label.
    pub likely: usize,
    /// The probability of the label.
    pub quality: f64,
    /// Of the nearest images, a group of copies counted once, how many there are and how many are of the likely class.
    pub neighbours: (usize, usize),
    /// Whether training found against the label, too.
    pub is_seconded: bool,
    /// 0 to 1: the higher, the likelier is the label wrong. From 1/2 on suspects that training seconds, below that the
    /// rest; within each half ascending as the quality falls.
    pub score: f64,
}

/// Judges every image's label. The first vote are the probabilities that heads and neighbours give it while it is held
/// back: suspects by confident learning (Northcutt, Jiang and Chuang, JAIR 70, 2021), ordered by the label's probability.
/// The normalised margin was tried, too: it is better between TrashNet's look-alikes and worse at everything else
/// (`docs/report.md`). The second is `training`, if it is known: of each image the mean margin of its logits while a model
/// was trained (area under the margin, G. Pleiss et al., NeurIPS 2020), which speaks against the label where it is
/// negative; it is NaN where nothing is known. Suspects that both name come first.
///
/// The nearest images by features are no vote of their own: they are in the probabilities already, and to let them move
/// suspects up once more cost 0.01 of the average precision on TrashNet.
pub fn rank(images: &[ImageEvidence], classes: usize, training: Option<&[f64]>) -> Vec<Suspicion> {
    let counted = confident_classes(images, classes);
    let judge = |(row, image): (usize, &ImageEvidence)| {
        let trained = training.and_then(|margins| margins.get(row)).copied();
        suspicion(image, counted[row], images, classes, trained)
    };
    images.iter().enumerate().map(judge).collect()
}

fn suspicion(
    image: &ImageEvidence,
    counted: Option<usize>,
    images: &[ImageEvidence],
    classes: usize,
    trained: Option<f64>,
) -> Suspicion {
    let other = likeliest_other(&image.label_probabilities, image.label);
    let is_suspect = counted.is_some_and(|class| class != image.label);
    let likely = if is_suspect { counted.unwrap_or(other) } else { other };
    let quality = f64::from(image.label_probabilities[image.label]);
    let votes = neighbour_votes(image, images, classes);
    let all: usize = votes.iter().sum();
    let is_seconded = trained.is_some_and(|margin| margin < 0.0);
    let half = if is_suspect && is_seconded { 0.5 } else { 0.0 };
    Suspicion {
        is_suspect,
        likely,
        quality,
        neighbours: (all, votes[likely]),
        is_seconded,
        score: half + ((1.0 - quality) / 2.0).clamp(0.0, 0.5),
    }
}

/// The class with the highest value beside the label, the first of equals; the label where there is no other.
fn likeliest_other<T: PartialOrd + Copy>(values: &[T], label: usize) -> usize {
    let others = (0..values.len()).filter(|&class| class != label);
    others.fold(label, |best, class| if best == label || values[class] > values[best] { class } else { best })
}

/// Of each class, how many of the image's neighbours have it as their label. Copies of one picture are one neighbour.
fn neighbour_votes(image: &ImageEvidence, images: &[ImageEvidence], classes: usize) -> Vec<usize> {
    let mut votes = vec![0; classes];
    let mut groups = BTreeSet::new();
    for neighbour in image.neighbours.iter().map(|neighbour| &images[neighbour.row]) {
        if groups.insert(neighbour.group) {
            votes[neighbour.label] += 1;
        }
    }
    votes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing::{distinct, image};
    use train::audit::evidence::Neighbour;

    fn near(mut image: ImageEvidence, rows: &[usize]) -> ImageEvidence {
        image.neighbours = rows.iter().map(|&row| Neighbour { row, similarity: 0.9 }).collect();
        image
    }

    /// Classes 0 and 1 with four sound images each, and what the case adds at row 8.
    fn with(added: ImageEvidence) -> Vec<ImageEvidence> {
        let sound = |label: usize| image(label, &if label == 0 { [0.9, 0.1] } else { [0.1, 0.9] });
        let mut images: Vec<_> = (0..8).map(|row| sound(row / 4)).collect();
        images.push(added);
        distinct(images)
    }

    #[test]
    fn training_decides_the_half() {
        let wrong = || image(0, &[0.1, 0.9]);
        let sound = || image(0, &[0.9, 0.1]);
        let cases = [
            ("both votes", wrong(), Some(-0.2), true, true, 1),
            ("training disagrees", wrong(), Some(0.2), true, false, 0),
            ("training knows nothing of it", wrong(), Some(f64::NAN), true, false, 0),
            ("no training", wrong(), None, true, false, 0),
            ("neighbours have their say in the probabilities", near(wrong(), &[4, 5, 6]), None, true, false, 0),
            ("sound", near(sound(), &[0, 1, 2]), Some(0.9), false, false, 0),
            ("training alone", sound(), Some(-0.9), false, true, 0),
        ];
        for (name, added, trained, is_suspect, is_seconded, half) in cases {
            let images = with(added);
            let margins: Option<Vec<f64>> = trained.map(|margin| vec![margin; 9]);
            let suspicion = rank(&images, 2, margins.as_deref())[8];
            assert_eq!((suspicion.is_suspect, suspicion.is_seconded), (is_suspect, is_seconded), "{name}");
            assert_eq!((suspicion.score * 2.0).floor() as usize, half, "{name}: {suspicion:?}");
            assert_eq!(suspicion.likely, 1, "{name}");
        }
    }

    #[test]
    fn copies_of_a_neighbour_are_one_neighbour() {
        let mut images = with(near(image(0, &[0.1, 0.9]), &[4, 5, 6, 0, 1]));
        for row in [5, 6] {
            images[row].group = images[4].group;
        }
        assert_eq!(rank(&images, 2, None)[8].neighbours, (3, 1));
    }

    #[test]
    fn one_class_has_no_suspects() {
        let images = distinct(vec![image(0, &[1.0]), image(0, &[1.0])]);
        assert!(rank(&images, 1, None).iter().all(|suspicion| !suspicion.is_suspect && suspicion.likely == 0));
        assert!(rank(&[], 3, None).is_empty());
    }

    #[test]
    fn scores_fall_with_the_quality_of_the_label() {
        let said =
            [[0.0, 1.0, 0.0], [0.1, 0.5, 0.4], [0.3, 0.6, 0.1], [0.45, 0.55, 0.0], [0.5, 0.3, 0.2], [1.0, 0.0, 0.0]];
        let images = distinct(said.iter().map(|said| image(0, said)).chain([image(1, &[0.1, 0.8, 0.1])]).collect());
        let scores: Vec<f64> = rank(&images, 3, None).iter().take(said.len()).map(|found| found.score).collect();
        assert!(scores.is_sorted_by(|a, b| a > b), "{scores:?}");
        assert!(scores.iter().all(|score| (0.0..=0.5).contains(score)), "{scores:?}");
    }
}

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
    /// The probability of the label less the highest of the others, -1 to 1.
    pub margin: f64,
    /// How good the label is, -1 to 2: the margin and the label's probability.
    pub quality: f64,
    /// Of the nearest images, a group of copies counted once, how many there are and how many are of the likely class.
    pub neighbours: (usize, usize),
    /// Whether another vote names the likely class rather than the label too.
    pub is_seconded: bool,
    /// 0 to 1: the higher, the likelier is the label wrong. From 1/2 on suspects that another vote names too, below that
    /// the rest; within each half ascending as the quality falls.
    pub score: f64,
}

/// Judges every image's label. The first vote are the probabilities that heads and neighbours give it while it is held
/// back: suspects by confident learning (Northcutt, Jiang and Chuang, JAIR 70, 2021), ordered by the normalised margin
/// plus the label's probability: the margin alone is worse at errors of any kind, the probability alone at errors between
/// classes that look alike. Further votes are the number of nearest images by features that are of the likely class and
/// not of the label's, and `training`, if it is known: of each image the mean margin of its logits while a model was
/// trained (area under the margin, G. Pleiss et al., NeurIPS 2020), which speaks against the label where it is negative;
/// it is NaN where nothing is known.
///
/// A further vote moves suspects up and nothing down.
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
    let margin = f64::from(image.label_probabilities[image.label])
        - if other == image.label { 0.0 } else { f64::from(image.label_probabilities[other]) };
    let quality = margin + f64::from(image.label_probabilities[image.label]);
    let votes = neighbour_votes(image, images, classes);
    let all: usize = votes.iter().sum();
    let is_seconded = votes[likely] > votes[image.label] || trained.is_some_and(|margin| margin < 0.0);
    let half = if is_suspect && is_seconded { 0.5 } else { 0.0 };
    Suspicion {
        is_suspect,
        likely,
        margin,
        quality,
        neighbours: (all, votes[likely]),
        is_seconded,
        score: half + ((2.0 - quality) / 6.0).clamp(0.0, 0.5),
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
    use preprocess::stage::random::{self, Random};
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
    fn votes_decide_the_half() {
        let wrong = || image(0, &[0.1, 0.9]);
        let cases = [
            ("both votes", near(wrong(), &[4, 5, 6]), None, true, true, 1),
            ("the neighbours disagree", near(wrong(), &[0, 1, 4]), None, true, false, 0),
            ("no neighbours", wrong(), None, true, false, 0),
            ("the training seconds", near(wrong(), &[0, 1, 4]), Some(-0.2), true, true, 1),
            ("sound", near(image(0, &[0.9, 0.1]), &[0, 1, 2]), Some(0.9), false, false, 0),
            ("the neighbours alone", near(image(0, &[0.9, 0.1]), &[4, 5, 6]), None, false, true, 0),
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
        let suspicion = rank(&images, 2, None)[8];
        assert_eq!((suspicion.neighbours, suspicion.is_seconded), ((3, 1), false));
    }

    #[test]
    fn one_class_has_no_suspects() {
        let images = distinct(vec![image(0, &[1.0]), image(0, &[1.0])]);
        assert!(rank(&images, 1, None).iter().all(|suspicion| !suspicion.is_suspect && suspicion.likely == 0));
        assert!(rank(&[], 3, None).is_empty());
    }

    /// Points around `modes` centres for each class, a tenth of the labels changed; a head of class means, fitted in
    /// folds, and the nearest by cosine.
    fn planted(random: &mut Random, modes: usize, spread: f64, head: f64) -> (Vec<ImageEvidence>, Vec<bool>) {
        const CLASSES: usize = 5;
        const SIZE: usize = 12;
        const IMAGES: usize = 400;
        let centres: Vec<Vec<f64>> =
            (0..CLASSES * modes).map(|_| (0..SIZE).map(|_| random.normal()).collect()).collect();
        let truth: Vec<usize> = (0..IMAGES).map(|row| row % CLASSES).collect();
        let mut point = |row: usize| {
            let centre = &centres[truth[row] + CLASSES * (row / CLASSES % modes)];
            centre.iter().map(|x| x + spread * random.normal()).collect()
        };
        let points: Vec<Vec<f64>> = (0..IMAGES).map(&mut point).collect();
        let is_planted: Vec<bool> = (0..IMAGES).map(|_| random.below(10) == 0).collect();
        let label =
            |row: usize| if is_planted[row] { (truth[row] + 1 + row % (CLASSES - 1)) % CLASSES } else { truth[row] };
        let means = |fold: usize| -> Vec<Vec<f64>> {
            let mean = |class: usize| {
                let own: Vec<&Vec<f64>> = (0..IMAGES)
                    .filter(|&row| row / 10 % 5 != fold && label(row) == class)
                    .map(|row| &points[row])
                    .collect();
                (0..SIZE).map(|axis| own.iter().map(|point| point[axis]).sum::<f64>() / own.len() as f64).collect()
            };
            (0..CLASSES).map(mean).collect()
        };
        let folds: Vec<Vec<Vec<f64>>> = (0..5).map(means).collect();
        let cosine = |a: &[f64], b: &[f64]| {
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        };
        let images = (0..IMAGES).map(|row| {
            let logits: Vec<f64> = folds[row / 10 % 5]
                .iter()
                .map(|mean| -head * mean.iter().zip(&points[row]).map(|(m, x)| (m - x) * (m - x)).sum::<f64>())
                .collect();
            let highest = logits.iter().copied().fold(f64::MIN, f64::max);
            let total: f64 = logits.iter().map(|logit| (logit - highest).exp()).sum();
            let p: Vec<f32> = logits.iter().map(|logit| ((logit - highest).exp() / total) as f32).collect();
            let mut order: Vec<(f64, usize)> = (0..IMAGES)
                .filter(|&other| other != row)
                .map(|other| (cosine(&points[row], &points[other]), other))
                .collect();
            order.sort_by(|a, b| b.0.total_cmp(&a.0));
            near(image(label(row), &p), &order[..10].iter().map(|&(_, other)| other).collect::<Vec<_>>())
        });
        (distinct(images.collect()), is_planted)
    }

    /// Mean over the planted of the precision among all that score as high.
    fn average_precision(scores: &[f64], is_planted: &[bool]) -> f64 {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let (mut found, mut sum) = (0, 0.0);
        for (seen, &row) in order.iter().enumerate() {
            if is_planted[row] {
                found += 1;
                sum += found as f64 / (seen + 1) as f64;
            }
        }
        sum / found as f64
    }

    /// With one centre a class no neighbours know what the head does not: there the second vote must cost next to
    /// nothing. With three the head is too simple, as a linear one may be, and the neighbours must help.
    #[test]
    fn planted_errors_rank_as_high_as_by_margins_and_higher() {
        for (modes, spread, head, gain) in
            [(1, 0.8, 0.5, -0.002), (1, 1.2, 0.5, -0.005), (1, 1.2, 2.0, 0.0), (3, 0.8, 0.5, 0.01), (3, 1.0, 1.0, 0.01)]
        {
            let (mut ranked, mut plain) = (0.0, 0.0);
            for seed in 0..20 {
                let mut random = random::stream(seed, "planted", &[]);
                let (images, is_planted) = planted(&mut random, modes, spread, head);
                let suspicions = rank(&images, 5, None);
                let score = |of: fn(&Suspicion) -> f64| {
                    average_precision(&suspicions.iter().map(of).collect::<Vec<_>>(), &is_planted) / 20.0
                };
                ranked += score(|suspicion| suspicion.score);
                plain += score(|suspicion| -suspicion.margin);
            }
            assert!(ranked >= plain + gain, "{modes} modes, {spread}, {head}: {ranked} beside {plain}");
        }
    }
}

//! Loss and accuracy over images, and the scores of each class.

use crate::ops::cross_entropy::ImageScore;

/// Indices of the `count` largest probabilities, largest first, equals in the order of the classes.
pub(crate) fn top(probabilities: &[f32], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    order.truncate(count);
    order
}

/// Sums over images, from which the means follow.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Score {
    /// Images seen.
    pub images: usize,
    /// Images classified rightly.
    pub correct: usize,
    /// Sum of the images' cross-entropies, in nats.
    pub loss_sum: f64,
}

impl Score {
    /// Counts a batch: `logits` is `[images, classes]`, one label an image.
    pub fn add(&mut self, logits: &[f32], labels: &[usize]) {
        let classes = logits.len() / labels.len().max(1);
        for (logits, &label) in logits.chunks_exact(classes.max(1)).zip(labels) {
            self.add_images(&[ImageScore::of(logits, label)], &[label]);
        }
    }

    /// Counts images by their losses and predicted classes, one label an image.
    pub(crate) fn add_images(&mut self, scores: &[ImageScore], labels: &[usize]) {
        for (score, &label) in scores.iter().zip(labels) {
            self.images += 1;
            self.correct += usize::from(score.prediction == label);
            self.loss_sum += score.loss;
        }
    }

    /// Mean cross-entropy in nats; NaN over no images.
    pub fn loss(&self) -> f64 {
        self.loss_sum / self.images as f64
    }

    /// Fraction classified rightly; NaN over no images.
    pub(crate) fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images as f64
    }
}

/// Cross-entropy of one image in nats, from the probability of its true class: `-ln p`, with `p` clipped to
/// `[ε, 1 - ε]` by the machine epsilon of 64-bit floats, as scikit-learn's `log_loss` does, so that one impossible answer
/// costs 36 nats and not infinity. What a model is judged by; while it is trained, losses come from the logits, unclipped.
pub fn log_loss(probability: f32) -> f64 {
    -f64::from(probability).clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
}

/// How well one class is recognised. Where a quotient has no denominator (a class never predicted has no precision, a
/// class without images no recall) the score is 0, as with scikit-learn's `zero_division=0`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ClassScores {
    /// Of the images predicted to be of the class, the fraction that is.
    pub precision: f64,
    /// Of the images of the class, the fraction predicted to be.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
    /// Images of the class.
    pub support: usize,
}

impl ClassScores {
    /// Of a class with `support` images, of which `right` were recognised, among `predicted` that were taken for it.
    pub fn new(right: usize, support: usize, predicted: usize) -> Self {
        let ratio = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        Self {
            precision: ratio(right, predicted),
            recall: ratio(right, support),
            f1: ratio(2 * right, support + predicted),
            support,
        }
    }
}

/// The scores of every class, from pairs of true and predicted class.
pub(crate) fn class_scores(classes: usize, pairs: impl Iterator<Item = (usize, usize)>) -> Vec<ClassScores> {
    let (mut right, mut actual, mut predicted) = (vec![0; classes], vec![0; classes], vec![0; classes]);
    for (label, prediction) in pairs {
        actual[label] += 1;
        predicted[prediction] += 1;
        right[label] += usize::from(label == prediction);
    }
    (0..classes).map(|class| ClassScores::new(right[class], actual[class], predicted[class])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::cross_entropy::logits::most_probable;

    #[test]
    fn the_first_of_equals_wins() {
        for (name, values, best, top_two) in [
            ("distinct", vec![0.1, 0.7, 0.2], 1, vec![1, 2]),
            ("equal", vec![0.3, 0.3, 0.3], 0, vec![0, 1]),
            ("last", vec![0.0, 0.0, 1.0], 2, vec![2, 0]),
            ("one class", vec![1.0], 0, vec![0]),
        ] {
            assert_eq!((most_probable(&values), top(&values, 2)), (best, top_two), "{name}");
        }
    }

    #[test]
    fn batches_add_up_to_the_mean_over_images() {
        let mut score = Score::default();
        score.add(&[0.0, 0.0, 1000.0, 0.0], &[0, 0]);
        score.add(&[1000.0, 0.0], &[1]);
        assert_eq!((score.images, score.correct), (3, 2));
        assert!((score.loss() - (std::f64::consts::LN_2 + 1000.0) / 3.0).abs() < 1e-9);
        assert!((score.accuracy() - 2.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn class_scores_by_hand() {
        // True 0: predicted 0, 0, 1. True 1: predicted 1. Class 2 never occurs, class 3 is never predicted.
        let pairs = [(0, 0), (0, 0), (0, 1), (1, 1), (3, 0)];
        let scores = class_scores(4, pairs.into_iter());
        let expect = |precision, recall, f1, support| ClassScores { precision, recall, f1, support };
        assert_eq!(scores[0], expect(2.0 / 3.0, 2.0 / 3.0, 4.0 / 6.0, 3));
        assert_eq!(scores[1], expect(0.5, 1.0, 2.0 / 3.0, 1));
        assert_eq!(scores[2], expect(0.0, 0.0, 0.0, 0));
        assert_eq!(scores[3], expect(0.0, 0.0, 0.0, 1));
    }
}

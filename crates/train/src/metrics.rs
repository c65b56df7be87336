//! Loss and accuracy from logits, and the scores of each class.

/// Probabilities of the classes: softmax, computed in 64 bits relative to the largest logit, so that nothing overflows.
pub fn softmax(logits: &[f32]) -> Vec<f32> {
    let (largest, log_sum) = log_sum_exp(logits);
    logits.iter().map(|&logit| (f64::from(logit) - largest - log_sum).exp() as f32).collect()
}

/// Cross-entropy of one image, in nats: `ln Σ exp(logit) - logit[label]`. Finite for all finite logits.
pub fn cross_entropy(logits: &[f32], label: usize) -> f64 {
    let (largest, log_sum) = log_sum_exp(logits);
    largest - f64::from(logits[label]) + log_sum
}

/// Index of the largest logit; the first of equals.
pub fn most_probable(logits: &[f32]) -> usize {
    let larger = |best: usize, (at, logit): (usize, &f32)| if *logit > logits[best] { at } else { best };
    logits.iter().enumerate().fold(0, larger)
}

/// Indices of the `count` largest probabilities, largest first, equals in the order of the classes.
pub fn top(probabilities: &[f32], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    order.truncate(count);
    order
}

/// The largest logit and `ln Σ exp(logit - largest)`: apart, since their sum would lose the digits of the smaller.
fn log_sum_exp(logits: &[f32]) -> (f64, f64) {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    (largest, logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum::<f64>().ln())
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
            self.images += 1;
            self.correct += usize::from(most_probable(logits) == label);
            self.loss_sum += cross_entropy(logits, label);
        }
    }

    /// Mean cross-entropy in nats; NaN over no images.
    pub fn loss(&self) -> f64 {
        self.loss_sum / self.images as f64
    }

    /// Fraction classified rightly; NaN over no images.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images as f64
    }
}

/// How well one class is recognised. A score whose denominator is zero is 0, as scikit-learn's default.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
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

/// The scores of every class, from pairs of true and predicted class.
pub fn class_scores(classes: usize, pairs: impl Iterator<Item = (usize, usize)>) -> Vec<ClassScores> {
    let (mut right, mut actual, mut predicted) = (vec![0; classes], vec![0; classes], vec![0; classes]);
    for (label, prediction) in pairs {
        actual[label] += 1;
        predicted[prediction] += 1;
        right[label] += usize::from(label == prediction);
    }
    let ratio = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    (0..classes)
        .map(|class| ClassScores {
            precision: ratio(right[class], predicted[class]),
            recall: ratio(right[class], actual[class]),
            f1: ratio(2 * right[class], actual[class] + predicted[class]),
            support: actual[class],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_and_probabilities_of_known_logits() {
        let ln2 = std::f64::consts::LN_2;
        for (name, logits, label, loss, probability) in [
            ("equal logits", vec![0.0, 0.0], 0, ln2, 0.5),
            ("equal and huge", vec![3e38, 3e38], 1, ln2, 0.5),
            ("equal and tiny", vec![-3e38, -3e38], 1, ln2, 0.5),
            ("certain and right", vec![1000.0, 0.0], 0, 0.0, 1.0),
            ("certain and wrong", vec![1000.0, 0.0], 1, 1000.0, 0.0),
            ("one class", vec![7.0], 0, 0.0, 1.0),
            // torch.nn.functional.cross_entropy(torch.tensor([[1., 2., 3.]], dtype=torch.float64), torch.tensor([1]))
            ("three classes", vec![1.0, 2.0, 3.0], 1, 1.407_605_964_444_380_1, 0.244_728_47),
        ] {
            assert!((cross_entropy(&logits, label) - loss).abs() <= 1e-12 * loss.max(1.0), "{name}");
            assert!((f64::from(softmax(&logits)[label]) - probability).abs() < 1e-7, "{name}");
        }
    }

    #[test]
    fn a_logit_that_is_not_finite_shows_in_the_loss() {
        for bad in [f32::NAN, f32::INFINITY] {
            assert!(!cross_entropy(&[bad, 0.0], 1).is_finite());
        }
    }

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

//! What follows from the logits of one image.

/// Probabilities of the classes: softmax, computed in 64 bits relative to the largest logit, so that nothing overflows.
pub(crate) fn softmax(logits: &[f32]) -> Vec<f32> {
    let (largest, log_sum) = log_sum_exp(logits);
    logits.iter().map(|&logit| (f64::from(logit) - largest - log_sum).exp() as f32).collect()
}

/// Cross-entropy of one image, in nats: `ln Σ exp(logit) - logit[label]`. Finite for all finite logits.
pub(crate) fn cross_entropy(logits: &[f32], label: usize) -> f64 {
    let (largest, log_sum) = log_sum_exp(logits);
    largest - f64::from(logits[label]) + log_sum
}

/// Logits whose probabilities are the mean of those of two answers: `ln p`.
pub(crate) fn of_mean_probabilities(a: &[f32], b: &[f32]) -> Vec<f32> {
    let [(largest_a, sum_a), (largest_b, sum_b)] = [a, b].map(log_sum_exp);
    let mean = |(&a, &b): (&f32, &f32)| {
        let [a, b] = [f64::from(a) - largest_a - sum_a, f64::from(b) - largest_b - sum_b];
        // Relative to the larger, so that probabilities that no number is small enough for still have a logarithm.
        let most = a.max(b);
        (most + (((a - most).exp() + (b - most).exp()) / 2.0).ln()) as f32
    };
    a.iter().zip(b).map(mean).collect()
}

/// Index of the largest logit; the first of equals.
pub(crate) fn most_probable(logits: &[f32]) -> usize {
    let larger = |best: usize, (at, logit): (usize, &f32)| if *logit > logits[best] { at } else { best };
    logits.iter().enumerate().fold(0, larger)
}

/// The label's logit less the largest other one; 0 where there is no other.
pub(crate) fn margin(logits: &[f32], label: usize) -> f32 {
    let others = logits.iter().enumerate().filter(|(class, _)| *class != label);
    let largest = others.map(|(_, logit)| *logit).fold(f32::NEG_INFINITY, f32::max);
    if largest == f32::NEG_INFINITY { 0.0 } else { logits[label] - largest }
}

/// The largest logit and `ln Σ exp(logit - largest)`: apart, since their sum would lose the digits of the smaller.
fn log_sum_exp(logits: &[f32]) -> (f64, f64) {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    (largest, logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum::<f64>().ln())
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
    fn margins_are_to_the_best_of_the_others() {
        for (logits, label, expected) in [
            (vec![1.0, 4.0, 2.5], 1, 1.5),
            (vec![1.0, 4.0, 2.5], 0, -3.0),
            (vec![2.0, 2.0], 0, 0.0),
            (vec![7.0], 0, 0.0),
        ] {
            assert_eq!(margin(&logits, label), expected, "{logits:?}");
        }
    }

    #[test]
    fn the_mean_of_two_answers_is_that_of_their_probabilities() {
        for (a, b) in
            [([1.0, 2.0, -3.0], [0.5, 0.0, 4.0]), ([0.0; 3], [7.0; 3]), ([900.0, 0.0, -900.0], [900.0, 1.0, 2.0])]
        {
            let mean = softmax(&of_mean_probabilities(&a, &b));
            for ((mean, a), b) in mean.iter().zip(softmax(&a)).zip(softmax(&b)) {
                assert!((mean - (a + b) / 2.0).abs() < 1e-6);
            }
            assert!(of_mean_probabilities(&a, &b).iter().all(|logit| logit.is_finite()));
        }
    }

    #[test]
    fn a_logit_that_is_not_finite_shows_in_the_loss() {
        for bad in [f32::NAN, f32::INFINITY] {
            assert!(!cross_entropy(&[bad, 0.0], 1).is_finite());
        }
    }
}

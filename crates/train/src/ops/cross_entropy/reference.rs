//! The cross-entropy in plain loops, in double precision.

use super::logits::{cross_entropy, most_probable};

/// From logits `[labels, classes]`: of each image its loss and the class of its largest logit, the first of equals,
/// and the gradient by the logits.
pub fn gradient(logits: &[f32], labels: &[usize], smoothing: f64) -> (Vec<(f64, usize)>, Vec<f32>) {
    let classes = logits.len() / labels.len();
    let mut scores = Vec::with_capacity(labels.len());
    let mut gradient = Vec::with_capacity(logits.len());
    for (row, &label) in logits.chunks_exact(classes).zip(labels) {
        scores.push((cross_entropy(row, label), most_probable(row)));
        for class in 0..classes {
            let target = smoothing / classes as f64 + if class == label { 1.0 - smoothing } else { 0.0 };
            // -ln p is the cross-entropy against this class.
            let probability = (-cross_entropy(row, class)).exp();
            gradient.push(((probability - target) / labels.len() as f64) as f32);
        }
    }
    (scores, gradient)
}

//! The cross-entropy in plain loops, in double precision.

use super::logits::cross_entropy;
use super::{ImageScore, Targets};

/// From logits `[images, classes]`: what they say of each image, and the gradient by the logits.
pub fn gradient(logits: &[f32], targets: &Targets<'_>) -> (Vec<ImageScore>, Vec<f32>) {
    let images = targets.labels.len();
    let classes = logits.len() / images;
    let mut scores = Vec::with_capacity(images);
    let mut gradient = Vec::with_capacity(logits.len());
    for (image, (row, &label)) in logits.chunks_exact(classes).zip(targets.labels).enumerate() {
        scores.push(ImageScore::of(row, label));
        let (other, share, weight) = targets.of(image);
        let offset = |class: usize| targets.offsets.map_or(0.0, |offsets| offsets[class]);
        let adjusted: Vec<f32> = row.iter().enumerate().map(|(class, logit)| logit + offset(class)).collect();
        for class in 0..classes {
            let hot = if class == label { share } else { 0.0 } + if class == other { 1.0 - share } else { 0.0 };
            let target = targets.smoothing / classes as f64 + (1.0 - targets.smoothing) * hot;
            // -ln p is the cross-entropy against this class.
            let probability = (-cross_entropy(&adjusted, class)).exp();
            gradient.push((weight * (probability - target) / images as f64) as f32);
        }
    }
    (scores, gradient)
}

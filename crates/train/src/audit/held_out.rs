//! What heads say of images that they were not fitted to.
//!
//! The images outside of the test split lie in folds. For each fold a head is fitted to the features of all others; the
//! test images are judged by one that was fitted to all folds. Near-copies share a fold, so no image is judged by a head
//! that has seen its twin.

use crate::ops::Backend;
use crate::ops::cross_entropy::logits::softmax;
use crate::training::features::Features;
use crate::training::head::{self, Head};
use crate::training::rare_classes::RareClasses;
use preprocess::Result;
use preprocess::stage::progress::Progress;

/// λ where all images lie in one fold and there is nothing to choose by.
const UNCHOSEN_PENALTY: f64 = 1.0;

/// Probabilities of each image.
#[derive(Debug)]
pub(super) struct HeldOut {
    /// One for every class, of each image in its order.
    pub probabilities: Vec<Vec<f32>>,
    /// λ of the heads.
    pub penalty: f64,
}

/// Judges every image. `fold_of` has the fold of each, none for the test split. One λ serves all heads: the one that does
/// best on the first fold.
///
/// # Errors
/// The device fails, or the run is interrupted.
pub(super) fn judge<B: Backend>(
    features: &Features,
    fold_of: &[Option<usize>],
    (folds, classes): (usize, usize),
    device: &B,
) -> Result<HeldOut> {
    let rare = RareClasses::default();
    let select = |wanted: &dyn Fn(Option<usize>) -> bool| {
        features.select(&(0..fold_of.len()).filter(|&row| wanted(fold_of[row])).collect::<Vec<_>>())
    };
    let first = select(&|fold| fold == Some(0));
    let others = select(&|fold| fold.is_some_and(|fold| fold != 0));
    let penalty = if others.labels.is_empty() {
        UNCHOSEN_PENALTY
    } else {
        head::choose_penalty(&others, &first, (classes, &rare), device)?
    };
    let progress = Progress::new("judging images held back", folds as u64 + 1, "heads");
    let mut probabilities = vec![vec![1.0 / classes as f32; classes]; fold_of.len()];
    for held_back in (0..folds).map(Some).chain([None]) {
        let training = select(&|fold| fold.is_some() && fold != held_back);
        let rows = (0..fold_of.len()).filter(|&row| fold_of[row] == held_back);
        let rows: Vec<usize> = rows.collect();
        // With nothing to learn from, or nothing to judge, what was there stays: all classes alike.
        if !training.labels.is_empty() && !rows.is_empty() {
            let head = head::fit_at(penalty, &training, (classes, &rare), device)?;
            rows.into_iter().for_each(|row| probabilities[row] = said(&head, features.row(row)));
        }
        progress.advance(1);
    }
    Ok(HeldOut { probabilities, penalty })
}

fn said(head: &Head, features: &[f32]) -> Vec<f32> {
    let rows = head.weight.chunks_exact(features.len()).zip(&head.bias);
    let logits = rows.map(|(weight, &bias)| {
        let product = weight.iter().zip(features).map(|(w, x)| f64::from(*w) * f64::from(*x));
        (product.sum::<f64>() + f64::from(bias)) as f32
    });
    softmax(&logits.collect::<Vec<_>>())
}

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

/// The features of a data set, divided into folds.
#[derive(Debug)]
pub(super) struct Divided<'a> {
    pub features: &'a Features,
    /// The fold of each image; none for the test split.
    pub fold_of: &'a [Option<usize>],
    pub folds: usize,
    pub classes: usize,
}

impl Divided<'_> {
    fn select(&self, wanted: impl Fn(usize) -> bool) -> Features {
        self.features.select(&(0..self.fold_of.len()).filter(|&row| wanted(row)).collect::<Vec<_>>())
    }

    /// λ for all heads: the one that does best on the first fold.
    ///
    /// # Errors
    /// The device fails, or the run is interrupted.
    pub(super) fn penalty<B: Backend>(&self, device: &B) -> Result<f64> {
        let first = self.select(|row| self.fold_of[row] == Some(0));
        let others = self.select(|row| self.fold_of[row].is_some_and(|fold| fold != 0));
        if others.labels.is_empty() {
            return Ok(UNCHOSEN_PENALTY);
        }
        head::choose_penalty(&others, &first, (self.classes, &RareClasses::default()), device)
    }

    /// Judges every image: one probability for every class. Heads are not fitted to the images that are `left_out`.
    ///
    /// # Errors
    /// The device fails, or the run is interrupted.
    pub(super) fn judge<B: Backend>(&self, penalty: f64, left_out: &[bool], device: &B) -> Result<Vec<Vec<f32>>> {
        let (features, rare) = (self.features, RareClasses::default());
        let progress = Progress::new("judging images held back", self.folds as u64 + 1, "heads");
        // With nothing to learn from, all classes are alike.
        let mut probabilities = vec![vec![1.0 / self.classes as f32; self.classes]; self.fold_of.len()];
        for held_back in (0..self.folds).map(Some).chain([None]) {
            let is_taught =
                |row: usize| self.fold_of[row].is_some() && self.fold_of[row] != held_back && !left_out[row];
            let training = self.select(is_taught);
            let rows: Vec<usize> = (0..self.fold_of.len()).filter(|&row| self.fold_of[row] == held_back).collect();
            if !training.labels.is_empty() && !rows.is_empty() {
                let head = head::fit_at(penalty, &training, (self.classes, &rare), device)?;
                rows.into_iter().for_each(|row| probabilities[row] = said(&head, features.row(row)));
            }
            progress.advance(1);
        }
        Ok(probabilities)
    }
}

fn said(head: &Head, features: &[f32]) -> Vec<f32> {
    let rows = head.weight.chunks_exact(features.len()).zip(&head.bias);
    let logits = rows.map(|(weight, &bias)| {
        let product = weight.iter().zip(features).map(|(w, x)| f64::from(*w) * f64::from(*x));
        (product.sum::<f64>() + f64::from(bias)) as f32
    });
    softmax(&logits.collect::<Vec<_>>())
}

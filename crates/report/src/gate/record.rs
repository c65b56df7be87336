//! What a model said of one image, in the few bytes that a baseline keeps of it.

use crate::metrics::cross_entropy;
use crate::results::SplitPredictions;
use preprocess::{Error, Result};

/// The loss is kept as a logarithm of so many steps, with this much (in nats) added so that it has one: it comes back
/// within 0.009 % of itself and 1e-7 nats.
const STEPS: f64 = u16::MAX as f64;
const ADDED: f64 = 1e-3;

/// One image as a model answered it. Images are sorted by content and label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// The first eight bytes of the BLAKE3 of the image's file: the same under any name and in any class.
    pub content: u64,
    /// The true class.
    pub label: usize,
    /// The class that the model found most probable.
    pub predicted: usize,
    /// Its cross-entropy.
    pub loss: Loss,
}

/// A cross-entropy in two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loss(pub u16);

impl Loss {
    /// The nearest that can be kept of `nats`; more than the clipped 36 is that.
    pub(crate) fn of(nats: f64) -> Self {
        let part = (nats.max(0.0) / ADDED).ln_1p() / (largest() / ADDED).ln_1p();
        Self((part.min(1.0) * STEPS).round() as u16)
    }

    /// In nats.
    pub(crate) fn nats(self) -> f64 {
        ADDED * (f64::from(self.0) / STEPS * (largest() / ADDED).ln_1p()).exp_m1()
    }
}

/// The clipped loss of an impossible answer.
fn largest() -> f64 {
    -f64::EPSILON.ln()
}

impl Record {
    /// Whether the model was right.
    pub(crate) fn right(&self) -> bool {
        self.predicted == self.label
    }

    /// What comes of a model's predictions: of each image the record and the group, sorted.
    ///
    /// # Errors
    /// An image whose content is not known.
    pub(crate) fn of_predictions(predictions: &SplitPredictions) -> Result<Vec<(Self, usize)>> {
        let losses = cross_entropy(&predictions.rows);
        let record = |(row, loss): (&train::model::predictions::Prediction, f64)| {
            let content = row.content.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
            let content = content.ok_or_else(|| {
                Error::new(format!("the predictions name no content of the image `{}`", row.path))
                    .hint("run `preprocess`, `train` and `report` again with the same pipeline file")
            })?;
            let record = Self { content, label: row.label, predicted: row.prediction, loss: Loss::of(loss) };
            Ok((record, row.group))
        };
        let mut records = predictions.rows.iter().zip(losses).map(record).collect::<Result<Vec<_>>>()?;
        records.sort_unstable();
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_loss_comes_back(exponent in -18.0f64..3.58) {
            let nats = exponent.exp();
            let back = Loss::of(nats).nats();
            prop_assert!((back - nats).abs() <= 9e-5 * nats + 1e-7, "{} became {}", nats, back);
            prop_assert_eq!(Loss::of(back), Loss::of(nats));
        }
    }

    #[test]
    fn the_ends_are_kept() {
        assert_eq!((Loss::of(0.0).nats(), Loss::of(-1.0)), (0.0, Loss(0)));
        assert_eq!((Loss::of(36.05), Loss::of(f64::INFINITY)), (Loss(u16::MAX), Loss(u16::MAX)));
        assert!((Loss(u16::MAX).nats() - 36.043_653).abs() < 1e-5);
    }
}

//! Cross-entropy, also called log loss.

use train::model::predictions::Prediction;
use train::model::score::log_loss;

/// Each image's cross-entropy in nats ([`log_loss`]).
pub fn cross_entropy(rows: &[Prediction]) -> Vec<f64> {
    rows.iter().map(|row| log_loss(row.probabilities[row.label])).collect()
}

/// The arithmetic mean; 0 without values.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

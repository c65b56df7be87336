//! Cross-entropy, also called log loss.

use train::model::predictions::Prediction;

/// Each image's cross-entropy in nats: `-ln p` of its true class. `p` is clipped to `[ε, 1 - ε]` with the machine
/// epsilon of 64-bit floats, as scikit-learn's `log_loss` does, so that one impossible answer costs 36 nats and not
/// infinity.
pub fn cross_entropy(rows: &[Prediction]) -> Vec<f64> {
    rows.iter()
        .map(|row| -f64::from(row.probabilities[row.label]).clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln())
        .collect()
}

/// The arithmetic mean; 0 without values.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

//! Accuracy that forgives a near miss.

use train::model::predictions::Prediction;

/// The fraction of images whose true class is among the `k` most probable. Between equal probabilities the class later
/// in the order counts as the more probable, as in scikit-learn's `top_k_accuracy_score`. 0 without images.
pub fn top_k_accuracy(rows: &[Prediction], k: usize) -> f64 {
    let within = rows.iter().filter(|row| rank(row) < k).count();
    if rows.is_empty() { 0.0 } else { within as f64 / rows.len() as f64 }
}

/// How many classes come before the true one.
fn rank(row: &Prediction) -> usize {
    let own = row.probabilities[row.label];
    let before = |&(class, &p): &(usize, &f32)| p > own || (p == own && class > row.label);
    row.probabilities.iter().enumerate().filter(before).count()
}

//! An interval for a score that has no formula for one.

use super::{ConfusionMatrix, Interval};
use preprocess::stage::random;
use train::predictions::Prediction;

const RESAMPLES: usize = 1000;

/// The percentile bootstrap's 95 % interval of macro F1 (B. Efron, 1979): 1,000 test sets of the same size, drawn with
/// replacement from the images. Seeded: the same predictions, the same interval. `None` without images.
pub fn macro_f1_interval(rows: &[Prediction], classes: usize, seed: u64) -> Option<Interval> {
    if rows.is_empty() {
        return None;
    }
    let mut random = random::stream(seed, "report/bootstrap", &[]);
    let mut matrix = ConfusionMatrix::new(classes);
    let mut scores = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        matrix.clear();
        for _ in 0..rows.len() {
            let row = &rows[random.below(rows.len())];
            matrix.add(row.label, row.prediction);
        }
        scores.push(matrix.macro_average().f1);
    }
    scores.sort_by(f64::total_cmp);
    Some(Interval { low: quantile(&scores, 0.025), high: quantile(&scores, 0.975) })
}

/// The quantile of sorted values, interpolated linearly.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
}

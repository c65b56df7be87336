//! Medians.

use std::time::{Duration, Instant};

/// At least so many passes of a measurement.
const LEAST_PASSES: usize = 5;

/// The middle one; of an even number the larger of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Seconds that `work` takes: the median of the passes within `budget` (five at least), after one that does not count.
pub fn seconds(budget: Duration, mut work: impl FnMut()) -> f64 {
    work();
    let started = Instant::now();
    let mut passes = Vec::new();
    while passes.len() < LEAST_PASSES || started.elapsed() < budget {
        let pass = Instant::now();
        work();
        passes.push(pass.elapsed().as_secs_f64());
    }
    median(passes)
}

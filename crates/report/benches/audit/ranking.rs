//! How good a ranking of images is at bringing those with changed labels first.

use report::audit;
use std::collections::BTreeSet;
use train::audit::evidence::Evidence;

/// Images at the head of a ranking that somebody would look at.
const LOOKED_AT: usize = 50;

/// How good a ranking is.
#[derive(Debug, Clone, Copy)]
pub struct Score {
    /// The mean of the precision at each image that was changed.
    pub average_precision: f64,
    /// Of the first [`LOOKED_AT`], the part that was changed.
    pub precision: f64,
}

impl Score {
    /// As a table has it.
    pub fn cells(&self) -> [String; 2] {
        [format!("{:.3}", self.average_precision), format!("{:.0} %", 100.0 * self.precision)]
    }
}

/// Of the audit's ranking.
pub fn score(evidence: &Evidence, changed: &BTreeSet<String>) -> Score {
    let suspicions = audit::rank(&evidence.images, evidence.record.classes.len(), None);
    let mut order: Vec<usize> = (0..suspicions.len()).collect();
    order.sort_by(|&a, &b| suspicions[b].score.total_cmp(&suspicions[a].score));
    let hits: Vec<bool> = order.iter().map(|&row| changed.contains(&evidence.images[row].path)).collect();
    Score {
        average_precision: average_precision(&hits),
        precision: hits.iter().take(LOOKED_AT).filter(|hit| **hit).count() as f64 / LOOKED_AT as f64,
    }
}

fn average_precision(hits: &[bool]) -> f64 {
    let (mut found, mut sum) = (0.0, 0.0);
    for (hit, place) in hits.iter().zip(1..) {
        if *hit {
            found += 1.0;
            sum += found / f64::from(place);
        }
    }
    if found > 0.0 { sum / found } else { 0.0 }
}

//! What is wrong with the data, beside what the models make of it: labels, copies, leaks, images that show nothing.
//!
//! Judged by what training left in `audit/` ([`train::audit::evidence`]). The statistics come first ([`confident`],
//! [`ranking`], [`label_errors`]), then the findings, a file a kind, then the scores that they affect ([`scores`]).

pub mod confident;
mod duplicates;
mod file;
mod finding;
pub mod label_errors;
mod leaks;
mod load;
mod outliers;
pub mod ranking;
mod relatives;
mod robust;
pub mod scores;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod unusable;
mod wrong_labels;

pub use file::to_csv;
pub use finding::{Finding, Kind, Suggestion};
pub use load::{load, silenced};
pub use ranking::{Suspicion, rank};
pub use scores::AuditMetrics;

use crate::results::Results;
use relatives::Relatives;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use train::audit::evidence::Evidence;

/// Everything that the audit knows.
#[derive(Debug)]
pub struct Audit {
    /// What it is judged by.
    pub evidence: Evidence,
    /// In the order of the kinds, the worst of each first, equals by path.
    pub findings: Vec<Finding>,
    /// The numbers, for `metrics.json`.
    pub metrics: AuditMetrics,
}

impl Audit {
    /// Judges the data set. Nothing is said of images whose paths are `silenced`: somebody has looked at them. The
    /// results must be of the images that the evidence is of; see [`load`].
    pub fn of(evidence: Evidence, results: &Results, silenced: &BTreeSet<String>, training: Option<&[f64]>) -> Self {
        // Groups that the user gives hold more than copies: patients, videos.
        let groups_are_copies = results.manifest.settings.split.group_by.is_none();
        let relatives = Relatives::of(&evidence.images);
        let findings = find(&evidence, &relatives, groups_are_copies, silenced, training);
        let metrics = AuditMetrics::of(&evidence, &findings, &relatives, results, silenced);
        Self { evidence, findings, metrics }
    }

    /// The findings of one kind, the worst first.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.kind == kind)
    }
}

/// All findings in their order.
fn find(
    evidence: &Evidence,
    relatives: &Relatives,
    groups_are_copies: bool,
    silenced: &BTreeSet<String>,
    training: Option<&[f64]>,
) -> Vec<Finding> {
    let ranking = rank(&evidence.images, evidence.record.classes.len(), training);
    let mut findings = wrong_labels::find(evidence, &ranking);
    findings.extend(duplicates::find(evidence, relatives, groups_are_copies));
    findings.extend(leaks::find(evidence, relatives));
    findings.extend(unusable::find(evidence));
    findings.extend(outliers::find(evidence));
    let path = |finding: &Finding| &evidence.images[finding.row].path;
    findings.retain(|finding| !silenced.contains(path(finding)));
    findings.sort_by(|a, b| {
        (a.kind, Reverse(ordered(a.score)), path(a)).cmp(&(b.kind, Reverse(ordered(b.score)), path(b)))
    });
    findings
}

/// Scores are never negative nor none: their bits are in their order.
fn ordered(score: f64) -> u64 {
    score.max(0.0).to_bits()
}

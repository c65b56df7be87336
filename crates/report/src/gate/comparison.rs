//! What became better, what worse, and whether that is more than noise.

use super::{Baseline, BaselineModel};
use crate::document::{Cell, Table};
use crate::format::{count, p_value, percent, points, signed};
use crate::metrics::{Interval, Paired};
use crate::metrics_file::{Metrics, SIGNIFICANCE};
use indexmap::IndexMap;
use preprocess::{Error, Result};

/// A drop counts as beyond the tolerance only if it is so by more than rounding.
const ROUNDING: f64 = 1e-9;

/// One model against its baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelComparison {
    /// The model's name.
    pub name: String,
    /// Accuracy first: it decides. Then macro F1 and loss, for information.
    pub findings: Vec<Finding>,
}

/// One metric of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Its name.
    pub metric: &'static str,
    /// In words, with its unit.
    pub before: String,
    /// In words, with its unit.
    pub now: String,
    /// In words, with its unit.
    pub difference: String,
    /// Whether the gate looks at it, and what it sees.
    pub gated: Gated,
    /// Whether the difference exceeds the test set's own noise, and how that was decided.
    pub beyond_noise: String,
}

/// What the gate makes of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gated {
    /// Shown only.
    No,
    /// Equal, better, or worse within the tolerance.
    Passed,
    /// Worse by more than the tolerance.
    Failed,
}

impl ModelComparison {
    /// Whether the model got worse than its tolerance allows.
    pub fn fails(&self) -> bool {
        self.findings.iter().any(|finding| finding.gated == Gated::Failed)
    }
}

/// Compares every model with its baseline. Both are of the same images.
///
/// # Errors
/// A model that only one of the two has.
pub fn compare(baseline: &Baseline, metrics: &Metrics, tolerance: f64) -> Result<Vec<ModelComparison>> {
    let now = Baseline::from_metrics(metrics)?;
    if let Some(name) = baseline.models.keys().find(|name| !now.models.contains_key(*name)) {
        return Err(Error::new(format!("the model `{name}` of the baseline is missing from the results")).hint(
            "train and report on it; or, if it was removed on purpose, run `report accept` and commit the baseline",
        ));
    }
    let compare = |(name, now): (&String, &BaselineModel)| {
        let before = baseline.models.get(name).ok_or_else(|| {
            Error::new(format!("the model `{name}` is not in the baseline"))
                .hint("run `report accept` with the same pipeline file and commit the baseline")
        })?;
        Ok(ModelComparison { name: name.clone(), findings: findings(before, now, tolerance) })
    };
    now.models.iter().map(compare).collect()
}

fn findings(before: &BaselineModel, now: &BaselineModel, tolerance: f64) -> Vec<Finding> {
    vec![accuracy(before, now, tolerance), macro_f1(before, now), loss(before, now)]
}

fn accuracy(before: &BaselineModel, now: &BaselineModel, tolerance: f64) -> Finding {
    let difference = now.accuracy - before.accuracy;
    let p = Paired::count(before.correct_images.iter(), now.correct_images.iter()).p_value();
    Finding {
        metric: "accuracy",
        before: percent(before.accuracy),
        now: percent(now.accuracy),
        difference: points(difference),
        gated: if -difference > tolerance + ROUNDING { Gated::Failed } else { Gated::Passed },
        beyond_noise: format!("{} (McNemar, {})", if p < SIGNIFICANCE { "yes" } else { "no" }, p_value(p)),
    }
}

fn macro_f1(before: &BaselineModel, now: &BaselineModel) -> Finding {
    let difference = now.macro_f1 - before.macro_f1;
    Finding {
        metric: "macro F1",
        before: format!("{:.3}", before.macro_f1),
        now: format!("{:.3}", now.macro_f1),
        difference: signed(difference, 3),
        gated: Gated::No,
        beyond_noise: by_intervals(before.macro_f1_interval, now.macro_f1_interval, difference),
    }
}

fn loss(before: &BaselineModel, now: &BaselineModel) -> Finding {
    let difference = now.loss - before.loss;
    Finding {
        metric: "loss (nats)",
        before: format!("{:.3}", before.loss),
        now: format!("{:.3}", now.loss),
        difference: signed(difference, 3),
        gated: Gated::No,
        beyond_noise: by_intervals(before.loss_interval, now.loss_interval, difference),
    }
}

/// Takes the two measurements for independent, which they are not quite: errs on the side of "no".
fn by_intervals(before: Option<Interval>, now: Option<Interval>, difference: f64) -> String {
    match (before, now) {
        (Some(before), Some(now)) if before.differ(&now, difference) => "yes (95 % intervals)".into(),
        (Some(_), Some(_)) => "no (95 % intervals)".into(),
        _ => "unknown".into(),
    }
}

/// The comparison as a person reads it.
pub fn table(comparisons: &[ModelComparison], tolerance: f64) -> Table {
    let mut table = Table::new([
        "Model",
        "Metric",
        "#Baseline",
        "#Now",
        "#Difference",
        "#Tolerance",
        "Verdict",
        "Beyond the test set's noise",
    ]);
    for model in comparisons {
        for finding in &model.findings {
            let (allowed, verdict) = match finding.gated {
                Gated::No => (String::new(), "not gated"),
                Gated::Passed => (points(-tolerance), "passed"),
                Gated::Failed => (points(-tolerance), "FAILED"),
            };
            table.row([
                Cell::from(&model.name),
                Cell::from(finding.metric),
                Cell::from(&finding.before),
                Cell::from(&finding.now),
                Cell::from(&finding.difference),
                Cell::from(allowed),
                Cell::new(verdict, finding.gated == Gated::Failed),
                Cell::from(&finding.beyond_noise),
            ]);
        }
    }
    table
}

/// What a new baseline changes of an old one.
pub(super) fn changes(old: &Baseline, new: &Baseline) -> Table {
    let mut table = Table::new(["Model", "Metric", "#Before", "#Now", "#Difference"]);
    let mut names: IndexMap<&String, ()> = old.models.keys().map(|name| (name, ())).collect();
    names.extend(new.models.keys().map(|name| (name, ())));
    for name in names.keys() {
        match (old.models.get(*name), new.models.get(*name)) {
            (Some(before), Some(now)) => {
                for finding in findings(before, now, 0.0) {
                    let cells = [finding.metric.to_string(), finding.before, finding.now, finding.difference];
                    table.row(std::iter::once(name.to_string()).chain(cells));
                }
            }
            (before, _) => {
                let what = if before.is_some() { "removed" } else { "added" };
                table.row([name.as_str(), what, "", "", ""]);
            }
        }
    }
    table
}

/// What a baseline holds.
pub(super) fn overview(baseline: &Baseline) -> Table {
    let mut table = Table::new(["Model", "#Right", "#Images", "#Accuracy", "#Macro F1", "#Loss (nats)"]);
    for (name, model) in &baseline.models {
        table.row([
            name.clone(),
            count(model.correct),
            count(baseline.images),
            percent(model.accuracy),
            format!("{:.3}", model.macro_f1),
            format!("{:.3}", model.loss),
        ]);
    }
    table
}

//! What the gate found, as a person reads it.

use super::baseline::{Baseline, Scores};
use super::comparison::{Comparison, ModelComparison};
use super::decision::{Measured, SIGNIFICANCE, Verdict};
use crate::document::{Cell, Table};
use crate::format::{count, p_value, percent, points, points_interval, signed, signed_interval};
use indexmap::IndexMap;
use preprocess::stage::names::shown;

/// Where the images decide nothing and this many would not either.
const TOO_MANY: &str = "more than 10,000,000";

/// A row a quantity that the gate looks at, and macro F1. Of the classes those that lost too much, or the one that
/// lost most.
pub fn table(comparison: &Comparison) -> Table {
    let mut table = Table::new([
        "Model",
        "Metric",
        "#Baseline",
        "#Now",
        "#Difference",
        "#95 % interval",
        "#Tolerance",
        "p (corrected)",
        "Verdict",
    ]);
    for model in &comparison.models {
        for finding in findings(model) {
            let strong = finding.verdict.is_some_and(|verdict| verdict != Verdict::Passed);
            table.row([
                Cell::from(&model.name),
                Cell::from(&finding.metric),
                Cell::from(&finding.before),
                Cell::from(&finding.now),
                Cell::from(&finding.difference),
                Cell::from(&finding.interval),
                Cell::from(&finding.tolerance),
                Cell::from(&finding.p_value),
                Cell::new(finding.verdict.map_or("not gated", word), strong),
            ]);
        }
    }
    table
}

/// One row of the table, in words.
pub(super) struct Finding {
    pub metric: String,
    pub before: String,
    pub now: String,
    pub difference: String,
    pub interval: String,
    pub tolerance: String,
    pub p_value: String,
    /// None where the gate does not look at it.
    pub verdict: Option<Verdict>,
}

/// As the table and JUnit show it.
pub(super) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Undecidable => "UNDECIDABLE",
        Verdict::Failed => "FAILED",
    }
}

/// All that is shown of one model.
pub(super) fn findings(model: &ModelComparison) -> Vec<Finding> {
    let decision = &model.decision;
    let mut findings = vec![share("accuracy".into(), &decision.accuracy), loss(&decision.loss)];
    let lost = |measured: &Measured| measured.before - measured.now;
    let shown_classes: Vec<_> =
        decision.classes.iter().filter(|(_, measured)| measured.verdict != Verdict::Passed).collect();
    for (class, measured) in &shown_classes {
        findings.push(share(format!("recall of {}", shown(&model.classes[*class])), measured));
    }
    let worst = decision.classes.iter().max_by(|(_, a), (_, b)| lost(a).total_cmp(&lost(b)));
    if let (true, Some((class, measured))) = (shown_classes.is_empty(), worst) {
        let name = format!("recall of {}, which lost most", shown(&model.classes[*class]));
        if lost(measured) > 0.0 {
            findings.push(share(name, measured));
        }
    }
    findings.push(macro_f1(model.macro_f1));
    findings
}

fn share(metric: String, measured: &Measured) -> Finding {
    Finding {
        metric,
        before: percent(measured.before),
        now: percent(measured.now),
        difference: points(measured.now - measured.before),
        interval: measured.interval.as_ref().map_or_else(|| "unknown".into(), points_interval),
        tolerance: points(-measured.allowed),
        p_value: p_value(measured.p_value),
        verdict: Some(measured.verdict),
    }
}

fn loss(measured: &Measured) -> Finding {
    Finding {
        metric: "loss (nats)".into(),
        before: format!("{:.3}", measured.before),
        now: format!("{:.3}", measured.now),
        difference: signed(measured.now - measured.before, 3),
        interval: measured.interval.as_ref().map_or_else(|| "unknown".into(), signed_interval),
        tolerance: signed(measured.allowed, 3),
        p_value: p_value(measured.p_value),
        verdict: Some(measured.verdict),
    }
}

fn macro_f1([before, now]: [f64; 2]) -> Finding {
    Finding {
        metric: "macro F1".into(),
        before: format!("{before:.3}"),
        now: format!("{now:.3}"),
        difference: signed(now - before, 3),
        interval: String::new(),
        tolerance: String::new(),
        p_value: String::new(),
        verdict: None,
    }
}

/// What a model failed by or is undecidable in, in a sentence.
pub(super) fn reasons(model: &ModelComparison, verdict: Verdict) -> String {
    let mut reasons: Vec<String> = findings(model)
        .iter()
        .filter(|finding| finding.verdict == Some(verdict))
        .map(|finding| match verdict {
            Verdict::Failed => format!(
                "{} {} to {} ({}; {} allowed, {})",
                finding.metric, finding.before, finding.now, finding.difference, finding.tolerance, finding.p_value
            ),
            _ => format!(
                "{} {} (95 %: {}; {} allowed)",
                finding.metric, finding.difference, finding.interval, finding.tolerance
            ),
        })
        .collect();
    if let (Verdict::Undecidable, Some(needed)) = (verdict, model.decision.images_needed()) {
        let needed = if needed.is_finite() { format!("about {}", count(round(needed))) } else { TOO_MANY.into() };
        reasons.push(format!(
            "{needed} test images would decide, if the differences stay as they are; there are {}",
            count(model.decision.images)
        ));
    }
    reasons.join("; ")
}

/// To two digits: no more is known.
fn round(images: f64) -> usize {
    let unit = 10f64.powf((images.log10().floor() - 1.0).max(0.0));
    ((images / unit).ceil() * unit) as usize
}

/// How the p-values are to be read.
pub(super) fn legend() -> String {
    format!(
        "A drop is shown at p = {SIGNIFICANCE} or less (one-sided, image by image, groups of near-copies as one, corrected \
         for everything that the gate tests). Passed: the whole interval is within the tolerance."
    )
}

/// What a new baseline changes of an old one.
pub(super) fn changes(old: &Baseline, new: &Baseline) -> Table {
    let mut table = Table::new(["Model", "Metric", "#Before", "#Now"]);
    let mut names: IndexMap<&String, ()> = old.models.keys().map(|name| (name, ())).collect();
    names.extend(new.models.keys().map(|name| (name, ())));
    for name in names.keys() {
        match (old.models.get(*name), new.models.get(*name)) {
            (Some(before), Some(now)) if before == now && old.classes == new.classes => {
                table.row([name.as_str(), "unchanged", "", ""]);
            }
            (Some(before), Some(now)) => {
                let before = cells(&Scores::of(before, old.classes.len()));
                let now = cells(&Scores::of(now, new.classes.len()));
                for (metric, (before, now)) in SCORES.iter().zip(before.into_iter().zip(now)) {
                    table.row([name.to_string(), metric.to_string(), before, now]);
                }
            }
            (before, _) => {
                let what = if before.is_some() { "removed" } else { "added" };
                table.row([name.as_str(), what, "", ""]);
            }
        }
    }
    table
}

const SCORES: [&str; 4] = ["right, of images", "accuracy", "macro F1", "loss (nats)"];

fn cells(scores: &Scores) -> [String; 4] {
    [
        format!("{} of {}", count(scores.correct), count(scores.images)),
        percent(scores.accuracy),
        format!("{:.3}", scores.macro_f1),
        format!("{:.3}", scores.loss),
    ]
}

/// What a baseline holds.
pub(super) fn overview(baseline: &Baseline) -> Table {
    let mut table = Table::new(["Model", "#Right", "#Accuracy", "#Macro F1", "#Loss (nats)"]);
    for (name, records) in &baseline.models {
        let [right, accuracy, macro_f1, loss] = cells(&Scores::of(records, baseline.classes.len()));
        table.row([name.clone(), right, accuracy, macro_f1, loss]);
    }
    table
}

//! The gate as JUnit XML, which CI systems show: a test case a model. A failed model is a failure, an undecidable one
//! is skipped (or a failure, where the pipeline file says so), a model that the baseline does not have is skipped.

use super::comparison::{Comparison, ModelComparison};
use super::decision::Verdict;
use super::table::{Finding, findings, reasons, word};
use crate::figure::escape;
use preprocess::pipeline::Undecidable;
use std::fmt::Write;

/// The file's content.
pub(crate) fn report(pipeline: &str, comparison: &Comparison, undecidable: Undecidable) -> String {
    let outcomes: Vec<Outcome> =
        comparison.models.iter().map(|model| Outcome::of(model.decision.verdict(), undecidable)).collect();
    let number = |outcome: Outcome| outcomes.iter().filter(|&&other| other == outcome).count();
    let (failures, skipped) = (number(Outcome::Failure), number(Outcome::Skipped) + comparison.new_models.len());
    let (pipeline, tests) = (escape(pipeline), comparison.models.len() + comparison.new_models.len());
    let counts = format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"0\"");
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  \
         <testsuite name=\"accuracy gate: {pipeline}\" {counts} skipped=\"{skipped}\">\n"
    );
    for (model, outcome) in comparison.models.iter().zip(outcomes) {
        let _ = writeln!(out, "    <testcase classname=\"{pipeline}\" name=\"{}\">", escape(&model.name));
        out.push_str(&details(model, outcome));
        out.push_str("    </testcase>\n");
    }
    for name in &comparison.new_models {
        let name = escape(name);
        let _ = writeln!(out, "    <testcase classname=\"{pipeline}\" name=\"{name}\">");
        out.push_str("      <skipped message=\"not in the baseline\"/>\n    </testcase>\n");
    }
    out + "  </testsuite>\n</testsuites>\n"
}

/// What JUnit makes of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Success,
    Skipped,
    Failure,
}

impl Outcome {
    fn of(verdict: Verdict, undecidable: Undecidable) -> Self {
        match (verdict, undecidable) {
            (Verdict::Passed, _) => Self::Success,
            (Verdict::Undecidable, Undecidable::Pass) => Self::Skipped,
            (Verdict::Undecidable, Undecidable::Fail) | (Verdict::Failed, _) => Self::Failure,
        }
    }
}

fn details(model: &ModelComparison, outcome: Outcome) -> String {
    let verdict = model.decision.verdict();
    let message = escape(&format!("{}: {}", word(verdict).to_lowercase(), reasons(model, verdict)));
    let mut out = match outcome {
        Outcome::Success => String::new(),
        Outcome::Skipped => format!("      <skipped message=\"{message}\"/>\n"),
        Outcome::Failure => format!("      <failure message=\"{message}\"/>\n"),
    };
    let findings: Vec<String> = findings(model).iter().map(|finding| escape(&describe(finding))).collect();
    let _ = writeln!(out, "      <system-out>{}</system-out>", findings.join("\n"));
    out
}

fn describe(finding: &Finding) -> String {
    let Finding { metric, before, now, difference, interval, tolerance, p_value, verdict } = finding;
    let values = format!("{metric}: {before} in the baseline, {now} now ({difference})");
    match verdict {
        Some(verdict) => format!("{values}; 95 %: {interval}; tolerance {tolerance}; {p_value}: {}", word(*verdict)),
        None => values,
    }
}

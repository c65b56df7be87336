//! The gate as JUnit XML, which CI systems show: a test case a model.

use super::{Finding, Gated, ModelComparison};
use crate::figure::escape;
use std::fmt::Write;

/// The file's content.
pub fn report(pipeline: &str, comparisons: &[ModelComparison]) -> String {
    let failures = comparisons.iter().filter(|model| model.fails()).count();
    let (pipeline, tests) = (escape(pipeline), comparisons.len());
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites tests=\"{tests}\" failures=\"{failures}\" errors=\"0\">\n  \
         <testsuite name=\"accuracy gate: {pipeline}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\">\n"
    );
    for model in comparisons {
        let _ = writeln!(out, "    <testcase classname=\"{pipeline}\" name=\"{}\">", escape(&model.name));
        for finding in model.findings.iter().filter(|finding| finding.gated == Gated::Failed) {
            let _ = writeln!(out, "      <failure message=\"{}\"/>", escape(&describe(finding)));
        }
        let findings: Vec<String> = model.findings.iter().map(|finding| escape(&describe(finding))).collect();
        let _ = writeln!(out, "      <system-out>{}</system-out>", findings.join("\n"));
        out.push_str("    </testcase>\n");
    }
    out + "  </testsuite>\n</testsuites>\n"
}

fn describe(finding: &Finding) -> String {
    let Finding { metric, before, now, difference, beyond_noise, .. } = finding;
    format!("{metric}: {before} in the baseline, {now} now ({difference}); beyond the test set's noise: {beyond_noise}")
}

//! The gate as JUnit XML, which CI systems show: a test case a model.

use super::{Gated, ModelComparison};
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
        for finding in &model.findings {
            let text = escape(&format!(
                "{}: {} in the baseline, {} now ({}); beyond noise: {}",
                finding.metric, finding.before, finding.now, finding.difference, finding.beyond_noise
            ));
            let _ = match finding.gated {
                Gated::Failed => writeln!(out, "      <failure message=\"{text}\"/>"),
                Gated::Passed | Gated::No => writeln!(out, "      <system-out>{text}</system-out>"),
            };
        }
        out.push_str("    </testcase>\n");
    }
    out + "  </testsuite>\n</testsuites>\n"
}

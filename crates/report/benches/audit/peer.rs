//! cleanlab on the same probabilities.

use super::programs::given;
use super::ranking::Score;
use preprocess::stage::error::Context;
use preprocess::{Error, Result};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use train::audit::evidence::Evidence;

/// Ranked by self-confidence, and by the normalised margin; none where Python has no cleanlab.
///
/// # Errors
/// The disk refuses; cleanlab is there and failed.
pub fn scores(evidence: &Evidence, changed: &BTreeSet<String>, directory: &Path) -> Result<Option<[Score; 2]>> {
    let python = given("PEERS_PYTHON", "python3");
    let mut import = Command::new(&python);
    import.args(["-c", "import cleanlab"]).stdin(Stdio::null()).stderr(Stdio::null());
    if !import.status().is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    let mut text = String::new();
    for image in &evidence.images {
        let _ = write!(text, "{},{}", u8::from(changed.contains(&image.path)), image.label);
        for said in &image.probabilities {
            let _ = write!(text, ",{said}");
        }
        text.push('\n');
    }
    let file = directory.join("probabilities.csv");
    std::fs::write(&file, text).context(|| format!("cannot write `{}`", file.display()))?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/audit/cleanlab_scores.py");
    let output = Command::new(&python).arg(script).arg(&file).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.context(|| format!("cannot start `{python}`"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match (output.status.success(), numbers.as_slice()) {
        (true, &[a, b, c, d]) => {
            Ok(Some([(a, b), (c, d)].map(|(average_precision, precision)| Score { average_precision, precision })))
        }
        _ => Err(Error::new("cleanlab failed on the audit's probabilities").because(text.trim().to_owned())),
    }
}

//! What the pipeline file says of the gate.

use preprocess::pipeline::{GateSettings, Pipeline};
use preprocess::{Error, Result};

/// What to do about results that are missing or do not belong together.
pub(super) const FRESH_HINT: &str = "run `train` and `report` with the same pipeline file again";

/// The gate's settings.
///
/// # Errors
/// The pipeline has no gate.
pub(super) fn settings(pipeline: &Pipeline) -> Result<&GateSettings> {
    pipeline.report.gate.as_ref().ok_or_else(|| {
        Error::new(format!("the pipeline `{}` has no gate: `report.gate` is not set", pipeline.name)).hint(format!(
            "add `report: {{ gate: {{ baseline: baselines/{}.json }} }}` to the pipeline file",
            pipeline.name
        ))
    })
}

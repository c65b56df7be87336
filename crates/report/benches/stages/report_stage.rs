//! The report of a small run.

use crate::rows::{Rows, Work};
use crate::shared::programs::Programs;
use crate::shared::timing;
use preprocess::Result;

/// Runs, of which the median counts.
const RUNS: usize = 7;

/// Trains both models for an epoch, and adds the row of the stage.
pub fn measure(programs: &Programs, rows: &mut Rows) -> Result<()> {
    programs.run("train", &[])?;
    let runs = (0..RUNS).map(|_| programs.run("report", &[]).map(|usage| usage.time.as_secs_f64()));
    let seconds = timing::median(runs.collect::<Result<_>>()?);
    rows.add("report", "the whole program: two models of the run above", Work { seconds, ..Work::default() });
    Ok(())
}

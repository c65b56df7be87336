//! Makes the present results the new baseline.

use super::baseline::{Baseline, Present};
use super::baseline_file;
use super::settings::{FRESH_HINT, settings};
use super::table::{changes, overview};
use super::verified::verified_results;
use crate::document::text_table;
use preprocess::pipeline::Pipeline;
use preprocess::stage::error::Context;
use preprocess::stage::lock::OutputLock;
use preprocess::stage::names::shown;
use preprocess::{Error, Result, say};

/// Writes the baseline from the results behind `metrics.json`, and prints what changed. With `model` that model alone:
/// the others stay what they are in the baseline.
///
/// # Errors
/// No gate; report missing or older than the predictions; no such model; the baseline cannot be read to be added to;
/// the disk refuses.
pub fn accept(pipeline: &Pipeline, model: Option<&str>) -> Result<()> {
    let gate = settings(pipeline)?;
    let _lock = OutputLock::acquire(&pipeline.output, "report accept")?;
    let now = Present::of(&verified_results(pipeline, model)?)?;
    let file = gate.baseline.display();
    let old = if gate.baseline.exists() { Some(baseline_file::read(&gate.baseline)) } else { None };
    let new = match model {
        None => now.baseline(),
        Some(model) => with_model(model, &now, old.as_ref(), pipeline)?,
    };
    match &old {
        None => say!("no baseline before\n"),
        Some(Ok(old)) if *old == new => {
            say!("the baseline `{file}` is these results already");
            return Ok(());
        }
        Some(Ok(old)) => match old.check_same_task(&now, &gate.baseline) {
            Ok(()) => say!("what changes:\n\n{}", text_table(&changes(old, &new))),
            // A baseline of another task is replaced on purpose; the reason why it is not compared is worth a line.
            Err(error) => say!("the old baseline is replaced and not compared: {}\n", error.message()),
        },
        Some(Err(error)) => say!("the old baseline is replaced and not compared: {}\n", error.message()),
    }
    if let Some(directory) = gate.baseline.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory)
            .context(|| format!("cannot create the directory `{}`", directory.display()))?;
    }
    baseline_file::write(&gate.baseline, &new)?;
    say!("{}", text_table(&overview(&new)));
    say!("baseline: `{file}`; commit it");
    Ok(())
}

/// The old baseline with this model's answers in it; where there is none, a baseline of this model alone.
fn with_model(model: &str, now: &Present, old: Option<&Result<Baseline>>, pipeline: &Pipeline) -> Result<Baseline> {
    let mut present = now.baseline();
    let records = present.models.shift_remove(model).ok_or_else(|| {
        Error::new(format!("`metrics.json` has no results of the model `{}`", shown(model))).hint(FRESH_HINT)
    })?;
    let others = match old {
        None => Baseline { models: Default::default(), ..present },
        Some(Ok(old)) => {
            let file = pipeline.report.gate.as_ref().map(|gate| gate.baseline.clone()).unwrap_or_default();
            old.check_same_task(now, &file)?;
            old.clone()
        }
        Some(Err(error)) => {
            return Err(Error::new(format!("the model `{}` cannot be added to the baseline", shown(model)))
                .because(error.message().to_owned())
                .hint("run `report accept` without `--model`, which writes the baseline anew"));
        }
    };
    let mut baseline = others.with_model(model, records, &now.classes);
    let order = |name: &String| pipeline.train.models.get_index_of(name).unwrap_or(usize::MAX);
    baseline.models.sort_by(|a, _, b, _| order(a).cmp(&order(b)));
    Ok(baseline)
}

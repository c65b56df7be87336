//! The regression gate: tells when a model got worse than the committed baseline.

mod baseline;
mod comparison;
mod junit;

pub use baseline::{Baseline, BaselineModel};
pub use comparison::{Finding, Gated, ModelComparison, compare, table};

use crate::document::{markdown_table, text_table};
use crate::format::{count, percentage_points};
use crate::metrics_file::Metrics;
use crate::run::write_json;
use preprocess::manifest::Split;
use preprocess::pipeline::{GateSettings, Pipeline};
use preprocess::stage::atomic_file::write_atomically;
use preprocess::stage::error::Context;
use preprocess::stage::fingerprint;
use preprocess::stage::lock::OutputLock;
use preprocess::{Error, Result, say};
use std::io::Write;
use std::path::Path;
use train::predictions::predictions_file;

/// Compares `metrics.json` with the baseline and prints the table of it; also writes `junit.xml` beside the report, and where
/// `GITHUB_STEP_SUMMARY` is set appends the table to that file.
///
/// # Errors
/// A model got worse than the tolerance allows: exit code 1. No gate, baseline missing or foreign, report missing or older than
/// the predictions: exit code 2.
pub fn check(pipeline: &Pipeline) -> Result<()> {
    let gate = settings(pipeline)?;
    let metrics = fresh_metrics(pipeline)?;
    let baseline = Baseline::read(&gate.baseline)?;
    baseline.check_same_task(&metrics, &gate.baseline)?;
    let comparisons = compare(&baseline, &metrics, gate.tolerance)?;

    let table = table(&comparisons, gate.tolerance);
    let verdict = verdict(&comparisons, gate.tolerance);
    say!(
        "baseline `{}`; {} {} images, accuracy known to ±{}\n",
        gate.baseline.display(),
        count(baseline.images),
        baseline.split.name(),
        percentage_points(widest(&metrics, baseline.split) / 2.0)
    );
    say!("{}", text_table(&table));
    if let Ok(passed) = &verdict {
        say!("{passed}");
    }

    let report = junit::report(&pipeline.name, &comparisons);
    write_atomically(&pipeline.report_dir().join("junit.xml"), |writer| writer.write_all(report.as_bytes()))?;
    if let Some(file) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|file| !file.is_empty()) {
        let outcome = if verdict.is_ok() { "passed" } else { "failed" };
        let text = format!(
            "### Accuracy gate of {}: {outcome}\n\n{}\n",
            crate::document::escape_markdown(&pipeline.name),
            markdown_table(&table)
        );
        append(Path::new(&file), &text)?;
    }
    verdict.map(|_| ())
}

/// Makes the results in `metrics.json` the new baseline, and prints what changed.
///
/// # Errors
/// No gate; report missing or older than the predictions; the disk refuses.
pub fn accept(pipeline: &Pipeline) -> Result<()> {
    let gate = settings(pipeline)?;
    let _lock = OutputLock::acquire(&pipeline.output, "report accept")?;
    let metrics = fresh_metrics(pipeline)?;
    let new = Baseline::from_metrics(&metrics)?;
    let file = gate.baseline.display();
    if !gate.baseline.exists() {
        say!("no baseline before\n");
    } else {
        match Baseline::read(&gate.baseline).and_then(|old| old.check_same_task(&metrics, &gate.baseline).map(|()| old))
        {
            Ok(old) if old == new => {
                say!("the baseline `{file}` is these results already");
                return Ok(());
            }
            Ok(old) => say!("what changes:\n\n{}", text_table(&comparison::changes(&old, &new))),
            // A baseline of another data set is replaced on purpose; the reason why it could not be compared is worth a line.
            Err(error) => say!("the old baseline is replaced and not compared: {}\n", error.message()),
        }
    }
    if let Some(directory) = gate.baseline.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory)
            .context(|| format!("cannot create the directory `{}`", directory.display()))?;
    }
    write_json(&gate.baseline, &new)?;
    say!("{}", text_table(&comparison::overview(&new)));
    say!("baseline: `{file}`; commit it");
    Ok(())
}

fn settings(pipeline: &Pipeline) -> Result<&GateSettings> {
    pipeline.report.gate.as_ref().ok_or_else(|| {
        Error::new(format!("the pipeline `{}` has no gate: `report.gate` is not set", pipeline.name)).hint(format!(
            "add `report: {{ gate: {{ baseline: baselines/{}.json }} }}` to the pipeline file",
            pipeline.name
        ))
    })
}

/// Reads `metrics.json` and refuses it where it is not of the pipeline's models as they are now.
fn fresh_metrics(pipeline: &Pipeline) -> Result<Metrics> {
    let file = pipeline.report_dir().join("metrics.json");
    let metrics = Metrics::read(&file)?;
    let stale = |cause: String| {
        Error::new(format!("`{}` is out of date", file.display()))
            .because(cause)
            .hint("run `train` and `report` with the same pipeline file again")
    };
    if metrics.pipeline != pipeline.name {
        return Err(stale(format!("it is of the pipeline `{}`, not of `{}`", metrics.pipeline, pipeline.name)));
    }
    if let Some(name) = pipeline.train.models.keys().find(|name| !metrics.models.contains_key(*name)) {
        return Err(stale(format!("it has no results of the model `{name}`")));
    }
    if let Some(name) = metrics.models.keys().find(|name| !pipeline.train.models.contains_key(*name)) {
        return Err(stale(format!("it has results of a model `{name}`, which the pipeline file does not have")));
    }
    for (name, model) in &metrics.models {
        for (&split, scores) in &model.splits {
            let predictions = predictions_file(&pipeline.model_dir(name), split);
            if fingerprint::of_file(&predictions)? != scores.predictions_blake3 {
                return Err(stale(format!("`{}` is not the file it was made from", predictions.display())));
            }
        }
    }
    Ok(metrics)
}

/// The widest 95 % interval of any model's accuracy: what a test set of this size can tell.
fn widest(metrics: &Metrics, split: Split) -> f64 {
    let scores = metrics.models.values().filter_map(|model| model.splits.get(&split));
    scores.map(|scores| scores.accuracy_interval.high - scores.accuracy_interval.low).fold(0.0, f64::max)
}

/// In one sentence.
fn verdict(comparisons: &[ModelComparison], tolerance: f64) -> Result<String> {
    let worse: Vec<&str> = comparisons.iter().filter(|model| model.fails()).map(|model| model.name.as_str()).collect();
    if worse.is_empty() {
        return Ok(format!("gate passed: no model lost more than {} of accuracy", percentage_points(tolerance)));
    }
    Err(Error::gate(format!(
        "gate failed: {} lost more than {} of accuracy",
        worse.join(" and "),
        percentage_points(tolerance)
    ))
    .hint("if the loss is meant, run `report accept` with the same pipeline file and commit the baseline"))
}

fn append(file: &Path, text: &str) -> Result<()> {
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .and_then(|mut writer| writer.write_all(text.as_bytes()))
        .context(|| format!("cannot append to `{}`, which GITHUB_STEP_SUMMARY names", file.display()))
}

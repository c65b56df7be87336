//! The regression gate: tells whether a model got worse than the committed baseline, or that the test images cannot
//! tell.
//!
//! [`Baseline`] is what was accepted, image by image; [`pair`] finds the images that are still there; [`decide`] says
//! what their answers show; [`compare`] does it for all models, and [`table()`] shows it. Nothing that a file says of
//! itself is believed: the scores of both sides follow from single images.

mod accept;
mod baseline;
mod baseline_file;
mod comparison;
mod decision;
mod junit;
mod pairing;
mod record;
mod settings;
mod table;
mod verified;

pub use accept::accept;
pub use baseline::{Baseline, Present, Scores};
pub use baseline_file::{read as read_baseline, write as write_baseline};
pub use comparison::{Comparison, Images, ModelComparison, compare};
pub use decision::{Answer, Decision, Limits, Measured, Pair, SIGNIFICANCE, Verdict, decide};
pub use table::table;
pub use verified::verified_results;

use crate::document::{markdown_table, text_table};
use crate::files::JUNIT;
use crate::format::counted;
use preprocess::pipeline::{Pipeline, Undecidable};
use preprocess::stage::atomic_file::write_atomically;
use preprocess::stage::error::Context;
use preprocess::stage::owned::{self, Owned};
use preprocess::{Error, Result, note, say};
use settings::settings;
use std::io::Write;
use std::path::Path;

/// Compares the results with the baseline and prints the table of it; also writes `junit.xml` beside the report, and
/// where `GITHUB_STEP_SUMMARY` is set appends the table to that file.
///
/// # Errors
/// A model got worse, or none can be told to have where that counts as a failure: exit code 1. No gate, baseline
/// missing or foreign, report missing, altered or older than the predictions, too few images in both: exit code 2.
pub fn check(pipeline: &Pipeline) -> Result<()> {
    let gate = settings(pipeline)?;
    let now = Present::of(&verified_results(pipeline, None)?)?;
    let baseline = read_baseline(&gate.baseline)?;
    baseline.check_same_task(&now, &gate.baseline)?;
    let comparison = compare(&baseline, &now, gate)?;

    let table = table(&comparison);
    say!("baseline `{}`; {}\n", gate.baseline.display(), measured_on(&comparison, &now));
    say!("{}", text_table(&table));
    let notes = comparison.notes();
    notes.iter().for_each(|note| say!("note: {note}"));
    say!("{}", table::legend());
    let sentences = sentences(&comparison);
    let verdict = comparison.verdict();
    match verdict {
        Verdict::Passed => say!("gate passed: {}", sentences.join("; ")),
        // Once among the results, and once where warnings are looked for.
        Verdict::Undecidable => {
            say!("gate UNDECIDABLE: {}", sentences.join("; "));
            let open = comparison.models.iter().filter(|model| model.decision.verdict() == verdict);
            let names: Vec<&str> = open.map(|model| model.name.as_str()).collect();
            note!("warning: the gate is undecidable: whether {} got worse is not known", names.join(" or "));
        }
        Verdict::Failed => {}
    }

    let report = junit::report(&pipeline.name, &comparison, gate.undecidable);
    let directory = pipeline.report_dir();
    Owned::open(&directory, directory.join(owned::FILE_NAME), &[]).claim([JUNIT])?;
    write_atomically(&directory.join(JUNIT), |writer| writer.write_all(report.as_bytes()))?;
    if let Some(file) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|file| !file.is_empty()) {
        append(Path::new(&file), &summary(&pipeline.name, verdict, &markdown_table(&table), &sentences, &notes))?;
    }
    outcome(verdict, gate.undecidable, &sentences)
}

/// The exit code, as an error where it is not 0.
fn outcome(verdict: Verdict, undecidable: Undecidable, sentences: &[String]) -> Result<()> {
    match (verdict, undecidable) {
        (Verdict::Passed, _) | (Verdict::Undecidable, Undecidable::Pass) => Ok(()),
        (Verdict::Undecidable, Undecidable::Fail) => {
            Err(Error::gate(format!("gate failed, being undecidable: {}", sentences.join("; ")))
                .hint("test on more images, or set `report.gate.undecidable: pass`, or allow more in `report.gate`"))
        }
        (Verdict::Failed, _) => Err(Error::gate(format!("gate failed: {}", sentences.join("; ")))
            .hint("if the loss is meant, run `report accept` with the same pipeline file and commit the baseline")),
    }
}

/// Why the verdict is what it is, a sentence a model that has it.
fn sentences(comparison: &Comparison) -> Vec<String> {
    let verdict = comparison.verdict();
    if verdict == Verdict::Passed {
        return vec!["every model is shown to be within the tolerances".into()];
    }
    let with = comparison.models.iter().filter(|model| model.decision.verdict() == verdict);
    with.map(|model| format!("{}: {}", model.name, table::reasons(model, verdict))).collect()
}

/// `600 test images in 580 groups are in both`.
fn measured_on(comparison: &Comparison, now: &Present) -> String {
    let of = |images: &Images| {
        format!(
            "{} in {} {} in both",
            counted(images.shared, &format!("{} image", now.split.name()), &format!("{} images", now.split.name())),
            counted(images.groups, "group", "groups"),
            if images.shared == 1 { "is" } else { "are" }
        )
    };
    let mut texts: Vec<String> = Vec::new();
    for model in &comparison.models {
        let text = of(&model.images);
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts.join(", ")
}

/// Markdown for GitHub.
fn summary(pipeline: &str, verdict: Verdict, table: &str, sentences: &[String], notes: &[String]) -> String {
    use crate::document::escape_markdown as escape;
    let word = table::word(verdict).to_lowercase();
    let lines = sentences.iter().chain(notes).map(|line| format!("- {}\n", escape(line)));
    format!("### Accuracy gate of {}: {word}\n\n{table}\n{}\n", escape(pipeline), lines.collect::<String>())
}

fn append(file: &Path, text: &str) -> Result<()> {
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .and_then(|mut writer| writer.write_all(text.as_bytes()))
        .context(|| format!("cannot append to `{}`, which GITHUB_STEP_SUMMARY names", file.display()))
}

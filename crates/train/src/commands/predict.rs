//! `train predict`: classifies new images, through the preprocessing that the training images went through.

use crate::commands::classify;
use crate::data::files;
use crate::model::inference::Inference;
use crate::model::{Model, score};
use crate::ops::Backend;
use crate::ops::cross_entropy::logits;
use preprocess::stage::error::Context;
use preprocess::stage::names::{self, csv_cell, json_text, shown};
use preprocess::{Error, Result, note, say};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// How the predictions are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns, for people
    Table,
    /// An array of `{file, predictions: [{class, probability}]}` or `{file, error}`
    Json,
    /// `file, class_1, probability_1, …, error`
    Csv,
}

/// One file's predictions, or why there are none.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Outcome {
    file: String,
    #[serde(flatten)]
    result: Classified,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Classified {
    /// The most probable classes, the most probable first.
    Predictions(Vec<ClassProbability>),
    Error(String),
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ClassProbability {
    class: String,
    probability: f32,
}

/// Prints the `top` most probable classes of every image among `paths`; with its mirror image if `flip`, or if the
/// model's settings say so. Files that cannot be read are reported and
/// passed over.
///
/// # Errors
/// No model in `directory`; a path that is missing; not one file that could be classified.
pub(crate) fn predict<B: Backend>(
    directory: &Path,
    paths: &[PathBuf],
    flip: bool,
    (top, format): (usize, Format),
    device: &B,
) -> Result<()> {
    let (model, config) = Model::load(directory, device)?;
    let mut files = Vec::new();
    for path in paths {
        files.extend(files::find(path)?);
    }
    let mut inference = Inference::of(&model)?.with_flips(flip || config.settings.test_flip);
    let outcomes = classify(&mut inference, &config.label_names, &files, top)?;
    print(&outcomes, top.min(config.num_classes), format)?;
    if outcomes.iter().all(|outcome| matches!(outcome.result, Classified::Error(_))) {
        let given: Vec<String> = paths.iter().map(|path| format!("`{}`", names::path(path))).collect();
        return Err(Error::new(format!("no image could be classified in {}", given.join(", "))));
    }
    Ok(())
}

fn classify<B: Backend>(
    inference: &mut Inference<'_, B>,
    names: &[String],
    files: &[PathBuf],
    top: usize,
) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(files.len());
    classify::classify(inference, files, |at, logits| {
        let file = names::of_file(files[at].as_os_str());
        let result = match logits {
            Ok(logits) => Classified::Predictions(most_probable(logits, names, top)),
            Err(error) => {
                note!("warning: cannot classify `{}`: {}", shown(&file), shown(&error.reason));
                Classified::Error(error.to_string())
            }
        };
        outcomes.push(Outcome { file, result });
        Ok(())
    })?;
    Ok(outcomes)
}

fn most_probable(logits: &[f32], names: &[String], top: usize) -> Vec<ClassProbability> {
    let probabilities = logits::softmax(logits);
    let best = score::top(&probabilities, top).into_iter();
    best.map(|class| ClassProbability { class: names[class].clone(), probability: probabilities[class] }).collect()
}

fn print(outcomes: &[Outcome], top: usize, format: Format) -> Result<()> {
    let text = match format {
        Format::Table => table(outcomes),
        Format::Json => serde_json::to_string_pretty(outcomes)
            .map(|json| json_text(&json))
            .context(|| "cannot write predictions as JSON".into())?,
        Format::Csv => csv(outcomes, top)?,
    };
    say!("{}", text.trim_end());
    Ok(())
}

/// One line a file: its name, then class and probability of each prediction.
fn table(outcomes: &[Outcome]) -> String {
    let width = outcomes.iter().map(|outcome| shown(&outcome.file).chars().count()).max().unwrap_or(0);
    let line = |outcome: &Outcome| {
        let result = match &outcome.result {
            Classified::Error(reason) => format!("error: {}", shown(reason)),
            Classified::Predictions(predictions) => {
                let cell = |p: &ClassProbability| format!("{} {:.1} %", shown(&p.class), 100.0 * p.probability);
                predictions.iter().map(cell).collect::<Vec<_>>().join("   ")
            }
        };
        format!("{:width$}  {result}\n", shown(&outcome.file))
    };
    outcomes.iter().map(line).collect()
}

fn csv(outcomes: &[Outcome], top: usize) -> Result<String> {
    let about = || "cannot write predictions as CSV".to_owned();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = (1..=top).flat_map(|rank| [format!("class_{rank}"), format!("probability_{rank}")]);
    writer.write_record(std::iter::once("file".into()).chain(header).chain(["error".into()])).context(about)?;
    for outcome in outcomes {
        let mut record = vec![csv_cell(&outcome.file).into_owned()];
        match &outcome.result {
            Classified::Predictions(predictions) => {
                record.extend(
                    predictions.iter().flat_map(|p| [csv_cell(&p.class).into_owned(), p.probability.to_string()]),
                );
                record.push(String::new());
            }
            Classified::Error(reason) => {
                record.resize(1 + 2 * top, String::new());
                record.push(csv_cell(reason).into_owned());
            }
        }
        writer.write_record(record).context(about)?;
    }
    let bytes = writer.into_inner().context(about)?;
    String::from_utf8(bytes).context(about)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Outcome> {
        let names = ["cat".to_owned(), "big, \"dog\"".to_owned(), "猫".to_owned()];
        vec![
            Outcome {
                file: "a.png".into(),
                result: Classified::Predictions(most_probable(&[0.0, 100.0, 0.0], &names, 2)),
            },
            Outcome { file: "broken image.jpg".into(), result: Classified::Error("the JPEG ends early".into()) },
        ]
    }

    #[test]
    fn the_formats_hold_the_same_predictions() {
        assert_eq!(
            table(&sample()),
            "a.png             big, \"dog\" 100.0 %   cat 0.0 %\nbroken image.jpg  error: the JPEG ends early\n"
        );
        assert_eq!(
            csv(&sample(), 2).unwrap(),
            "file,class_1,probability_1,class_2,probability_2,error\n\
             a.png,\"big, \"\"dog\"\"\",1,cat,0.000000000000000000000000000000000000000000038,\n\
             broken image.jpg,,,,,the JPEG ends early\n"
        );
        let odd = vec![Outcome {
            file: "=1\u{1b}[2J.png".into(),
            result: Classified::Predictions(vec![ClassProbability { class: "a\nb\u{202e}".into(), probability: 1.0 }]),
        }];
        assert_eq!(table(&odd), "=1\\u{1b}[2J.png  a\\u{a}b\\u{202e} 100.0 %\n");
        assert_eq!(csv(&odd, 1).unwrap().lines().nth(1).unwrap(), "'=1\\u{1b}[2J.png,a\\u{a}b\\u{202e},1,");
        let json = serde_json::to_value(sample()).unwrap();
        assert_eq!(json[0]["predictions"][0], serde_json::json!({"class": "big, \"dog\"", "probability": 1.0}));
        assert_eq!(json[1], serde_json::json!({"file": "broken image.jpg", "error": "the JPEG ends early"}));
    }
}

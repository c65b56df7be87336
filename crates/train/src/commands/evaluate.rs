//! `train evaluate`: loss, accuracy and per-class scores on a directory of class directories.

use crate::commands::classify::classify;
use crate::data::files;
use crate::model::Model;
use crate::model::inference::Inference;
use crate::model::score::{ClassScores, class_scores, log_loss};
use crate::ops::Backend;
use crate::ops::cross_entropy::logits;
use indexmap::IndexMap;
use preprocess::folder::name_of;
use preprocess::folder::walk::Start;
use preprocess::stage::error::Context;
use preprocess::stage::names::{self, json_text, shown};
use preprocess::{Error, Result, note, say};
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// How the scores are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns, for people
    Table,
    /// `{images, unreadable, accuracy, loss, classes: {name: {precision, recall, f1, support}}}`
    Json,
}

/// The scores of a model on a directory.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Evaluation {
    /// Images classified.
    pub images: usize,
    /// Files left out because they could not be read.
    pub unreadable: usize,
    /// Fraction classified rightly.
    pub accuracy: f64,
    /// Mean cross-entropy in nats ([`log_loss`]).
    pub loss: f64,
    /// By the model's class names, all of them.
    pub classes: IndexMap<String, ClassScores>,
}

/// Prints how well the model of `directory` classifies the class directories in `images`; with their mirror images if
/// `flip`, or if the model's settings say so.
///
/// # Errors
/// No model in `directory`; a class directory that is none of the model's classes; no image that can be read.
pub(crate) fn evaluate<B: Backend>(
    directory: &Path,
    images: &Path,
    flip: bool,
    format: Format,
    device: &B,
) -> Result<()> {
    let evaluation = score(directory, images, flip, device)?;
    let text = match format {
        Format::Table => table(&evaluation),
        Format::Json => serde_json::to_string_pretty(&evaluation)
            .map(|json| json_text(&json))
            .context(|| "cannot write scores as JSON".into())?,
    };
    say!("{}", text.trim_end());
    Ok(())
}

fn score<B: Backend>(directory: &Path, images: &Path, flip: bool, device: &B) -> Result<Evaluation> {
    let (model, config) = Model::load(directory, device)?;
    let (files, labels): (Vec<PathBuf>, Vec<usize>) = labelled_files(images, &config.label_names)?.into_iter().unzip();
    let (mut losses, mut pairs, mut unreadable) = (Vec::new(), Vec::new(), 0);
    let mut inference = Inference::of(&model)?.with_flips(flip || config.settings.test_flip);
    classify(&mut inference, &files, |at, logits| {
        match logits {
            Ok(logits) => {
                losses.push(log_loss(logits::softmax(logits)[labels[at]]));
                pairs.push((labels[at], logits::most_probable(logits)));
            }
            Err(error) => {
                note!("warning: `{}` is left out: {}", names::path(&files[at]), shown(&error.reason));
                unreadable += 1;
            }
        }
        Ok(())
    })?;
    if pairs.is_empty() {
        return Err(Error::new(format!("no image could be read in `{}`", images.display())));
    }
    let images = pairs.len();
    let right = pairs.iter().filter(|(label, predicted)| label == predicted).count();
    let scores = class_scores(config.num_classes, pairs.into_iter());
    Ok(Evaluation {
        images,
        unreadable,
        accuracy: right as f64 / images as f64,
        loss: losses.iter().sum::<f64>() / images as f64,
        classes: config.label_names.into_iter().zip(scores).collect(),
    })
}

/// Every file below a class directory with the index of its class, which the directory's name tells. A class of the
/// model may be missing.
fn labelled_files(images: &Path, names: &[String]) -> Result<Vec<(PathBuf, usize)>> {
    let (mut starts, mut labels, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for directory in files::sorted_entries(images)?.into_iter().filter(|entry| entry.is_dir()) {
        let name = name_of(directory.file_name().unwrap_or_default());
        match names.iter().position(|known| *known == name) {
            Some(label) => {
                labels.push(label);
                starts.push(Start { path: directory, prefix: format!("{name}/"), class: name });
            }
            None => unknown.push(format!("`{name}`")),
        }
    }
    let classes = || format!("the model's classes are: {}", names.join(", "));
    if !unknown.is_empty() {
        let (unknown, images) = (unknown.join(", "), images.display());
        return Err(Error::new(format!(
            "`{images}` holds directories that are none of the model's classes: {unknown}"
        ))
        .hint(classes()));
    }
    let found = files::below(images, &starts)?;
    let files: Vec<_> = found.into_iter().map(|file| (file.path, labels[file.start])).collect();
    if files.is_empty() {
        return Err(Error::new(format!("`{}` holds no class directories with files", images.display())).hint(classes()));
    }
    Ok(files)
}

fn table(evaluation: &Evaluation) -> String {
    let width = evaluation.classes.keys().map(|name| shown(name).chars().count()).max().unwrap_or(0).max("class".len());
    let mut text = format!(
        "accuracy {:.2} % ({} images)   loss {:.4}\n",
        100.0 * evaluation.accuracy,
        evaluation.images,
        evaluation.loss
    );
    if evaluation.unreadable > 0 {
        let _ = writeln!(text, "{} unreadable: left out", evaluation.unreadable);
    }
    let _ = writeln!(text, "\n{:width$}  precision  recall      F1  images", "class");
    for (name, scores) in &evaluation.classes {
        let ClassScores { precision, recall, f1, support } = scores;
        let name = shown(name);
        let _ = writeln!(text, "{name:width$}  {precision:9.3}  {recall:6.3}  {f1:6.3}  {support:6}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_matched_by_name() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["dog/1.png", "cat/2.png", "cat/more/3.png", ".git/config", "read.me"] {
            let file = directory.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        let names = ["zebra", "dog", "cat"].map(str::to_owned);
        let files = labelled_files(directory.path(), &names).unwrap();
        let found: Vec<_> =
            files.iter().map(|(file, label)| (file.file_name().unwrap().to_str().unwrap(), *label)).collect();
        assert_eq!(found, [("2.png", 2), ("3.png", 2), ("1.png", 1)]);

        let error = labelled_files(directory.path(), &names[..2]).unwrap_err().to_string();
        assert!(error.contains("none of the model's classes: `cat`") && error.contains("zebra, dog"), "{error}");
        let error = labelled_files(&directory.path().join("dog"), &names).unwrap_err().to_string();
        assert!(error.contains("holds no class directories"), "{error}");
    }

    #[test]
    fn the_table_states_its_counts() {
        let scores = ClassScores { precision: 0.5, recall: 1.0, f1: 2.0 / 3.0, support: 3 };
        let classes = IndexMap::from([("a long name".to_owned(), scores), ("猫".to_owned(), scores)]);
        let evaluation = Evaluation { images: 6, unreadable: 1, accuracy: 0.5, loss: 0.25, classes };
        assert_eq!(
            table(&evaluation),
            "accuracy 50.00 % (6 images)   loss 0.2500\n\
             1 unreadable: left out\n\n\
             class        precision  recall      F1  images\n\
             a long name      0.500   1.000   0.667       3\n\
             猫                0.500   1.000   0.667       3\n"
        );
    }
}

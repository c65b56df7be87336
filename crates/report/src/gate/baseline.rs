//! The committed baseline: how the models answered when a person last said that this is how it should be.

use super::record::Record;
use crate::metrics::{ConfusionMatrix, mean};
use crate::results::Results;
use indexmap::IndexMap;
use preprocess::pipeline::Split;
use preprocess::{Error, Result};
use std::path::Path;

pub(super) const ACCEPT: &str =
    "if the change is meant, run `report accept` with the same pipeline file and commit the baseline";

/// All that a baseline file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// The pipeline's name.
    pub pipeline: String,
    /// The split that was measured.
    pub split: Split,
    /// In the order of the labels.
    pub classes: Vec<String>,
    /// By name: every image of the split when the model was accepted, sorted.
    pub models: IndexMap<String, Vec<Record>>,
}

/// The scores that follow from a model's records.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// Images.
    pub images: usize,
    /// Of them classified rightly.
    pub correct: usize,
    /// The fraction.
    pub accuracy: f64,
    /// The mean of F1 over the classes that have images.
    pub macro_f1: f64,
    /// Mean cross-entropy in nats, of the losses as they are kept.
    pub loss: f64,
}

impl Scores {
    /// Of records over so many classes.
    pub(crate) fn of(records: &[Record], classes: usize) -> Self {
        let mut matrix = ConfusionMatrix::new(classes);
        records.iter().for_each(|record| matrix.add(record.label, record.predicted));
        Self {
            images: records.len(),
            correct: matrix.correct(),
            accuracy: matrix.accuracy(),
            macro_f1: matrix.macro_average().f1,
            loss: mean(&records.iter().map(|record| record.loss.nats()).collect::<Vec<_>>()),
        }
    }
}

/// The present answers on the judged split, with the groups of the images.
#[derive(Debug)]
pub struct Present {
    /// The pipeline's name.
    pub pipeline: String,
    /// The judged split.
    pub split: Split,
    /// In the order of the labels.
    pub classes: Vec<String>,
    /// By name: each image with its group, sorted.
    pub models: IndexMap<String, Vec<(Record, usize)>>,
}

impl Present {
    /// What the results say.
    ///
    /// # Errors
    /// Nothing was measured; an image whose content is not known.
    pub fn of(results: &Results) -> Result<Self> {
        let split = results.judged_split().ok_or_else(|| {
            Error::new("there is nothing to compare: the data set has neither a test nor a validation split")
                .hint("set `preprocess.split.test` above 0")
        })?;
        let mut models = IndexMap::new();
        for model in &results.models {
            if let Some(predictions) = model.predictions.get(&split) {
                models.insert(model.name.clone(), Record::of_predictions(predictions)?);
            }
        }
        Ok(Self { pipeline: results.pipeline.name.clone(), split, classes: results.manifest.classes.clone(), models })
    }

    /// The baseline that these answers make.
    pub fn baseline(&self) -> Baseline {
        let records = |answers: &Vec<(Record, usize)>| answers.iter().map(|(record, _)| *record).collect();
        Baseline {
            pipeline: self.pipeline.clone(),
            split: self.split,
            classes: self.classes.clone(),
            models: self.models.iter().map(|(name, answers)| (name.clone(), records(answers))).collect(),
        }
    }
}

impl Baseline {
    /// Refuses a baseline of another pipeline or another split: its answers say nothing about these.
    ///
    /// # Errors
    /// What differs.
    pub(crate) fn check_same_task(&self, now: &Present, file: &Path) -> Result<()> {
        let cause = if self.pipeline != now.pipeline {
            format!("it is of the pipeline `{}`, not of `{}`", self.pipeline, now.pipeline)
        } else if self.split != now.split {
            format!("it was measured on the {} split, not on {}", self.split.name(), now.split.name())
        } else {
            return Ok(());
        };
        Err(Error::new(format!("the baseline `{}` is of something else", file.display())).because(cause).hint(ACCEPT))
    }

    /// This baseline with one model's answers put in the place of its own. The other models keep theirs, and their
    /// classes.
    pub(crate) fn with_model(&self, name: &str, records: Vec<Record>, classes: &[String]) -> Self {
        let mut merged = classes.to_vec();
        let mut number = |class: &String| {
            merged.iter().position(|other| other == class).unwrap_or_else(|| {
                merged.push(class.clone());
                merged.len() - 1
            })
        };
        let mut models = IndexMap::new();
        for (other, kept) in &self.models {
            if other == name {
                models.insert(other.clone(), Vec::new());
                continue;
            }
            let mut kept: Vec<Record> = kept
                .iter()
                .map(|record| Record {
                    label: number(&self.classes[record.label]),
                    predicted: number(&self.classes[record.predicted]),
                    ..*record
                })
                .collect();
            kept.sort_unstable();
            models.insert(other.clone(), kept);
        }
        models.insert(name.to_owned(), records);
        Self { pipeline: self.pipeline.clone(), split: self.split, classes: merged, models }
    }
}

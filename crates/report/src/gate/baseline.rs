//! The committed baseline: what the models scored when a person last said that this is how it should be.

use crate::metrics::Interval;
use crate::metrics_file::{Bits, Metrics, SplitMetrics};
use indexmap::IndexMap;
use preprocess::manifest::Split;
use preprocess::stage::error::Context;
use preprocess::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The version of the baseline file that this program writes and reads.
const FORMAT: u32 = 1;

const ACCEPT: &str = "if the change is meant, run `report accept` with the same pipeline file and commit the baseline";

/// All of a baseline file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// 1.
    pub format: u32,
    /// The pipeline's name.
    pub pipeline: String,
    /// The split that was measured.
    pub split: Split,
    /// Its images.
    pub images: usize,
    /// BLAKE3 over the images' paths and labels.
    pub images_blake3: String,
    /// In the order of the labels.
    pub classes: Vec<String>,
    /// By name.
    pub models: IndexMap<String, BaselineModel>,
}

/// What one model scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineModel {
    /// Images classified rightly.
    pub correct: usize,
    /// Fraction classified rightly.
    pub accuracy: f64,
    /// Unweighted mean of the classes' F1.
    pub macro_f1: f64,
    /// Bootstrap, 95 %.
    pub macro_f1_interval: Option<Interval>,
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Normal, 95 %.
    pub loss_interval: Option<Interval>,
    /// Which images, sorted by path, were classified rightly: for the paired test.
    pub correct_images: Bits,
}

impl BaselineModel {
    fn from_scores(scores: &SplitMetrics) -> Self {
        Self {
            correct: scores.correct,
            accuracy: scores.accuracy,
            macro_f1: scores.macro_average.f1,
            macro_f1_interval: scores.macro_f1_interval,
            loss: scores.loss,
            loss_interval: scores.loss_interval,
            correct_images: scores.correct_images.clone(),
        }
    }
}

impl Baseline {
    /// The baseline that these results make.
    ///
    /// # Errors
    /// Nothing was measured.
    pub fn from_metrics(metrics: &Metrics) -> Result<Self> {
        let split = metrics.judged_split.ok_or_else(|| {
            Error::new("there is nothing to compare: the data set has neither a test nor a validation split")
                .hint("set `preprocess.split.test` above 0")
        })?;
        let scores: IndexMap<&String, &SplitMetrics> =
            metrics.models.iter().filter_map(|(name, model)| Some((name, model.splits.get(&split)?))).collect();
        let first = scores.values().next();
        Ok(Self {
            format: FORMAT,
            pipeline: metrics.pipeline.clone(),
            split,
            images: first.map_or(0, |scores| scores.images),
            images_blake3: first.map_or_else(String::new, |scores| scores.images_blake3.clone()),
            classes: metrics.dataset.classes.clone(),
            models: scores
                .into_iter()
                .map(|(name, scores)| (name.clone(), BaselineModel::from_scores(scores)))
                .collect(),
        })
    }

    /// Reads a baseline file.
    ///
    /// # Errors
    /// Missing, malformed, or inconsistent.
    pub fn read(file: &Path) -> Result<Self> {
        if !file.exists() {
            return Err(Error::new(format!("there is no baseline at `{}`", file.display()))
                .hint("run `report accept` with the same pipeline file, look at what it writes, and commit it"));
        }
        let text =
            preprocess::stage::files::read_to_string(file).context(|| format!("cannot read the baseline `{}`", file.display()))?;
        let foreign = || Error::new(format!("`{}` is not a baseline of this version", file.display()));
        let baseline: Self = serde_json::from_str(&text).map_err(|error| foreign().caused_by(error).hint(ACCEPT))?;
        if baseline.format != FORMAT {
            return Err(foreign().because(format!("it has format {}, not {FORMAT}", baseline.format)).hint(ACCEPT));
        }
        for (name, model) in &baseline.models {
            if model.correct_images.len() != baseline.images
                || model.correct_images.iter().filter(|&right| right).count() != model.correct
            {
                return Err(foreign()
                    .because(format!("its counts of the model `{name}` contradict one another"))
                    .hint(ACCEPT));
            }
        }
        Ok(baseline)
    }

    /// Refuses a baseline of another pipeline, other classes or other images: its scores say nothing about these.
    ///
    /// # Errors
    /// What differs.
    pub fn check_same_task(&self, metrics: &Metrics, file: &Path) -> Result<()> {
        let now = Self::from_metrics(metrics)?;
        let foreign = |cause: String| {
            Err(Error::new(format!("the baseline `{}` is of something else", file.display()))
                .because(cause)
                .hint(ACCEPT))
        };
        if self.pipeline != now.pipeline {
            return foreign(format!("it is of the pipeline `{}`, not of `{}`", self.pipeline, now.pipeline));
        }
        if self.classes != now.classes {
            return foreign(class_difference(&self.classes, &now.classes));
        }
        if self.split != now.split {
            return foreign(format!("it was measured on the {} split, not on {}", self.split.name(), now.split.name()));
        }
        if self.images_blake3 != now.images_blake3 || self.images != now.images {
            return foreign(format!(
                "it was measured on other images of the {} split ({} then, {} now)",
                now.split.name(),
                self.images,
                now.images
            ));
        }
        Ok(())
    }
}

fn class_difference(old: &[String], new: &[String]) -> String {
    let missing = |from: &[String], of: &[String]| from.iter().find(|class| !of.contains(class)).cloned();
    match (missing(old, new), missing(new, old)) {
        (Some(class), _) => format!("it has a class `{class}`, which the data set does not have"),
        (None, Some(class)) => format!("it has no class `{class}`, which the data set has"),
        (None, None) => "it has the same classes in another order".to_string(),
    }
}

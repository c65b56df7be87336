//! `metrics.json`: every number of the report for programs. Its keys are documented in `docs/report.md`.

use crate::audit::AuditMetrics;
use crate::metrics::{self, AverageScores, ConfusionMatrix, Groups, Interval, Paired};
use crate::results::{ModelResults, Results, SplitPredictions};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use indexmap::IndexMap;
use preprocess::pipeline::{Architecture, Split};
use preprocess::stage::sealed::{self, Unsealed};
use preprocess::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The version of `metrics.json` that this program writes and reads.
pub const FORMAT: u32 = 2;

/// The significance level of every comparison.
pub const SIGNIFICANCE: f64 = 0.05;

/// All of `metrics.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// The data set.
    pub dataset: DatasetMetrics,
    /// The split that the gate compares: test, or validation where there is no test split; none where there is neither.
    pub judged_split: Option<Split>,
    /// By name, in the order of the pipeline file.
    pub models: IndexMap<String, ModelMetrics>,
    /// Every pair of models on every split.
    pub comparisons: Vec<Comparison>,
    /// What is wrong with the data; absent where training has left no evidence of it. The gate takes no notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditMetrics>,
}

/// The data set that the models were trained and measured on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetMetrics {
    /// The manifest's.
    pub fingerprint: String,
    /// In the order of the labels.
    pub classes: Vec<String>,
    /// For each split, images per class.
    pub images: IndexMap<Split, Vec<usize>>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelMetrics {
    /// Which network.
    pub architecture: Architecture,
    /// All parameters.
    pub parameters: usize,
    /// Those that the optimiser changes.
    pub trainable_parameters: usize,
    /// Epochs trained.
    pub epochs: usize,
    /// The epoch, from 1, whose weights are the model.
    pub best_epoch: usize,
    /// Mean over the epochs; none where no epoch was timed.
    pub seconds_per_epoch: Option<f64>,
    /// By split.
    pub splits: IndexMap<Split, SplitMetrics>,
}

/// One model on one split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitMetrics {
    /// Images, each counted once.
    pub images: usize,
    /// Groups of images that belong together; as many as images where none do.
    pub groups: usize,
    /// Images classified rightly.
    pub correct: usize,
    /// Fraction classified rightly.
    pub accuracy: f64,
    /// Wilson, 95 %, over groups.
    pub accuracy_interval: Interval,
    /// Fraction whose true class is among the three most probable; none up to three classes.
    pub top_3_accuracy: Option<f64>,
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Normal, 95 %, over groups; none for a single one.
    pub loss_interval: Option<Interval>,
    /// Unweighted mean over the classes that have images.
    pub macro_average: AverageScores,
    /// Classes without images, which the macro average leaves out.
    pub classes_without_images: usize,
    /// Bootstrap over groups, 95 %, of the macro average's F1.
    pub macro_f1_interval: Option<Interval>,
    /// Mean over the classes, weighted by their images.
    pub weighted_average: AverageScores,
    /// Expected calibration error over 15 bins.
    pub calibration_error: f64,
    /// In the order of the labels.
    pub classes: Vec<ClassMetrics>,
    /// Counts by true class (row) and predicted class (column).
    pub confusion: Vec<Vec<usize>>,
    /// BLAKE3 of the predictions file.
    pub predictions_blake3: String,
    /// BLAKE3 over the images' paths and labels.
    pub images_blake3: String,
    /// Which images, sorted by path, are classified rightly.
    pub correct_images: Bits,
}

/// One class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// The class's name.
    pub class: String,
    /// Its scores.
    #[serde(flatten)]
    pub scores: train::model::score::ClassScores,
}

/// The paired test between two models on one split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The split.
    pub split: Split,
    /// A model's name.
    pub first: String,
    /// Another's.
    pub second: String,
    /// The second's accuracy less the first's.
    pub difference: f64,
    /// Of the difference, 95 %, over groups; none below two groups.
    pub difference_interval: Option<Interval>,
    /// Images that only the first classifies rightly.
    pub only_first: usize,
    /// Images that only the second classifies rightly.
    pub only_second: usize,
    /// Exact, over groups (McNemar's where each has one image), corrected by Holm for the number of pairs on the split.
    pub p_value: f64,
    /// Whether the p-value is below 5 %.
    pub significant: bool,
}

/// A yes or no for each image: as JSON a string, `COUNT:BASE64`, the first image in the first byte's highest bit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bits(Vec<bool>);

impl Bits {}

impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Self {
        Self(bits.into_iter().collect())
    }
}

impl From<Bits> for String {
    fn from(Bits(bits): Bits) -> Self {
        let pack = |byte: &[bool]| byte.iter().enumerate().fold(0u8, |all, (i, &bit)| all | (u8::from(bit) << (7 - i)));
        let bytes: Vec<u8> = bits.chunks(8).map(pack).collect();
        format!("{}:{}", bits.len(), STANDARD.encode(bytes))
    }
}

impl TryFrom<String> for Bits {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let malformed = || format!("`{text}` is not COUNT:BASE64");
        let (count, bytes) = text.split_once(':').ok_or_else(malformed)?;
        let count: usize = count.parse().map_err(|_| malformed())?;
        let bytes = STANDARD.decode(bytes).map_err(|_| malformed())?;
        if bytes.len() != count.div_ceil(8) {
            return Err(malformed());
        }
        Ok((0..count).map(|i| bytes[i / 8] & (0x80 >> (i % 8)) != 0).collect())
    }
}

impl Metrics {
    /// Computes every number from the results; the audit has more to go by.
    pub fn compute(results: &Results) -> Self {
        let manifest = &results.manifest;
        let models: IndexMap<_, _> =
            results.models.iter().map(|model| (model.name.clone(), model_metrics(model, results))).collect();
        let comparisons = crate::results::MEASURED.into_iter().flat_map(|split| compare(results, split)).collect();
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_string(),
            pipeline: results.pipeline.name.clone(),
            dataset: DatasetMetrics {
                fingerprint: manifest.fingerprint.clone(),
                classes: manifest.classes.clone(),
                images: manifest.counts.clone(),
            },
            judged_split: results.judged_split(),
            models,
            comparisons,
            audit: None,
        }
    }

    /// Reads `metrics.json`.
    ///
    /// # Errors
    /// Missing, altered, malformed, or of another version.
    pub fn read(file: &Path) -> Result<Self> {
        const AGAIN: &str = "run `report` again";
        let foreign = |reason: String| {
            Error::new(format!("`{}` is not a metrics file of this version", file.display()))
                .because(reason)
                .hint(AGAIN)
        };
        let metrics: Self = match sealed::read(file) {
            Ok(metrics) => metrics,
            Err(Unsealed::Missing) => {
                return Err(Error::new(format!("there is no report at `{}`", file.display()))
                    .hint("run `report` with the same pipeline file first"));
            }
            Err(Unsealed::Unreadable(reason)) => {
                return Err(Error::new(format!("cannot read `{}`", file.display())).because(reason).hint(AGAIN));
            }
            Err(Unsealed::Altered(reason)) => return Err(foreign(reason)),
        };
        if metrics.format != FORMAT {
            return Err(foreign(format!("it has format {}; this program reads {FORMAT}", metrics.format)));
        }
        Ok(metrics)
    }
}

fn model_metrics(model: &ModelResults, results: &Results) -> ModelMetrics {
    let config = &model.config;
    let seconds: Vec<f64> = model.timings.iter().map(|timing| timing.seconds).collect();
    ModelMetrics {
        architecture: config.architecture,
        parameters: config.trainable_parameters + config.non_trainable_parameters,
        trainable_parameters: config.trainable_parameters,
        epochs: model.history.len(),
        best_epoch: config.best_epoch,
        seconds_per_epoch: (!seconds.is_empty()).then(|| metrics::mean(&seconds)),
        splits: model
            .predictions
            .iter()
            .map(|(&split, predictions)| (split, split_metrics(predictions, results)))
            .collect(),
    }
}

fn split_metrics(predictions: &SplitPredictions, results: &Results) -> SplitMetrics {
    let classes = &results.manifest.classes;
    let rows = &predictions.rows;
    let matrix = ConfusionMatrix::of(rows, classes.len());
    let losses = metrics::cross_entropy(rows);
    let groups = predictions.groups();
    let correct: Vec<bool> = predictions.correct().collect();
    SplitMetrics {
        images: rows.len(),
        groups: groups.len(),
        correct: matrix.correct(),
        accuracy: matrix.accuracy(),
        accuracy_interval: metrics::accuracy_interval(&correct, &groups),
        top_3_accuracy: (classes.len() > 3).then(|| metrics::top_k_accuracy(rows, 3)),
        loss: metrics::mean(&losses),
        loss_interval: metrics::positive_mean_interval(&losses, &groups),
        macro_average: matrix.macro_average(),
        classes_without_images: matrix.empty_classes(),
        macro_f1_interval: metrics::macro_f1_interval(rows, classes.len(), &groups),
        weighted_average: matrix.weighted_average(),
        calibration_error: metrics::expected_calibration_error(rows),
        classes: classes
            .iter()
            .enumerate()
            .map(|(label, class)| ClassMetrics { class: class.clone(), scores: matrix.class_scores(label) })
            .collect(),
        confusion: matrix.rows(),
        predictions_blake3: predictions.blake3.clone(),
        images_blake3: predictions.images_blake3(classes),
        correct_images: correct.into_iter().collect(),
    }
}

/// Every pair of models on a split.
fn compare(results: &Results, split: Split) -> Vec<Comparison> {
    let measured: Vec<(&String, Vec<bool>, Groups)> = results
        .models
        .iter()
        .filter_map(|model| {
            let predictions = model.predictions.get(&split)?;
            Some((&model.name, predictions.correct().collect(), predictions.groups()))
        })
        .collect();
    let mut comparisons = Vec::new();
    for (index, (first, a, groups)) in measured.iter().enumerate() {
        for (second, b, _) in &measured[index + 1..] {
            let paired = Paired::compare(a, b, groups);
            let images = groups.images().max(1) as f64;
            comparisons.push(Comparison {
                split,
                first: first.to_string(),
                second: second.to_string(),
                difference: (paired.only_second as f64 - paired.only_first as f64) / images,
                difference_interval: paired.interval,
                only_first: paired.only_first,
                only_second: paired.only_second,
                p_value: paired.p_value,
                significant: false,
            });
        }
    }
    let raw: Vec<f64> = comparisons.iter().map(|comparison| comparison.p_value).collect();
    for (comparison, p_value) in comparisons.iter_mut().zip(metrics::holm(&raw)) {
        comparison.p_value = p_value;
        comparison.significant = p_value < SIGNIFICANCE;
    }
    comparisons
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_survive_json(bits in proptest::collection::vec(any::<bool>(), 0..70)) {
            let bits: Bits = bits.into_iter().collect();
            let json = serde_json::to_string(&bits).map_err(|error| TestCaseError::fail(error.to_string()))?;
            let back: Bits = serde_json::from_str(&json).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(back, bits);
        }
    }

    #[test]
    fn damaged_bits_are_refused() {
        for text in ["", "8", "x:AA==", "9:AA==", "8:!!"] {
            assert!(Bits::try_from(text.to_string()).is_err(), "{text}");
        }
    }
}

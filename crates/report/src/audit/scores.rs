//! Scores, and what the data's faults have to do with them: the key `audit` of `metrics.json`.

use super::Finding;
use super::confident::confident_classes;
use super::finding::Kind;
use super::label_errors::{self, LabelErrors};
use super::relatives::Relatives;
use crate::metrics::{self, ConfusionMatrix, Groups, Interval, accuracy_interval, student_interval};
use crate::results::{Results, SplitPredictions};
use indexmap::IndexMap;
use preprocess::pipeline::Split;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use train::audit::evidence::{Evidence, FeatureSource, ImageEvidence};
use train::model::predictions::Prediction;

/// The numbers of the audit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditMetrics {
    /// What made the features.
    pub features: FeatureSource,
    /// Images judged, of all splits.
    pub images: usize,
    /// Out-of-fold scores of a head on the features, over the images outside of the test split.
    pub folds: FoldScores,
    /// How many images have each finding.
    pub findings: IndexMap<Kind, usize>,
    /// Images of which another one of their class and split shows the same picture.
    pub redundant_copies: usize,
    /// How many labels are estimated to be wrong.
    pub label_errors: LabelErrors,
    /// Of each model on the judged split, in the order of the pipeline file.
    pub models: IndexMap<String, ScoresWithout>,
}

/// Scores of each fold's images by a head that has not seen them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoldScores {
    /// Images of each fold.
    pub images: Vec<usize>,
    /// Fraction classified rightly.
    pub accuracy: OverFolds,
    /// Mean recall of the classes that have images in the fold.
    pub macro_recall: OverFolds,
}

/// A score of each fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverFolds {
    /// One a fold that has images.
    pub folds: Vec<f64>,
    /// Their mean; none without folds.
    pub mean: Option<f64>,
    /// Their standard deviation; none below two.
    pub spread: Option<f64>,
    /// Student's, 95 %, of the mean, within 0 to 1; none below two.
    pub interval: Option<Interval>,
}

/// A model's scores on the judged split, on all of it and without images that are at fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoresWithout {
    /// On all images.
    pub all: PartScores,
    /// Without images whose label is likely wrong.
    pub without_wrong_labels: PartScores,
    /// Without images that have a copy in the training split, or a member of their group.
    pub without_relatives: PartScores,
}

/// Scores on a part of a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartScores {
    /// Images of the part.
    pub images: usize,
    /// Images of the split that are not in it.
    pub left_out: usize,
    /// Fraction classified rightly; none without images.
    pub accuracy: Option<f64>,
    /// Wilson, 95 %, over groups.
    pub accuracy_interval: Interval,
    /// Mean recall of the classes that have images; none without any.
    pub macro_recall: Option<f64>,
}

impl AuditMetrics {
    /// Computes all of them.
    pub(super) fn of(
        evidence: &Evidence,
        findings: &[Finding],
        relatives: &Relatives,
        results: &Results,
        silenced: &BTreeSet<String>,
    ) -> Self {
        let (images, classes) = (&evidence.images, &evidence.record.classes);
        let mut counted = confident_classes(images, classes.len());
        for (image, class) in images.iter().zip(&mut counted) {
            if silenced.contains(&image.path) {
                // Somebody has looked at it: its label is right.
                *class = Some(image.label);
            }
        }
        let count = |kind: Kind| findings.iter().filter(|finding| finding.kind == kind).count();
        let groups_are_copies = results.manifest.settings.split.group_by.is_none();
        Self {
            features: evidence.record.features.clone(),
            images: images.len(),
            folds: FoldScores::of(images, classes.len()),
            findings: Kind::ALL.into_iter().map(|kind| (kind, count(kind))).collect(),
            redundant_copies: relatives.redundant(groups_are_copies),
            label_errors: label_errors::estimate(images, &counted, &relatives.families(true), classes),
            models: scores_without(evidence, findings, relatives, results),
        }
    }
}

impl FoldScores {
    /// Of the images that lie in a fold.
    pub(super) fn of(images: &[ImageEvidence], classes: usize) -> Self {
        let mut folds: BTreeMap<usize, ConfusionMatrix> = BTreeMap::new();
        for image in images {
            if let Some(fold) = image.fold {
                let matrix = folds.entry(fold).or_insert_with(|| ConfusionMatrix::new(classes));
                matrix.add(image.label, most_probable(&image.probabilities));
            }
        }
        let matrices: Vec<ConfusionMatrix> = folds.into_values().collect();
        Self {
            images: matrices.iter().map(ConfusionMatrix::total).collect(),
            accuracy: OverFolds::of(matrices.iter().map(ConfusionMatrix::accuracy).collect()),
            macro_recall: OverFolds::of(matrices.iter().map(|matrix| matrix.macro_average().recall).collect()),
        }
    }
}

impl OverFolds {
    fn of(folds: Vec<f64>) -> Self {
        let number = folds.len();
        let mean = (number > 0).then(|| metrics::mean(&folds));
        let squares = |mean: f64| folds.iter().map(|score| (score - mean).powi(2)).sum::<f64>();
        let spread = mean.filter(|_| number > 1).map(|mean| (squares(mean) / (number - 1) as f64).sqrt());
        let interval = student_interval(&folds)
            .map(|interval| Interval { low: interval.low.max(0.0), high: interval.high.min(1.0) });
        Self { folds, mean, spread, interval }
    }
}

/// The first of the most probable classes.
fn most_probable(probabilities: &[f32]) -> usize {
    (1..probabilities.len())
        .fold(0, |best, class| if probabilities[class] > probabilities[best] { class } else { best })
}

fn scores_without(
    evidence: &Evidence,
    findings: &[Finding],
    relatives: &Relatives,
    results: &Results,
) -> IndexMap<String, ScoresWithout> {
    let images = &evidence.images;
    let path = |row: usize| images[row].path.as_str();
    let suspects: HashSet<&str> =
        findings.iter().filter(|finding| finding.kind == Kind::WrongLabel).map(|finding| path(finding.row)).collect();
    let Some(split) = results.judged_split() else { return IndexMap::new() };
    let related = |&row: &usize| {
        images[row].split == split && relatives.first(row, |other| other.split == Split::Train).is_some()
    };
    let related: HashSet<&str> = (0..images.len()).filter(related).map(path).collect();
    let classes = evidence.record.classes.len();
    let scores = |predictions: &SplitPredictions| ScoresWithout {
        all: PartScores::of(predictions, classes, &|_| true),
        without_wrong_labels: PartScores::of(predictions, classes, &|path| !suspects.contains(path)),
        without_relatives: PartScores::of(predictions, classes, &|path| !related.contains(path)),
    };
    let measured = results.models.iter().filter_map(|model| Some((model, model.predictions.get(&split)?)));
    measured.map(|(model, predictions)| (model.name.clone(), scores(predictions))).collect()
}

impl PartScores {
    /// On the images whose paths are `kept`.
    fn of(predictions: &SplitPredictions, classes: usize, kept: &dyn Fn(&str) -> bool) -> Self {
        let rows: Vec<&Prediction> = predictions.rows.iter().filter(|row| kept(&row.path)).collect();
        let mut matrix = ConfusionMatrix::new(classes);
        rows.iter().for_each(|row| matrix.add(row.label, row.prediction));
        let correct: Vec<bool> = rows.iter().map(|row| row.prediction == row.label).collect();
        let groups = Groups::new(rows.iter().map(|row| row.group));
        let any = !rows.is_empty();
        Self {
            images: rows.len(),
            left_out: predictions.rows.len() - rows.len(),
            accuracy: any.then(|| matrix.accuracy()),
            accuracy_interval: accuracy_interval(&correct, &groups),
            macro_recall: any.then(|| matrix.macro_average().recall),
        }
    }
}

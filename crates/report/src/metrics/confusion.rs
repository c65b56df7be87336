//! The confusion matrix, and the scores that follow from it.

use serde::{Deserialize, Serialize};
use train::model::predictions::Prediction;
use train::model::score::ClassScores;

/// Counts of images by true class (row) and predicted class (column).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    counts: Vec<usize>,
}

/// A mean over the classes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AverageScores {
    /// Mean precision.
    pub precision: f64,
    /// Mean recall.
    pub recall: f64,
    /// Mean F1.
    pub f1: f64,
}

impl ConfusionMatrix {
    /// A matrix of zeros, `[classes, classes]`.
    pub(crate) fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// Counts `rows`, whose labels and predictions are below `classes`.
    pub fn of(rows: &[Prediction], classes: usize) -> Self {
        let mut matrix = Self::new(classes);
        for row in rows {
            matrix.add(row.label, row.prediction);
        }
        matrix
    }

    /// A matrix from its rows, as [`Self::rows`] gives them; missing counts are 0.
    pub(crate) fn from_rows(rows: &[Vec<usize>]) -> Self {
        let mut matrix = Self::new(rows.len());
        for (truth, row) in rows.iter().enumerate() {
            for (predicted, &count) in row.iter().enumerate().take(rows.len()) {
                matrix.counts[truth * rows.len() + predicted] = count;
            }
        }
        matrix
    }

    /// Counts one image.
    pub(crate) fn add(&mut self, truth: usize, predicted: usize) {
        self.counts[truth * self.classes + predicted] += 1;
    }

    /// Sets all counts to zero.
    pub(crate) fn clear(&mut self) {
        self.counts.fill(0);
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Images of class `truth` that were predicted as `predicted`.
    pub(crate) fn count(&self, truth: usize, predicted: usize) -> usize {
        self.counts[truth * self.classes + predicted]
    }

    /// The counts as rows, one a true class.
    pub fn rows(&self) -> Vec<Vec<usize>> {
        self.counts.chunks(self.classes.max(1)).map(<[usize]>::to_vec).collect()
    }

    /// Images of class `truth`.
    pub(crate) fn support(&self, truth: usize) -> usize {
        self.counts[truth * self.classes..][..self.classes].iter().sum()
    }

    /// Images predicted as `predicted`.
    pub(crate) fn predicted(&self, predicted: usize) -> usize {
        (0..self.classes).map(|truth| self.count(truth, predicted)).sum()
    }

    /// All images.
    pub(crate) fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    /// Images classified rightly.
    pub(crate) fn correct(&self) -> usize {
        (0..self.classes).map(|class| self.count(class, class)).sum()
    }

    /// Fraction classified rightly; 0 without images.
    pub fn accuracy(&self) -> f64 {
        ratio(self.correct(), self.total())
    }

    /// Scores of one class.
    pub fn class_scores(&self, class: usize) -> ClassScores {
        ClassScores::new(self.count(class, class), self.support(class), self.predicted(class))
    }

    /// The mean over the classes that have images, each counting alike. A class without images has no recall to
    /// average.
    pub fn macro_average(&self) -> AverageScores {
        self.average(|scores| f64::from(u8::from(scores.support > 0)))
    }

    /// Classes without images.
    pub fn empty_classes(&self) -> usize {
        (0..self.classes).filter(|&class| self.support(class) == 0).count()
    }

    /// The mean over all classes, each counting as many times as it has images.
    pub fn weighted_average(&self) -> AverageScores {
        self.average(|scores| scores.support as f64)
    }

    fn average(&self, weight: impl Fn(&ClassScores) -> f64) -> AverageScores {
        let mut sum = AverageScores { precision: 0.0, recall: 0.0, f1: 0.0 };
        let mut weights = 0.0;
        for class in 0..self.classes {
            let scores = self.class_scores(class);
            let weight = weight(&scores);
            sum.precision += weight * scores.precision;
            sum.recall += weight * scores.recall;
            sum.f1 += weight * scores.f1;
            weights += weight;
        }
        let divide = |value: f64| if weights > 0.0 { value / weights } else { 0.0 };
        AverageScores { precision: divide(sum.precision), recall: divide(sum.recall), f1: divide(sum.f1) }
    }

    /// Pairs `(truth, predicted, count)` of classes taken for one another, the most frequent first; ties by class
    /// order.
    pub(crate) fn confused_pairs(&self) -> Vec<(usize, usize, usize)> {
        let mut pairs: Vec<_> = (0..self.classes)
            .flat_map(|truth| (0..self.classes).map(move |predicted| (truth, predicted)))
            .filter(|(truth, predicted)| truth != predicted)
            .map(|(truth, predicted)| (truth, predicted, self.count(truth, predicted)))
            .filter(|&(_, _, count)| count > 0)
            .collect();
        pairs.sort_by_key(|&(truth, predicted, count)| (std::cmp::Reverse(count), truth, predicted));
        pairs
    }
}

/// `numerator / denominator`, or 0 where the denominator is 0.
fn ratio(numerator: usize, denominator: usize) -> f64 {
    if denominator == 0 { 0.0 } else { numerator as f64 / denominator as f64 }
}

//! An interval for a score that has no formula for one.

use super::{ConfusionMatrix, Groups, Interval};
use preprocess::stage::random;
use std::collections::BTreeMap;
use train::model::predictions::Prediction;

const RESAMPLES: usize = 1000;

/// The percentile bootstrap's 95 % interval of macro F1 (B. Efron, 1979) over 1,000 test sets. Groups are drawn, not
/// images, with replacement, and stratified: from the groups that hold the same classes as many as there are, so that
/// no class is ever without images. Seeded: the same predictions, the same interval. `None` without images.
pub(crate) fn macro_f1_interval(rows: &[Prediction], classes: usize, groups: &Groups) -> Option<Interval> {
    if rows.is_empty() {
        return None;
    }
    let members = groups.members();
    let strata = strata(rows, &members);
    let mut random = random::stream(0, "report/bootstrap", &[]);
    let mut matrix = ConfusionMatrix::new(classes);
    let mut scores = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        matrix.clear();
        for stratum in &strata {
            for _ in 0..stratum.len() {
                for &image in &members[stratum[random.below(stratum.len())]] {
                    matrix.add(rows[image].label, rows[image].prediction);
                }
            }
        }
        scores.push(matrix.macro_average().f1);
    }
    scores.sort_by(f64::total_cmp);
    Some(Interval { low: quantile(&scores, 0.025), high: quantile(&scores, 0.975) })
}

/// The groups' numbers, those that hold the same classes together.
fn strata(rows: &[Prediction], members: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut strata: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    for (group, images) in members.iter().enumerate() {
        let mut labels: Vec<usize> = images.iter().map(|&image| rows[image].label).collect();
        labels.sort_unstable();
        labels.dedup();
        strata.entry(labels).or_default().push(group);
    }
    strata.into_values().collect()
}

/// The quantile of sorted values, interpolated linearly.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: usize, prediction: usize, group: usize) -> Prediction {
        let probabilities = vec![0.5; 2];
        Prediction { path: String::new(), content: String::new(), group, label, prediction, probabilities }
    }

    fn interval(rows: &[Prediction]) -> Interval {
        macro_f1_interval(rows, 3, &Groups::new(rows.iter().map(|row| row.group))).unwrap()
    }

    #[test]
    fn a_class_of_one_image_is_never_lost() {
        let rows: Vec<Prediction> = (0..50).map(|group| row(0, 0, group)).chain([row(1, 1, 50)]).collect();
        assert_eq!(interval(&rows), Interval { low: 1.0, high: 1.0 });
    }

    #[test]
    fn copies_widen_the_interval() {
        let answers = |size: usize| -> Vec<Prediction> {
            (0..240)
                .map(|image| row(image % 2, usize::from((image / size).is_multiple_of(5)) ^ (image % 2), image / size))
                .collect()
        };
        let width = |rows: &[Prediction]| interval(rows).high - interval(rows).low;
        // Six copies of each image: as sure as a sixth of the images, √6 = 2.4 times as wide.
        let ratio = width(&answers(6)) / width(&answers(1));
        assert!((1.9..3.2).contains(&ratio), "{ratio}");
    }
}

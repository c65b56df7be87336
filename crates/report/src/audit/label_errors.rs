//! How many labels are wrong, class by class, as confident learning estimates it.

use super::confident::ConfidentJoint;
use crate::metrics::{Groups, Interval, accuracy_interval};
use serde::{Deserialize, Serialize};
use train::audit::evidence::ImageEvidence;

/// How many images of one class seem to belong to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairEstimate {
    /// Name of the class that they were given.
    pub given: String,
    /// Name of the class that they seem to belong to.
    pub likely: String,
    /// The calibrated confident joint's cell: images, with a fraction.
    pub images: f64,
    /// 95 %, in images.
    pub interval: Interval,
}

/// How many labels are wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelErrors {
    /// Estimated over all classes.
    pub images: f64,
    /// 95 %, in images.
    pub interval: Interval,
    /// Where any were counted, the largest estimate first, equals in the order of the classes.
    pub pairs: Vec<PairEstimate>,
}

/// Estimates the label errors. Of the images of a class that are counted at all, the share that is counted to another
/// has Wilson's interval over `families` (images that are copies of one another, a number each); scaled to all images
/// of the class. In total: the sum of the classes' estimates, its interval from theirs by MOVER (G. Y. Zou and A.
/// Donner, Statistics in Medicine 27, 2008), which needs no normal distribution.
pub fn estimate(
    images: &[ImageEvidence],
    counted: &[Option<usize>],
    families: &[usize],
    classes: &[String],
) -> LabelErrors {
    let joint = ConfidentJoint::of(images, counted, classes.len());
    let calibrated = joint.calibrated();
    let rows_of = |label: usize| (0..images.len()).filter(move |&row| images[row].label == label);
    let (mut total, mut below, mut above) = (0.0, 0.0, 0.0);
    let mut pairs = Vec::new();
    for (given, name) in classes.iter().enumerate() {
        let sure: Vec<(usize, usize)> = rows_of(given).filter_map(|row| Some((counted[row]?, families[row]))).collect();
        let all = joint.given[given] as f64;
        let share = |is_error: &dyn Fn(usize) -> bool| {
            let errors: Vec<bool> = sure.iter().map(|&(class, _)| is_error(class)).collect();
            let interval = accuracy_interval(&errors, &Groups::new(sure.iter().map(|&(_, family)| family)));
            Interval { low: interval.low * all, high: interval.high * all }
        };
        let errors = all - calibrated[given][given];
        let interval = share(&|class| class != given);
        total += errors;
        below += (errors - interval.low).powi(2);
        above += (interval.high - errors).powi(2);
        for (likely, likely_name) in classes.iter().enumerate() {
            if likely != given && joint.counts[given][likely] > 0 {
                pairs.push(PairEstimate {
                    given: name.clone(),
                    likely: likely_name.clone(),
                    images: calibrated[given][likely],
                    interval: share(&|class| class == likely),
                });
            }
        }
    }
    pairs.sort_by(|a, b| b.images.total_cmp(&a.images));
    let interval =
        Interval { low: (total - below.sqrt()).max(0.0), high: (total + above.sqrt()).min(images.len() as f64) };
    LabelErrors { images: total, interval, pairs }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing::image;
    use crate::metrics::wilson;

    /// Images of two classes: of class 0 so many counted to 0, to 1 and to none; all of class 1 to 1.
    fn images(own: usize, other: usize, none: usize, second: usize) -> (Vec<ImageEvidence>, Vec<Option<usize>>) {
        let counted = [(0, Some(0), own), (0, Some(1), other), (0, None, none), (1, Some(1), second)];
        counted
            .into_iter()
            .flat_map(|(label, class, times)| (0..times).map(move |_| (image(label, &[0.5, 0.5]), class)))
            .unzip()
    }

    fn names() -> Vec<String> {
        ["cat", "dog"].map(String::from).to_vec()
    }

    #[test]
    fn estimates_are_scaled_to_the_class() {
        let (images, counted) = images(30, 10, 40, 20);
        let families: Vec<usize> = (0..images.len()).collect();
        let errors = estimate(&images, &counted, &families, &names());
        assert!((errors.images - 20.0).abs() < 1e-9, "10 of 40 counted, of 80: {errors:?}");
        let [pair] = errors.pairs.as_slice() else { panic!("{errors:?}") };
        assert_eq!((pair.given.as_str(), pair.likely.as_str()), ("cat", "dog"));
        let expected = wilson(10, 40);
        assert!((pair.interval.low - 80.0 * expected.low).abs() < 1e-9);
        assert!((pair.interval.high - 80.0 * expected.high).abs() < 1e-9);
        // The second class adds its own doubt: none of 20 is a share of up to wilson(0, 20).
        let above = (pair.interval.high - 20.0).hypot(20.0 * wilson(0, 20).high);
        assert!((errors.interval.high - 20.0 - above).abs() < 1e-9, "{errors:?}");
        assert!((errors.interval.low - pair.interval.low).abs() < 1e-9, "{errors:?}");
    }

    #[test]
    fn copies_count_as_one() {
        let (images, counted) = images(30, 10, 0, 20);
        let single: Vec<usize> = (0..images.len()).collect();
        let fives: Vec<usize> = (0..images.len()).map(|row| row / 5).collect();
        let width = |families: &[usize]| {
            let errors = estimate(&images, &counted, families, &names());
            assert!((errors.images - 10.0).abs() < 1e-9);
            errors.interval.high - errors.interval.low
        };
        assert!(width(&fives) > 1.5 * width(&single));
    }

    #[test]
    fn nothing_counted_is_nothing_known() {
        let (images, counted) = images(0, 0, 7, 0);
        let errors = estimate(&images, &counted, &[0, 1, 2, 3, 4, 5, 6], &names());
        assert_eq!((errors.images, errors.pairs.len()), (0.0, 0));
        assert_eq!(errors.interval, Interval { low: 0.0, high: 7.0 });
        let none = estimate(&[], &[], &[], &names());
        assert_eq!((none.images, none.interval), (0.0, Interval { low: 0.0, high: 0.0 }));
    }
}

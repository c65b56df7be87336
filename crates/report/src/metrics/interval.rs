//! 95 % confidence intervals.

use super::Groups;
use super::quantiles::{Z, student};
use serde::{Deserialize, Serialize};

/// Bounds that hold the true value with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

/// Wilson's score interval of a proportion (E. B. Wilson, JASA 22, 1927): unlike the normal interval it stays within 0
/// to 1 and is not empty at either end. `images` of 0 gives the whole range.
pub fn wilson(correct: usize, images: usize) -> Interval {
    score_interval(correct, images, images as f64)
}

/// Wilson's interval of the accuracy, with the number of images that independent ones would have to be to say as much:
/// the images divided by the design effect (variance over groups by that of single images, 1 at least; L. Kish, Survey
/// Sampling, 1965), less for few groups (E. L. Korn and B. I. Graubard, Survey Methodology 24, 1998). Without groups
/// Wilson's own.
pub fn accuracy_interval(correct: &[bool], groups: &Groups) -> Interval {
    let (images, right) = (correct.len(), correct.iter().filter(|&&right| right).count());
    if groups.all_single() || images == 0 {
        return wilson(right, images);
    }
    let share = right as f64 / images as f64;
    let spread = share * (1.0 - share) * images as f64;
    let scatter = groups.scatter(correct.iter().map(|&right| f64::from(u8::from(right))), share);
    // Where all are right or all wrong nothing shows how alike a group's images are: as if they were the same.
    let design_effect = if spread > 0.0 { (scatter / spread).max(1.0) } else { groups.mean_size() };
    let few = (Z / groups.critical()).powi(2);
    score_interval(right, images, images as f64 / design_effect * few)
}

fn score_interval(correct: usize, images: usize, n: f64) -> Interval {
    if n <= 0.0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let p = correct as f64 / images as f64;
    let shrink = 1.0 + Z * Z / n;
    let centre = (p + Z * Z / (2.0 * n)) / shrink;
    let half = Z / shrink * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let low = if correct == 0 { 0.0 } else { centre - half };
    let high = if correct == images { 1.0 } else { centre + half };
    Interval { low, high }
}

/// The normal interval of a mean, `mean ± z · s / √n`; with groups `s` is that of their sums and `z` Student's
/// quantile. `None` below two groups, which say nothing about their spread.
pub fn mean_interval(values: &[f64], groups: &Groups) -> Option<Interval> {
    if groups.len() < 2 {
        return None;
    }
    let (n, g) = (values.len() as f64, groups.len() as f64);
    let mean = values.iter().sum::<f64>() / n;
    let variance = groups.scatter(values.iter().copied(), mean) * g / (g - 1.0);
    let half = groups.critical() * variance.sqrt() / n;
    Some(Interval { low: mean - half, high: mean + half })
}

/// Student's interval of the mean of few values, `mean ± t · s / √n` with n - 1 degrees of freedom. `None` below two.
pub fn student_interval(values: &[f64]) -> Option<Interval> {
    if values.len() < 2 {
        return None;
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let half = student(values.len() - 1) * (variance / n).sqrt();
    Some(Interval { low: mean - half, high: mean + half })
}

/// [`mean_interval`] of a quantity that is never negative.
pub fn positive_mean_interval(values: &[f64], groups: &Groups) -> Option<Interval> {
    mean_interval(values, groups).map(|interval| Interval { low: interval.low.max(0.0), ..interval })
}

/// The interval of how much oftener one of two classifiers is right, from +1, 0 and -1 an image: D. G. Bonett's and R.
/// M. Price's adjusted Wald interval (J. Educational and Behavioral Statistics 37, 2012), which adds one image to
/// either side, so that it is not empty where the two always agree. With groups: one group of the mean size to either
/// side, and the spread over groups. `None` below two groups.
pub fn difference_interval(differences: &[f64], groups: &Groups) -> Option<Interval> {
    if groups.len() < 2 {
        return None;
    }
    let (g, size) = (groups.len() as f64, groups.mean_size());
    let n = differences.len() as f64 + 2.0 * size;
    let centre = differences.iter().sum::<f64>() / n;
    let added = 2.0 * size * size * (1.0 + centre * centre);
    let few = if groups.all_single() { 1.0 } else { g / (g - 1.0) };
    let variance = few * (groups.scatter(differences.iter().copied(), centre) + added);
    let half = groups.critical() * variance.sqrt() / n;
    Some(Interval { low: (centre - half).max(-1.0), high: (centre + half).min(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::quantiles::normal_quantile;
    use proptest::prelude::*;

    fn close(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-12, "{got} instead of {expected}");
    }

    proptest! {
        #[test]
        fn a_wilson_interval_holds_its_proportion(images in 1usize..5000, share in 0.0f64..=1.0) {
            let correct = (share * images as f64).round() as usize;
            let interval = wilson(correct, images);
            let p = correct as f64 / images as f64;
            prop_assert!(0.0 <= interval.low && interval.low <= p && p <= interval.high && interval.high <= 1.0);
            prop_assert!(interval.high > interval.low);
        }

        #[test]
        fn groups_never_make_an_accuracy_surer(correct in proptest::collection::vec(any::<bool>(), 1..200), size in 1usize..9) {
            let groups = Groups::new((0..correct.len()).map(|image| image / size));
            let right = correct.iter().filter(|&&right| right).count();
            let (grouped, single) = (accuracy_interval(&correct, &groups), wilson(right, correct.len()));
            let p = right as f64 / correct.len() as f64;
            prop_assert!(0.0 <= grouped.low && grouped.low <= p && p <= grouped.high && grouped.high <= 1.0);
            prop_assert!(grouped.high - grouped.low >= single.high - single.low - 1e-12);
        }
    }

    #[test]
    fn copies_count_once() {
        // 40 pictures of which 30 are right, each in four copies: as sure as 40 images, but for the few that 40 groups
        // are.
        let correct: Vec<bool> = (0..160).map(|image| image / 4 < 30).collect();
        let grouped = accuracy_interval(&correct, &Groups::new((0..160).map(|image| image / 4)));
        let single = wilson(30, 40);
        let ratio = (grouped.high - grouped.low) / (single.high - single.low);
        assert!((1.0..1.05).contains(&ratio), "{ratio}");
        let all = accuracy_interval(&[true; 160], &Groups::new((0..160).map(|image| image / 4)));
        assert!((all.low - wilson(40, 40).low).abs() < 0.01 && all.high == 1.0, "{all:?}");
        assert_eq!(accuracy_interval(&[true; 9], &Groups::new([1; 9])), Interval { low: 0.0, high: 1.0 });
    }

    #[test]
    fn one_value_has_no_interval() {
        assert_eq!(mean_interval(&[1.0], &Groups::singles(1)), None);
        assert_eq!(mean_interval(&[1.0, 3.0], &Groups::new([4, 4])), None);
        assert_eq!(mean_interval(&[2.0, 2.0], &Groups::singles(2)), Some(Interval { low: 2.0, high: 2.0 }));
    }

    #[test]
    fn few_values_have_students_interval() {
        // R: t.test(c(0.8, 0.9, 0.85, 0.95, 0.75))$conf.int is 0.7518 to 0.9482.
        let interval = student_interval(&[0.8, 0.9, 0.85, 0.95, 0.75]).unwrap();
        assert!((interval.low - 0.7518).abs() < 2e-4 && (interval.high - 0.9482).abs() < 2e-4, "{interval:?}");
        assert_eq!((student_interval(&[0.5]), student_interval(&[])), (None, None));
    }

    #[test]
    fn a_mean_of_copies_is_as_sure_as_its_originals() {
        let values = [1.0, 1.0, 2.0, 2.0, 4.0, 4.0];
        let copies = mean_interval(&values, &Groups::new([0, 0, 1, 1, 2, 2])).unwrap();
        let originals = mean_interval(&[1.0, 2.0, 4.0], &Groups::singles(3)).unwrap();
        close((copies.high - copies.low) / student(2), (originals.high - originals.low) / Z);
    }

    /// Bonett and Price: with b and c images that only one gets right, (b+1)/(n+2) and (c+1)/(n+2) in Wald's formula.
    #[test]
    fn differences_have_bonett_and_prices_interval() {
        let (b, c, n) = (59.0, 6.0, 92.0);
        let differences: Vec<f64> = (0..92)
            .map(|image| {
                if image < 59 {
                    1.0
                } else if image < 65 {
                    -1.0
                } else {
                    0.0
                }
            })
            .collect();
        let (p, q) = ((b + 1.0) / (n + 2.0), (c + 1.0) / (n + 2.0));
        let half = Z * ((p + q - (p - q) * (p - q)) / (n + 2.0f64)).sqrt();
        let got = difference_interval(&differences, &Groups::singles(92)).unwrap();
        close(got.low, p - q - half);
        close(got.high, p - q + half);
        let doubled: Vec<f64> = differences.iter().flat_map(|&d| [d, d]).collect();
        let grouped = difference_interval(&doubled, &Groups::new((0..184).map(|image| image / 2))).unwrap();
        assert!((grouped.low - got.low).abs() < 0.005 && (grouped.high - got.high).abs() < 0.005, "{grouped:?}");
    }

    #[test]
    fn students_quantiles_are_the_tables() {
        for (freedom, expected) in
            [(1, 12.7062), (2, 4.3027), (3, 3.1824), (5, 2.5706), (10, 2.2281), (30, 2.0423), (1000, 1.9623)]
        {
            assert!((student(freedom) / expected - 1.0).abs() < 0.002, "{freedom}: {}", student(freedom));
        }
        assert!(student(0).is_infinite());
        for (probability, expected) in [(0.025, Z), (0.01, 2.3263), (0.0001, 3.7190)] {
            assert!((normal_quantile(probability) - expected).abs() < 0.0005, "{probability}");
        }
    }
}

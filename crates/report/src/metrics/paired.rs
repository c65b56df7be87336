//! Two classifiers on the same images.

use super::interval::difference_interval;
use super::sign_flip::two_sided;
use super::{Groups, Interval};

/// How two classifiers differ. The images on which they agree say nothing about which is better, which makes this far
/// sharper than comparing two intervals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Paired {
    /// Images that only the first classifies rightly.
    pub only_first: usize,
    /// Images that only the second classifies rightly.
    pub only_second: usize,
    /// The second's accuracy less the first's, 95 %; none below two groups.
    pub interval: Option<Interval>,
    /// Two-sided, of the exact sign-flip test over groups: McNemar's exact test where every image is a group of its
    /// own.
    pub p_value: f64,
}

impl Paired {
    /// From whether each classifier was right, image by image in the same order.
    pub fn compare(first: &[bool], second: &[bool], groups: &Groups) -> Self {
        let differences: Vec<f64> = first
            .iter()
            .zip(second)
            .map(|(&first, &second)| f64::from(u8::from(second)) - f64::from(u8::from(first)))
            .collect();
        let count = |value: f64| differences.iter().filter(|&&difference| difference == value).count();
        Self {
            only_first: count(-1.0),
            only_second: count(1.0),
            interval: difference_interval(&differences, groups),
            p_value: two_sided(&whole(&groups.sums(differences.iter().copied()))),
        }
    }
}

/// Sums of +1, 0 and -1 as what they are.
pub(crate) fn whole(sums: &[f64]) -> Vec<i64> {
    sums.iter().map(|&sum| sum.round() as i64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_count_only_disagreements() {
        let first = [true, true, false, false, true];
        let second = [true, false, true, false, false];
        let paired = Paired::compare(&first, &second, &Groups::singles(5));
        assert_eq!((paired.only_first, paired.only_second, paired.p_value), (2, 1, 1.0));
        assert!(paired.interval.unwrap().low < -0.2 && paired.interval.unwrap().high > -0.2);
    }

    #[test]
    fn copies_of_one_mistake_are_one_mistake() {
        // Six pictures, of each four copies, which only the first classifies rightly.
        let (first, second) = ([true; 24], [false; 24]);
        let p = |groups: &Groups| Paired::compare(&first, &second, groups).p_value;
        let close =
            |got: f64, expected: f64| assert!((got / expected - 1.0).abs() < 1e-9, "{got} instead of {expected}");
        close(p(&Groups::singles(24)), 0.5f64.powi(23));
        close(p(&Groups::new((0..24).map(|image| image / 4))), 0.5f64.powi(5));
    }
}

//! 95 % confidence intervals.

use serde::{Deserialize, Serialize};

/// The standard normal distribution's 97.5 % quantile.
const Z: f64 = 1.959_963_984_540_054;

/// Bounds that hold the true value with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

impl Interval {
    /// The standard error of which this would be the normal interval.
    pub fn standard_error(&self) -> f64 {
        (self.high - self.low) / (2.0 * Z)
    }

    /// Whether two independent estimates with these intervals differ, by `difference`, at the 5 % level.
    pub fn differ(&self, other: &Interval, difference: f64) -> bool {
        difference.abs() > Z * self.standard_error().hypot(other.standard_error())
    }
}

/// Wilson's score interval of a proportion (E. B. Wilson, JASA 22, 1927): unlike the normal interval it stays within 0 to 1
/// and is not empty at either end. `images` of 0 gives the whole range.
pub fn wilson(correct: usize, images: usize) -> Interval {
    if images == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let (n, p) = (images as f64, correct as f64 / images as f64);
    let shrink = 1.0 + Z * Z / n;
    let centre = (p + Z * Z / (2.0 * n)) / shrink;
    let half = Z / shrink * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let low = if correct == 0 { 0.0 } else { centre - half };
    let high = if correct == images { 1.0 } else { centre + half };
    Interval { low, high }
}

/// The normal interval of a mean of values that are not negative: `mean ± z · s / √n`. `None` below two values, which say
/// nothing about their spread.
pub fn mean_interval(values: &[f64]) -> Option<Interval> {
    if values.len() < 2 {
        return None;
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let half = Z * (variance / n).sqrt();
    Some(Interval { low: (mean - half).max(0.0), high: mean + half })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_wilson_interval_holds_its_proportion(images in 1usize..5000, share in 0.0f64..=1.0) {
            let correct = (share * images as f64).round() as usize;
            let interval = wilson(correct, images);
            let p = correct as f64 / images as f64;
            prop_assert!(0.0 <= interval.low && interval.low <= p && p <= interval.high && interval.high <= 1.0);
            prop_assert!(interval.high > interval.low);
        }
    }

    #[test]
    fn one_value_has_no_interval() {
        assert_eq!(mean_interval(&[1.0]), None);
        assert_eq!(mean_interval(&[2.0, 2.0]), Some(Interval { low: 2.0, high: 2.0 }));
    }

    #[test]
    fn overlapping_estimates_do_not_differ() {
        let a = Interval { low: 0.78, high: 0.82 };
        let b = Interval { low: 0.79, high: 0.83 };
        assert!(!a.differ(&b, 0.01));
        assert!(a.differ(&b, 0.05));
    }
}

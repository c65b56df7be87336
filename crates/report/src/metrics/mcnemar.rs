//! McNemar's exact test: whether two classifiers, measured on the same images, differ.

/// On how many images exactly one of two classifiers is right. The images on which they agree say nothing about which is
/// better, which makes the test far sharper than comparing two intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paired {
    /// Images that only the first classifies rightly.
    pub only_first: usize,
    /// Images that only the second classifies rightly.
    pub only_second: usize,
}

impl Paired {
    /// Counts from whether each classifier was right, image by image in the same order.
    pub fn count(first: impl IntoIterator<Item = bool>, second: impl IntoIterator<Item = bool>) -> Self {
        let mut counts = Self { only_first: 0, only_second: 0 };
        for (first, second) in first.into_iter().zip(second) {
            counts.only_first += usize::from(first && !second);
            counts.only_second += usize::from(second && !first);
        }
        counts
    }

    /// The two-sided p-value: the probability of a split at least this uneven if both were equally good, from the binomial
    /// distribution itself (Q. McNemar, Psychometrika 12, 1947; the exact form).
    pub fn p_value(&self) -> f64 {
        let n = self.only_first + self.only_second;
        let fewer = self.only_first.min(self.only_second);
        // Terms of the sum over C(n, i) / 2^n in logarithms: 2^-n is 0 in floating point from n = 1075 on.
        let mut term = n as f64 * 0.5f64.ln();
        let mut tail = term.exp();
        for i in 0..fewer {
            term += ((n - i) as f64 / (i + 1) as f64).ln();
            tail += term.exp();
        }
        (2.0 * tail).min(1.0)
    }
}

/// Holm's correction (S. Holm, 1979) for testing several pairs at once: the p-values, each raised so that rejecting those
/// below 5 % keeps the chance of any false alarm at 5 %. In the order given.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0f64;
    for (rank, &index) in order.iter().enumerate() {
        let factor = (p_values.len() - rank) as f64;
        largest = largest.max((factor * p_values[index]).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holm_raises_in_order() {
        let cases: [(&str, &[f64], &[f64]); 3] = [
            ("one", &[0.04], &[0.04]),
            ("three", &[0.03, 0.01, 0.04], &[0.06, 0.03, 0.06]),
            ("capped", &[0.6, 0.9], &[1.0, 1.0]),
        ];
        for (name, given, expected) in cases {
            for (got, want) in holm(given).iter().zip(expected) {
                assert!((got - want).abs() < 1e-12, "{name}: {got} instead of {want}");
            }
        }
    }

    #[test]
    fn pairs_count_only_disagreements() {
        let first = [true, true, false, false, true];
        let second = [true, false, true, false, false];
        assert_eq!(Paired::count(first, second), Paired { only_first: 2, only_second: 1 });
    }
}

//! Whether a difference between two classifiers, measured on the same images, may be chance: the exact sign-flip test
//! (R. A. Fisher, The Design of Experiments, 1935). If both are equally good, each group's difference might as well
//! have had the other sign; the p-value is the share of all assignments of signs that give as much as was seen. Where
//! every image is a group of its own and its difference +1, 0 or -1, this is McNemar's exact test.

/// Beyond so many groups they are flipped in as many bundles, which is as valid and hardly less sharp.
const MOST: usize = 4000;

/// Steps of the grid that real values are rounded to, for each group, and the fewest and most in all.
const STEPS: (f64, f64, f64) = (4.0, 2048.0, 16_384.0);

/// The one-sided p-value of whole differences, one a group, against "the sum is not above zero".
pub fn sign_flip(differences: &[i64]) -> f64 {
    let mut differences: Vec<i64> = differences.iter().copied().filter(|&difference| difference != 0).collect();
    let seen: i64 = differences.iter().sum();
    if differences.iter().all(|difference| difference.abs() == 1) {
        let worse = differences.iter().filter(|&&difference| difference > 0).count();
        return binomial_tail(differences.len(), worse);
    }
    if differences.len() > MOST {
        let mut bundles = vec![0; MOST];
        for (index, difference) in differences.iter().enumerate() {
            bundles[index % MOST] += difference;
        }
        differences = bundles;
    }
    flipped_tail(&differences, seen)
}

/// [`sign_flip`] of real differences, which are rounded to a fine grid first: the test of the rounded values is exact.
pub fn sign_flip_real(differences: &[f64]) -> f64 {
    let total: f64 = differences.iter().map(|difference| difference.abs()).sum();
    if total <= 0.0 || !total.is_finite() {
        return 1.0;
    }
    let (each, fewest, most) = STEPS;
    let steps = (each * differences.len() as f64).clamp(fewest, most);
    let mut bundled = vec![0.0; differences.len().min(MOST)];
    for (index, difference) in differences.iter().enumerate() {
        bundled[index % MOST] += difference;
    }
    let rounded: Vec<i64> = bundled.iter().map(|difference| (difference / total * steps).round() as i64).collect();
    sign_flip(&rounded)
}

/// Twice the smaller tail, of a distribution that is symmetric.
pub fn two_sided(differences: &[i64]) -> f64 {
    let above = differences.iter().sum::<i64>() >= 0;
    let differences: Vec<i64> =
        differences.iter().map(|&difference| if above { difference } else { -difference }).collect();
    (2.0 * sign_flip(&differences)).min(1.0)
}

/// The share of sign assignments whose sum is at least `seen`. A sum is twice what is positive less everything, so it
/// is enough to know how likely each total of the positive ones is; that is built up value by value.
fn flipped_tail(differences: &[i64], seen: i64) -> f64 {
    let all: usize = differences.iter().map(|difference| difference.unsigned_abs() as usize).sum();
    let (mut now, mut next) = (vec![0.0; all + 1], vec![0.0; all + 1]);
    now[0] = 1.0;
    let mut reach = 0;
    for value in differences.iter().map(|difference| difference.unsigned_abs() as usize) {
        let upper = reach + value;
        for (next, now) in next[..=upper].iter_mut().zip(&now[..=upper]) {
            *next = 0.5 * now;
        }
        for (next, now) in next[value..=upper].iter_mut().zip(&now[..=reach]) {
            *next += 0.5 * now;
        }
        std::mem::swap(&mut now, &mut next);
        reach = upper;
    }
    // Both have the same parity.
    let from = usize::try_from((seen + all as i64) / 2).unwrap_or(0);
    now.get(from..).map_or(0.0, |tail| tail.iter().sum::<f64>()).min(1.0)
}

/// The probability of `heads` or more heads in `n` throws of a fair coin.
fn binomial_tail(n: usize, heads: usize) -> f64 {
    // Terms C(n, i) / 2^n in logarithms: 2^-n is 0 in floating point from n = 1075 on. By symmetry the tail of `n -
    // heads` or less.
    let fewer = n - heads;
    let mut term = n as f64 * 0.5f64.ln();
    let mut tail = term.exp();
    for i in 0..fewer {
        term += ((n - i) as f64 / (i + 1) as f64).ln();
        tail += term.exp();
    }
    tail.min(1.0)
}

/// Holm's correction (S. Holm, 1979) for testing several hypotheses at once: the p-values, each raised so that
/// rejecting those below a level keeps the chance of any false alarm at that level. In the order given.
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
    use preprocess::stage::random;
    use proptest::prelude::*;

    /// All assignments, one after the other.
    fn by_enumeration(differences: &[i64]) -> f64 {
        let seen: i64 = differences.iter().sum();
        let sum = |signs: usize| -> i64 {
            let signed = |(i, d): (usize, &i64)| if signs >> i & 1 == 1 { d.abs() } else { -d.abs() };
            differences.iter().enumerate().map(signed).sum()
        };
        let all = 1usize << differences.len();
        (0..all).filter(|&signs| sum(signs) >= seen).count() as f64 / all as f64
    }

    proptest! {
        #[test]
        fn the_tail_is_that_of_all_assignments(differences in proptest::collection::vec(-4i64..=4, 0..11)) {
            let (got, expected) = (sign_flip(&differences), by_enumeration(&differences));
            prop_assert!((got - expected).abs() < 1e-12, "{} instead of {}", got, expected);
        }

        #[test]
        fn single_images_give_mcnemars_test(worse in 0usize..60, better in 0usize..60) {
            let ones = |count, value| std::iter::repeat_n(value, count);
            let units: Vec<i64> = ones(worse, 1).chain(ones(better, -1)).collect();
            // In steps of two every assignment of signs has the same rank: the general way must agree with the
            // binomial one.
            let doubled: Vec<i64> = units.iter().map(|unit| 2 * unit).collect();
            prop_assert!((sign_flip(&units) - sign_flip(&doubled)).abs() < 1e-9);
        }
    }

    #[test]
    fn real_values_agree_with_whole_ones() {
        for differences in [&[3i64, -1, 2, 2, 5, -4, 1, 1, 2][..], &[1, 1, 1, 1, 1, 1, 1, 1], &[7], &[]] {
            let real: Vec<f64> = differences.iter().map(|&difference| difference as f64 * 0.37).collect();
            // Ties of whole numbers may be broken by rounding; none of these sums ties with what was seen but for
            // symmetry.
            assert!((sign_flip_real(&real) - sign_flip(differences)).abs() < 0.05, "{differences:?}");
        }
        assert_eq!(sign_flip_real(&[0.0, 0.0]), 1.0);
    }

    #[test]
    fn many_groups_are_bundled_and_stay_right() {
        let mut random = random::stream(5, "bundles", &[]);
        let differences: Vec<f64> = (0..20_000).map(|_| random.normal() + 0.02).collect();
        let total: f64 = differences.iter().sum();
        let z = total / differences.iter().map(|d| d * d).sum::<f64>().sqrt();
        let p = sign_flip_real(&differences);
        // The normal tail at this z, to the accuracy of its two bounds.
        let density = (-z * z / 2.0f64).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let (low, high) = (density * z / (1.0 + z * z), density / z);
        assert!((0.7 * low..1.4 * high).contains(&p), "p = {p}, z = {z}, normal tail {low} to {high}");
    }

    #[test]
    fn holm_raises_in_order() {
        let cases: [(&str, &[f64], &[f64]); 3] = [
            ("one", &[0.04], &[0.04]),
            ("three", &[0.03, 0.01, 0.04], &[0.06, 0.03, 0.06]),
            ("capped", &[0.9, 0.6], &[1.0, 1.0]),
        ];
        for (name, raw, expected) in cases {
            for (got, expected) in holm(raw).iter().zip(expected) {
                assert!((got - expected).abs() < 1e-12, "{name}");
            }
        }
    }
}

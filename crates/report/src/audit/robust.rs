//! What is far from the rest, told by the median: an estimate that the odd ones themselves do not move.

/// From this many values on a spread means something; below, nothing is told to be far from the rest.
pub(super) const ENOUGH: usize = 20;

/// The median absolute deviation of normally distributed values, times this, is their standard deviation.
const NORMAL: f64 = 1.482_602_218_505_602;

/// Where most of a set's values lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Distribution {
    /// The value that as many are above as below.
    pub median: f64,
    /// The median absolute deviation as a standard deviation, or the floor if that is higher.
    pub spread: f64,
}

impl Distribution {
    /// Of finite values. The spread is `floor` at least: a set of nearly equal values does not make small differences
    /// large. None below [`ENOUGH`] values.
    pub(super) fn of(values: impl IntoIterator<Item = f64>, floor: f64) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        if values.len() < ENOUGH {
            return None;
        }
        let median = median(&mut values);
        let mut deviations: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
        Some(Self { median, spread: (NORMAL * self::median(&mut deviations)).max(floor) })
    }

    /// How many standard deviations a value is above the median.
    pub(super) fn deviation(&self, value: f64) -> f64 {
        (value - self.median) / self.spread
    }
}

/// The middle value, or the mean of the two in the middle. NaN without values. Sorts them.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() % 2 {
        1 => values[half],
        _ if values.is_empty() => f64::NAN,
        _ => (values[half - 1] + values[half]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_odd_ones_move_nothing() {
        let values = |odd: f64| (0..40).map(f64::from).chain([odd]);
        let (far, farther) = (Distribution::of(values(1e3), 0.0), Distribution::of(values(1e9), 0.0));
        assert_eq!(far, farther);
        let far = far.unwrap();
        assert_eq!((far.median, far.spread), (20.0, 10.0 * NORMAL));
        assert!((far.deviation(20.0 + 20.0 * NORMAL) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn few_or_equal_values_make_nothing_odd() {
        assert_eq!(Distribution::of((0..19).map(f64::from), 0.1), None);
        let equal = Distribution::of([3.0; 20], 0.1).unwrap();
        assert_eq!((equal.median, equal.spread, median(&mut [4.0, 1.0, 2.0, 3.0])), (3.0, 0.1, 2.5));
    }
}

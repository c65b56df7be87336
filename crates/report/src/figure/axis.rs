//! Axes: round numbers that cover the data.

/// Maps values onto pixels.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    /// The round numbers to be marked.
    pub ticks: Vec<f64>,
    /// Decimals that tell the ticks apart.
    pub decimals: usize,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// An axis from the round number below `low` to the one above `high`, drawn from pixel `from` to pixel `to`, with
    /// about `count` ticks.
    pub(crate) fn new([low, high]: [f64; 2], [from, to]: [f64; 2], count: usize) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        let step = round_step((high - low) / count as f64);
        let (first, last) = ((low / step).floor() as i64, (high / step - 1e-9).ceil() as i64);
        Self {
            ticks: (first..=last).map(|i| i as f64 * step).collect(),
            decimals: (-step.log10().floor()).max(0.0) as usize,
            low: first as f64 * step,
            high: last as f64 * step,
            from,
            to,
        }
    }

    /// An axis for whole numbers from 1 to `last`, with about `count` ticks, both ends half a step away from the frame.
    pub(crate) fn whole(last: usize, [from, to]: [f64; 2], count: usize) -> Self {
        let step = round_step((last as f64 / count as f64).max(1.0)).max(1.0) as usize;
        let mut ticks: Vec<f64> = (0..=last).step_by(step).filter(|&tick| tick > 0).map(|tick| tick as f64).collect();
        if step > 1 {
            ticks.insert(0, 1.0);
        }
        Self { ticks, decimals: 0, low: 1.0, high: last.max(2) as f64, from, to }
    }

    /// The pixel of a value.
    pub(crate) fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// The text of a tick.
    pub(crate) fn label(&self, tick: f64) -> String {
        format!("{tick:.0$}", self.decimals)
    }
}

/// The nearest of 1, 2, 2.5 or 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let factor = factors.into_iter().find(|factor| factor * power >= step * 0.999).unwrap_or(10.0);
    factor * power
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round() {
        let cases: [(&str, [f64; 2], &[f64]); 4] = [
            ("loss", [0.31, 1.93], &[0.0, 0.5, 1.0, 1.5, 2.0]),
            ("accuracy", [0.42, 0.83], &[0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
            ("large", [0.0, 1234.0], &[0.0, 500.0, 1000.0, 1500.0]),
            ("flat", [2.0, 2.0], &[2.0, 2.2, 2.4, 2.6, 2.8, 3.0]),
        ];
        for (name, range, expected) in cases {
            let axis = Axis::new(range, [0.0, 100.0], 5);
            assert_eq!(axis.ticks.len(), expected.len(), "{name}: {:?}", axis.ticks);
            for (tick, want) in axis.ticks.iter().zip(expected) {
                assert!((tick - want).abs() < 1e-9, "{name}: {:?}", axis.ticks);
            }
        }
    }

    #[test]
    fn epochs_are_whole() {
        for (last, expected) in [(1, vec![1.0]), (3, vec![1.0, 2.0, 3.0]), (40, vec![1.0, 10.0, 20.0, 30.0, 40.0])] {
            assert_eq!(Axis::whole(last, [0.0, 1.0], 6).ticks, expected, "{last} epochs");
        }
    }

    proptest! {
        #[test]
        fn an_axis_covers_its_data(low in -1e6f64..1e6, extent in 1e-6f64..1e6) {
            let axis = Axis::new([low, low + extent], [0.0, 100.0], 5);
            prop_assert!(axis.at(low) >= -1e-3 && axis.at(low + extent) <= 100.001);
            prop_assert!((2..=13).contains(&axis.ticks.len()));
        }
    }
}

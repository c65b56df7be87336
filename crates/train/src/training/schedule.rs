//! The learning rate of each step. It follows from the step's number alone, so that a resumed run goes on as an
//! undisturbed one.

use preprocess::pipeline::{ModelSettings, Schedule};

/// Learning rates of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LearningRates {
    peak: f64,
    schedule: Schedule,
    warmup_steps: f64,
    steps: f64,
    restarts: Option<Cycles>,
}

/// A cosine that begins anew.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cycles {
    /// Steps of the first cycle.
    first: f64,
    /// How many times as long as the one before it each further cycle is.
    factor: f64,
}

impl Cycles {
    /// How far a step, counted from the end of the warm-up, has gone through its cycle, from 0 to 1.
    fn progress(self, step: f64) -> f64 {
        let (mut start, mut length) = (0.0, self.first);
        while step >= start + length {
            start += length;
            length *= self.factor;
        }
        (step - start) / length
    }
}

impl LearningRates {
    /// For a run of `settings.epochs` epochs of `steps_per_epoch` steps each.
    pub(crate) fn new(settings: &ModelSettings, steps_per_epoch: usize) -> Self {
        let steps = |epochs: f64| epochs * steps_per_epoch as f64;
        Self {
            peak: settings.learning_rate,
            schedule: settings.schedule,
            warmup_steps: steps(settings.warmup_epochs),
            steps: steps(settings.epochs as f64),
            restarts: settings.restarts.map(|restarts| Cycles {
                first: steps(restarts.epochs as f64).max(1.0),
                factor: restarts.factor as f64,
            }),
        }
    }

    /// The learning rate of a step, counted from 0 through the whole run. The first `w` steps, the warm-up, take
    /// `1/w`, `2/w`, … of the full rate `r`; under `cosine` step `s` of `n` then takes `r · (1 + cos(π (s - w) / (n -
    /// w))) / 2`; with restarts `(s - w) / (n - w)` is how far the step's cycle has come.
    pub(crate) fn at(&self, step: usize) -> f64 {
        let step = step as f64;
        if step + 1.0 < self.warmup_steps {
            return self.peak * (step + 1.0) / self.warmup_steps;
        }
        match self.schedule {
            Schedule::Constant => self.peak,
            Schedule::Cosine => {
                let falling = (self.steps - self.warmup_steps).max(1.0);
                let step = (step - self.warmup_steps).max(0.0);
                let progress = match self.restarts {
                    Some(cycles) => cycles.progress(step),
                    None => (step / falling).min(1.0),
                };
                self.peak * (1.0 + (std::f64::consts::PI * progress).cos()) / 2.0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use preprocess::pipeline::{Architecture, Restarts};

    #[test]
    fn a_cosine_begins_anew_after_each_cycle() {
        let base = ModelSettings::new(Architecture::Resnet);
        let restarts = Some(Restarts { epochs: 1, factor: 2 });
        let (schedule, warmup_epochs) = (Schedule::Cosine, 0.5);
        let settings = ModelSettings { learning_rate: 0.8, epochs: 9, schedule, warmup_epochs, restarts, ..base };
        let rates = LearningRates::new(&settings, 10);
        // The warm-up ends at step 5; cycles of 10, 20 and 40 steps begin at 5, 15 and 35.
        for (step, expected) in [(0, 0.16), (5, 0.8), (10, 0.4), (15, 0.8), (25, 0.4), (35, 0.8), (55, 0.4), (75, 0.8)]
        {
            assert!((rates.at(step) - expected).abs() < 1e-9, "step {step}: {}", rates.at(step));
        }
    }

    fn rates(schedule: Schedule, warmup_epochs: f64, steps: &[usize]) -> Vec<f64> {
        let base = ModelSettings::new(Architecture::Resnet);
        let settings = ModelSettings { learning_rate: 0.8, epochs: 4, schedule, warmup_epochs, ..base };
        let rates = LearningRates::new(&settings, 10);
        steps.iter().map(|&step| (rates.at(step) * 1e6).round() / 1e6).collect()
    }

    #[test]
    fn warm_up_rises_evenly_and_a_cosine_falls_to_zero() {
        for (name, schedule, warmup, steps, expected) in [
            ("constant", Schedule::Constant, 0.0, [0, 20, 39], [0.8, 0.8, 0.8]),
            ("cosine", Schedule::Cosine, 0.0, [0, 20, 40], [0.8, 0.4, 0.0]),
            ("warm-up", Schedule::Constant, 2.0, [0, 9, 20], [0.04, 0.4, 0.8]),
            ("warm-up ends at the full rate", Schedule::Cosine, 2.0, [18, 19, 20], [0.76, 0.8, 0.8]),
            ("warm-up, then cosine", Schedule::Cosine, 2.0, [20, 30, 40], [0.8, 0.4, 0.0]),
            ("half an epoch", Schedule::Constant, 0.5, [0, 4, 5], [0.16, 0.8, 0.8]),
            ("nothing but warm-up", Schedule::Cosine, 4.0, [19, 39, 40], [0.4, 0.8, 0.8]),
        ] {
            assert_eq!(rates(schedule, warmup, &steps), expected, "{name}");
        }
    }
}

//! What the same images, answered before and now, say about whether a model got worse: passed, failed or undecidable.
//!
//! The decision table is in `docs/report.md`. The chance that a model that is as good as its baseline fails is at most
//! [`SIGNIFICANCE`] over all that one gate looks at: each model's accuracy, loss and classes have their part of it.

use crate::metrics::{
    Groups, Interval, difference_interval, holm, mean, mean_interval, normal_quantile, sign_flip, sign_flip_real, whole,
};

/// The chance of any false alarm in one run of the gate.
pub const SIGNIFICANCE: f64 = 0.01;

/// The parts of it that the three kinds of tests have; in all 1.
const ACCURACY_PART: f64 = 0.6;
const LOSS_PART: f64 = 0.2;
const CLASSES_PART: f64 = 0.2;

/// A change counts as beyond what is allowed only if it is so by more than rounding.
const ROUNDING: f64 = 1e-9;

/// The least growth of the loss that is allowed, in nats: where hardly anything is wrong, doubling means nothing.
const LEAST_LOSS_ALLOWED: f64 = 0.01;

/// A class that lost more than allowed is suspicious from this p-value on, by itself: with fewer than five images more
/// lost than won it is not. Of many classes some always lose an image or two.
const SUSPICION: f64 = 0.05;

/// More images than this are told as "more than" it.
const MOST_IMAGES: f64 = 1e7;

/// What the gate makes of a model; the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Shown to be no worse than allowed.
    Passed,
    /// The images cannot tell.
    Undecidable,
    /// Shown to be worse, and by more than allowed.
    Failed,
}

/// How much worse a model may get, and how many models share the chance of a false alarm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// The accuracy that may be lost, as a fraction of all images.
    pub accuracy: f64,
    /// The recall that a class may lose, as a fraction.
    pub class: f64,
    /// The growth of the loss, as a fraction of what it was.
    pub loss: f64,
    /// Models that one run of the gate decides about.
    pub models: usize,
}

/// How one model answered for one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// Whether it was right.
    pub right: bool,
    /// Its cross-entropy in nats.
    pub loss: f64,
}

/// One image that both sides have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The true class.
    pub class: usize,
    /// Images of one group belong together.
    pub group: usize,
    /// The baseline's answer.
    pub before: Answer,
    /// The present one.
    pub now: Answer,
}

/// One quantity of one model, before and now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// A fraction, or nats.
    pub before: f64,
    /// A fraction, or nats.
    pub now: f64,
    /// Of the difference, 95 %, over groups; none where there is one group.
    pub interval: Option<Interval>,
    /// How much worse it may get, 0 or more.
    pub allowed: f64,
    /// One-sided, of the sign-flip test over groups, raised to account for everything that the gate tests: a drop is
    /// shown where it is at most [`SIGNIFICANCE`].
    pub p_value: f64,
    /// What follows.
    pub verdict: Verdict,
    /// Where undecidable: about how many test images would decide, if the difference stays what it is; infinite where
    /// it lies at the very limit.
    pub images_needed: Option<f64>,
}

/// All that is decided about one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Images compared.
    pub images: usize,
    /// In so many groups.
    pub groups: usize,
    /// The fraction classified rightly.
    pub accuracy: Measured,
    /// The mean cross-entropy.
    pub loss: Measured,
    /// The recall of each class that has images.
    pub classes: Vec<(usize, Measured)>,
    /// Classes of so few images, or so few that were right, that even the loss of all could be chance.
    pub unguarded_classes: usize,
}

impl Decision {
    /// The worst of its verdicts.
    pub fn verdict(&self) -> Verdict {
        self.measured().map(|measured| measured.verdict).max().unwrap_or(Verdict::Undecidable)
    }

    /// About how many test images would decide everything that is undecidable.
    pub fn images_needed(&self) -> Option<f64> {
        self.measured().filter_map(|measured| measured.images_needed).reduce(f64::max)
    }

    fn measured(&self) -> impl Iterator<Item = &Measured> {
        [&self.accuracy, &self.loss].into_iter().chain(self.classes.iter().map(|(_, measured)| measured))
    }
}

/// Compares the answers.
pub fn decide(pairs: &[Pair], limits: &Limits) -> Decision {
    let groups = Groups::new(pairs.iter().map(|pair| pair.group));
    let accuracy = raised(recall_p_value(pairs, &groups), ACCURACY_PART, limits);
    let (classes, unguarded_classes) = classes(pairs, limits);
    Decision {
        images: pairs.len(),
        groups: groups.len(),
        accuracy: shares(pairs, &groups, limits.accuracy, accuracy).judged_as_whole(pairs, &groups, limits),
        loss: losses(pairs, &groups, limits),
        classes,
        unguarded_classes,
    }
}

/// A p-value that can be compared with [`SIGNIFICANCE`] though it has only a part of that, and only for one of the
/// models.
fn raised(p_value: f64, part: f64, limits: &Limits) -> f64 {
    (p_value * limits.models.max(1) as f64 / part).min(1.0)
}

/// One-sided, against "it is right no less often than before".
fn recall_p_value(pairs: &[Pair], groups: &Groups) -> f64 {
    sign_flip(&whole(&groups.sums(pairs.iter().map(|pair| -gain(pair)))))
}

/// +1 where it is right now and was not, -1 the other way round.
fn gain(pair: &Pair) -> f64 {
    f64::from(u8::from(pair.now.right)) - f64::from(u8::from(pair.before.right))
}

/// The fraction that is right, without a verdict.
fn shares(pairs: &[Pair], groups: &Groups, allowed: f64, p_value: f64) -> Measured {
    let share =
        |right: fn(&Pair) -> bool| pairs.iter().filter(|pair| right(pair)).count() as f64 / pairs.len().max(1) as f64;
    let differences: Vec<f64> = pairs.iter().map(gain).collect();
    Measured {
        before: share(|pair| pair.before.right),
        now: share(|pair| pair.now.right),
        interval: difference_interval(&differences, groups),
        allowed,
        p_value,
        verdict: Verdict::Passed,
        images_needed: None,
    }
}

/// The mean loss with its verdict.
fn losses(pairs: &[Pair], groups: &Groups, limits: &Limits) -> Measured {
    let before: Vec<f64> = pairs.iter().map(|pair| pair.before.loss).collect();
    let growth: Vec<f64> = pairs.iter().map(|pair| pair.now.loss - pair.before.loss).collect();
    let was = mean(&before);
    let p_value = sign_flip_real(&groups.sums(growth.iter().copied()));
    let measured = Measured {
        before: was,
        now: was + mean(&growth),
        interval: mean_interval(&growth, groups),
        allowed: (limits.loss * was).max(LEAST_LOSS_ALLOWED),
        p_value: raised(p_value, LOSS_PART, limits),
        verdict: Verdict::Passed,
        images_needed: None,
    };
    let worse = measured.now - measured.before;
    let highest = measured.interval.map_or(f64::INFINITY, |interval| interval.high);
    measured.judged(worse, highest, unchanged(pairs), groups, raised_level(LOSS_PART, limits))
}

/// Every class that has images, and how many of them cannot be guarded.
fn classes(pairs: &[Pair], limits: &Limits) -> (Vec<(usize, Measured)>, usize) {
    let number = pairs.iter().map(|pair| pair.class + 1).max().unwrap_or(0);
    let mut by_class: Vec<Vec<Pair>> = vec![Vec::new(); number];
    for pair in pairs {
        by_class[pair.class].push(*pair);
    }
    let present: Vec<(usize, Vec<Pair>, Groups)> = by_class
        .into_iter()
        .enumerate()
        .filter(|(_, pairs)| !pairs.is_empty())
        .map(|(class, pairs)| {
            let groups = Groups::new(pairs.iter().map(|pair| pair.group));
            (class, pairs, groups)
        })
        .collect();
    let p_values: Vec<f64> = present.iter().map(|(_, pairs, groups)| recall_p_value(pairs, groups)).collect();
    let level = raised_level(CLASSES_PART, limits) / present.len().max(1) as f64;
    let unguarded = present.iter().filter(|(_, pairs, groups)| best_p_value(pairs, groups) > level).count();
    let corrected = holm(&p_values);
    let judged =
        present.iter().zip(p_values.iter().zip(&corrected)).map(|((class, own, groups), (&alone, &p_value))| {
            let measured = shares(own, groups, limits.class, raised(p_value, CLASSES_PART, limits));
            let mut measured = measured.judged_as_class(alone, groups, level);
            let share = own.len() as f64 / pairs.len() as f64;
            measured.images_needed = measured.images_needed.map(|needed| (needed / share).ceil());
            (*class, measured)
        });
    (judged.collect(), unguarded)
}

/// The level that a raw p-value must reach.
fn raised_level(part: f64, limits: &Limits) -> f64 {
    SIGNIFICANCE * part / limits.models.max(1) as f64
}

/// The p-value if nothing of this class were right any more.
fn best_p_value(pairs: &[Pair], groups: &Groups) -> f64 {
    let right = pairs.iter().map(|pair| f64::from(u8::from(pair.before.right)));
    sign_flip(&whole(&groups.sums(right)))
}

/// Whether every answer is the baseline's.
fn unchanged(pairs: &[Pair]) -> bool {
    pairs.iter().all(|pair| pair.before == pair.now)
}

impl Measured {
    /// The accuracy: passed only where the whole interval is within the tolerance.
    fn judged_as_whole(self, pairs: &[Pair], groups: &Groups, limits: &Limits) -> Self {
        let worse = self.before - self.now;
        let highest = self.interval.map_or(f64::INFINITY, |interval| -interval.low);
        self.judged(worse, highest, unchanged(pairs), groups, raised_level(ACCURACY_PART, limits))
    }

    /// `worse`: by how much; `highest`: by how much at most, with 95 % confidence; `level`: of the test, for one
    /// hypothesis.
    fn judged(mut self, worse: f64, highest: f64, unchanged: bool, groups: &Groups, level: f64) -> Self {
        if worse > self.allowed + ROUNDING && self.p_value <= SIGNIFICANCE {
            self.verdict = Verdict::Failed;
        } else if unchanged && !groups.is_empty() || highest <= self.allowed + ROUNDING {
            self.verdict = Verdict::Passed;
        } else {
            self.verdict = Verdict::Undecidable;
            self.images_needed = self.needed(worse, groups, level);
        }
        self
    }

    /// A class is guarded against collapse, not shown to be as good: for that most classes have too few images.
    /// `alone`: its p-value uncorrected.
    fn judged_as_class(mut self, alone: f64, groups: &Groups, level: f64) -> Self {
        let worse = self.before - self.now;
        if worse > self.allowed + ROUNDING && self.p_value <= SIGNIFICANCE {
            self.verdict = Verdict::Failed;
        } else if worse > self.allowed + ROUNDING && alone <= SUSPICION {
            self.verdict = Verdict::Undecidable;
            self.images_needed = self.needed(worse, groups, level);
        }
        self
    }

    /// Images that would decide. With `n` times the images the interval is narrower by √n: until it lies within what
    /// is allowed, or, where more was lost than that, until the test rejects.
    fn needed(&self, worse: f64, groups: &Groups, level: f64) -> Option<f64> {
        let interval = self.interval?;
        let error = (interval.high - interval.low) / 2.0 / groups.critical();
        let times = if worse > self.allowed {
            normal_quantile(level) * error / worse
        } else {
            groups.critical() * error / (self.allowed - worse)
        };
        let images = groups.images() as f64;
        let needed = (images * times * times).ceil().max(images + 1.0);
        Some(if needed > MOST_IMAGES || needed.is_nan() { f64::INFINITY } else { needed })
    }
}

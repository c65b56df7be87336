//! Two trainings measured on one test set, drawn from a model of how classifiers err, and what the gate says of them.
//!
//! An image has a margin, normal over images and trainings; it is classified rightly where the margin is above zero,
//! and its loss is the logistic one of three times the margin. What the two trainings share of an image's margin makes
//! their errors correlated. Images of a group share nine tenths of everything. Classes are unequal: of ten the largest
//! has ten times the images of the smallest.

use preprocess::stage::random::{self, Random};
use report::gate::{Answer, Limits, Pair, Verdict, decide};
use report::metrics::normal_quantile;

/// A kind of test set and of trainings.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    pub images: usize,
    /// The accuracy before.
    pub accuracy: f64,
    /// What is lost of it.
    pub drop: f64,
    /// The part of an image's margin (its variance) that both trainings have in common.
    pub shared: f64,
    /// Whether four tenths of the groups have two to eight images.
    pub copies: bool,
    /// The standard deviation of what a training gives or takes each class, in those of the margin. With 0.05 a
    /// class's true recall differs by 1.2 points, the true accuracy by half a point: such models are not quite equally
    /// good.
    pub class_effect: f64,
}

/// Classes of the test set.
const CLASSES: usize = 10;
/// How alike the images of a group are.
const ALIKE: f64 = 0.9;
/// The loss is that of so many times the margin.
const SHARPNESS: f64 = 3.0;

/// Of so many gates how many passed, were undecidable, failed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub passed: usize,
    pub undecidable: usize,
    pub failed: usize,
}

/// Runs the gate, with the default tolerances and one model, on so many pairs of trainings.
pub fn run(scenario: &Scenario, runs: usize) -> Counts {
    let limits = Limits { accuracy: 0.02, class: 0.1, loss: 0.2, models: 1 };
    let mut counts = Counts::default();
    for number in 0..runs {
        let mut random = random::stream(1, "gate_power", &[scenario.name.as_bytes(), &(number as u64).to_le_bytes()]);
        match decide(&draw(scenario, &mut random), &limits).verdict() {
            Verdict::Passed => counts.passed += 1,
            Verdict::Undecidable => counts.undecidable += 1,
            Verdict::Failed => counts.failed += 1,
        }
    }
    counts
}

/// A test set, answered by both trainings.
fn draw(scenario: &Scenario, random: &mut Random) -> Vec<Pair> {
    let skills = [scenario.accuracy, scenario.accuracy - scenario.drop].map(|accuracy| normal_quantile(1.0 - accuracy));
    let effects: Vec<[f64; 2]> =
        (0..CLASSES).map(|_| [0, 1].map(|_| scenario.class_effect * random.normal())).collect();
    let mut pairs = Vec::with_capacity(scenario.images);
    let mut group = 0;
    while pairs.len() < scenario.images {
        let size = if scenario.copies && random.uniform() < 0.4 { 2 + random.below(7) } else { 1 };
        // Triangular: class k comes k + 1 times as often as class 0.
        let class = random.below(CLASSES).max(random.below(CLASSES + 1).saturating_sub(1));
        let common = [random.normal(), random.normal(), random.normal()];
        for _ in 0..size.min(scenario.images - pairs.len()) {
            let [image, first, second] =
                common.map(|common| ALIKE.sqrt() * common + (1.0 - ALIKE).sqrt() * random.normal());
            let answer = |training: usize, own: f64| {
                let noise = scenario.shared.sqrt() * image + (1.0 - scenario.shared).sqrt() * own;
                let margin = skills[training] + effects[class][training] + noise;
                Answer { right: margin > 0.0, loss: (-SHARPNESS * margin).exp().ln_1p() }
            };
            pairs.push(Pair { class, group, before: answer(0, first), now: answer(1, second) });
        }
        group += 1;
    }
    pairs
}

//! How often the gate raises a false alarm, by simulation. The same with more runs, and its power: the example
//! `gate_power`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../examples/gate_power/simulation.rs"]
mod simulation;

use simulation::{Scenario, run};

const RUNS: usize = 1000;

/// Up to so many of a thousand are no evidence against 1 %: chance gives more in one of 30,000 simulations.
const FALSE_ALARMS: usize = 24;

const EQUAL: Scenario = Scenario {
    name: "two trainings",
    images: 100,
    accuracy: 0.9,
    drop: 0.0,
    shared: 0.8,
    copies: false,
    class_effect: 0.0,
};

#[test]
fn equally_good_models_hardly_ever_fail() {
    for (name, shared, copies) in [
        ("two trainings", 0.8, false),
        ("independent errors", 0.0, false),
        ("two trainings, copies", 0.8, true),
        ("independent errors, copies", 0.0, true),
    ] {
        for images in [100, 600] {
            let counts = run(&Scenario { name, images, shared, copies, ..EQUAL }, RUNS);
            assert!(counts.failed <= FALSE_ALARMS, "{name}, {images} images: {counts:?}");
        }
    }
}

#[test]
fn a_model_that_lost_as_much_as_allowed_hardly_ever_passes() {
    for (images, copies) in [(100, false), (600, false), (600, true)] {
        let counts = run(&Scenario { drop: 0.02, images, copies, ..EQUAL }, RUNS);
        // 2.5 % by the interval's definition, with four standard deviations of the count.
        assert!(counts.passed <= 45, "{images} images: {counts:?}");
    }
}

#[test]
fn real_losses_are_found() {
    for (images, drop, runs, least) in [(100, 0.1, 1000, 0.75), (600, 0.05, 500, 0.95), (2000, 0.05, 100, 0.97)] {
        let counts = run(&Scenario { images, drop, ..EQUAL }, runs);
        assert!(counts.failed as f64 >= least * runs as f64, "{drop} of {images} images: {counts:?}");
    }
}

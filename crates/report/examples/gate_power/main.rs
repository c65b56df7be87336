//! How often the gate says what, by simulation: the tables of `docs/report.md`.
//!
//! ```text
//! cargo run --release -p report --example gate_power [RUNS]
//! ```

mod simulation;

use simulation::{Scenario, run};

/// Pairs of trainings a row, unless the command line says otherwise.
const RUNS: usize = 2000;

/// Two equally good models, as two trainings of one network are.
const EQUAL: Scenario = Scenario {
    name: "two trainings",
    images: 600,
    accuracy: 0.9,
    drop: 0.0,
    shared: 0.8,
    copies: false,
    class_effect: 0.0,
};

fn main() {
    let runs = std::env::args().nth(1).and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    println!("{runs} pairs of trainings a row, accuracy 90 %, default tolerances\n");
    let kinds = [
        EQUAL,
        Scenario { name: "independent errors", shared: 0.0, ..EQUAL },
        Scenario { name: "two trainings, copies", copies: true, ..EQUAL },
        Scenario { name: "independent errors, copies", shared: 0.0, copies: true, ..EQUAL },
        Scenario { name: "two trainings, each better at other classes", class_effect: 0.05, ..EQUAL },
    ];
    println!("| equally good models | test images | passed | undecidable | failed |");
    println!("|---|---:|---:|---:|---:|");
    for kind in kinds {
        for images in [100, 600, 2000] {
            row(kind.name, &Scenario { images, ..kind }, runs);
        }
    }
    println!("\n| two trainings, points of accuracy lost | test images | passed | undecidable | failed |");
    println!("|---|---:|---:|---:|---:|");
    for drop in [0.01, 0.02, 0.05, 0.1] {
        for images in [100, 600, 2000] {
            row(&format!("{:.0}", 100.0 * drop), &Scenario { images, drop, ..EQUAL }, runs);
        }
    }
}

fn row(name: &str, scenario: &Scenario, runs: usize) {
    let counts = run(scenario, runs);
    let percent = |count: usize| format!("{:.1} %", 100.0 * count as f64 / runs as f64);
    println!(
        "| {name} | {} | {} | {} | {} |",
        scenario.images,
        percent(counts.passed),
        percent(counts.undecidable),
        percent(counts.failed)
    );
}

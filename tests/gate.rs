//! The regression gate.

use crate::harness::Bench;

/// Scales every number under a key named `accuracy` in the baseline, wherever it stands.
fn raise_accuracy(value: &mut serde_json::Value, by: f64) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                match inner.as_f64() {
                    Some(number) if key == "accuracy" => *inner = (number + by).into(),
                    _ => raise_accuracy(inner, by),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| raise_accuracy(item, by)),
        _ => {}
    }
}

#[test]
fn passes_on_its_own_baseline_and_fails_on_a_better_one() {
    let bench = Bench::small();
    bench.run_all();
    let check = ["check", "--pipeline", "pipeline.yaml"];
    bench.run("report", &check).fails_naming(&["baseline.json", "report accept"]);
    bench.run("report", &["accept", "--pipeline", "pipeline.yaml"]).succeeds();
    bench.run("report", &check).succeeds();

    let path = bench.path("baseline.json");
    let accepted = std::fs::read(&path).unwrap();
    let mut better: serde_json::Value = serde_json::from_slice(&accepted).unwrap();
    raise_accuracy(&mut better, 0.5);
    std::fs::write(&path, better.to_string()).unwrap();
    bench.run("report", &check).ends_with(1).says("small");

    std::fs::write(&path, "{\"half\": ").unwrap();
    bench.run("report", &check).fails_naming(&["baseline.json"]);
}

#[test]
fn a_foreign_baseline_is_an_error_not_a_pass() {
    let bench = Bench::small();
    bench.run_all();
    bench.run("report", &["accept", "--pipeline", "pipeline.yaml"]).succeeds();
    let text = std::fs::read_to_string(bench.path("baseline.json")).unwrap();
    bench.write("baseline.json", text.replace("sneaker", "boot"));
    bench.run("report", &["check", "--pipeline", "pipeline.yaml"]).fails_naming(&["baseline.json"]);
}

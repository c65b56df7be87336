//! From folders to a report, once, and what another user would look at.

use crate::harness::Bench;
use serde_json::Value;

#[test]
fn from_folders_to_a_report_that_beats_chance() {
    let bench = Bench::small();
    // After the two epochs (eight steps) of the other tests a network may not have learnt yet.
    let epochs = ["--set", "train.models.small.epochs=12"];
    for stage in ["preprocess", "train", "report"] {
        bench.stage(stage, &epochs).succeeds();
    }
    let metrics: Value =
        serde_json::from_slice(&std::fs::read(bench.path("out/report/metrics.json")).unwrap()).unwrap();
    let text = metrics.to_string();
    assert!(text.contains("small"), "metrics.json names the model: {text}");
    for file in ["report.md", "report.html", "metrics.json"] {
        assert!(bench.path("out/report").join(file).metadata().unwrap().len() > 500, "{file} is nearly empty");
    }
    let test =
        train::model::predictions::Predictions::read(&bench.path("out/models/small/predictions-test.parquet")).unwrap();
    let right = test.rows.iter().filter(|row| row.label == row.prediction).count();
    assert_eq!(test.rows.len(), 36, "20 % of 180 images, each once");
    assert!(right > 24, "{right} of 36 right: trousers, bags and sneakers are easy to tell apart");
}

#[test]
fn html_needs_no_network() {
    let bench = Bench::small();
    bench.run_all();
    let html = std::fs::read_to_string(bench.path("out/report/report.html")).unwrap();
    for outside in ["src=\"http", "href=\"http", "@import", "url(http", "<script src", "<link"] {
        assert!(!html.contains(outside), "report.html refers to the outside: {outside}");
    }
}

#[test]
fn a_second_run_does_nothing_and_says_so() {
    let bench = Bench::small();
    bench.run_all();
    let before = bench.files("out");
    bench.stage("preprocess", &[]).succeeds().says("up to date");
    bench.stage("train", &[]).succeeds().says("up to date");
    let after = bench.files("out");
    for (name, bytes) in &before {
        assert!(after.get(name) == Some(bytes), "{name} changed in a run that had nothing to do");
    }
}

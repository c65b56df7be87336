//! The regression gate.

use crate::harness::Bench;

#[test]
fn passes_on_its_own_baseline_and_believes_no_altered_one() {
    let bench = Bench::small();
    bench.run_all();
    let check = ["check", "--pipeline", "pipeline.yaml"];
    bench.run("report", &check).fails_naming(&["baseline.json", "report accept"]);
    bench.run("report", &["accept", "--pipeline", "pipeline.yaml"]).succeeds();
    bench.run("report", &check).succeeds().says("gate passed");

    let path = bench.path("baseline.json");
    let accepted = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, accepted.replacen("\"accuracy\": 0", "\"accuracy\": 1", 1)).unwrap();
    bench.run("report", &check).fails_naming(&["baseline.json", "was altered"]);
    std::fs::write(&path, "{\"half\": ").unwrap();
    bench.run("report", &check).fails_naming(&["baseline.json"]);
}

/// Another training on the same images, with next to no learning rate: an untrained model must not pass for the
/// trained one.
#[test]
fn a_model_that_learned_nothing_fails() {
    let bench = Bench::small();
    let train = |rate: &str| {
        let rate = format!("train.models.small.learning_rate={rate}");
        bench.stage("train", &["--set", "train.models.small.epochs=12", "--set", &rate]).succeeds();
        bench.stage("report", &[]).succeeds();
    };
    bench.stage("preprocess", &[]).succeeds();
    train("0.001");
    bench.run("report", &["accept", "--pipeline", "pipeline.yaml"]).succeeds();
    train("1e-12");
    bench.run("report", &["check", "--pipeline", "pipeline.yaml"]).ends_with(1).says("gate failed: small: accuracy");
}

#[test]
fn a_renamed_class_is_the_same_class() {
    let bench = Bench::small();
    bench.run_all();
    bench.run("report", &["accept", "--pipeline", "pipeline.yaml"]).succeeds();
    std::fs::rename(bench.path("images/sneaker"), bench.path("images/running shoe")).unwrap();
    bench.run_all();
    bench.run("report", &["check", "--pipeline", "pipeline.yaml"]).says("the class sneaker is called running shoe now");
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

//! Killed at any moment and started again, a stage ends with the bytes of an undisturbed run.

use crate::harness::Bench;
use std::time::Duration;

/// Starts the stage, kills it after each of the delays in turn, then lets it finish.
fn run_with_kills(bench: &Bench, stage: &str, arguments: &[&str], delays_in_ms: &[u64]) {
    let mut all = vec!["--pipeline", "pipeline.yaml"];
    all.extend_from_slice(arguments);
    for delay in delays_in_ms {
        let mut child = bench.start(stage, &all);
        std::thread::sleep(Duration::from_millis(*delay));
        // On Unix this is SIGKILL: nothing can be tidied up.
        child.kill().expect("the stage can be killed");
        child.wait().expect("the stage ends");
    }
    bench.run(stage, &all).succeeds();
}

#[test]
fn killed_preprocess_ends_with_the_same_bytes() {
    let bench = Bench::small();
    let big = ["--set", "preprocess.image.width=96", "--set", "preprocess.image.height=96"];
    bench.stage("preprocess", &big).succeeds();
    let undisturbed = bench.files("out/shards");
    std::fs::remove_dir_all(bench.path("out")).unwrap();
    run_with_kills(&bench, "preprocess", &big, &[5, 20, 40, 60, 80, 120, 160, 240]);
    let disturbed = bench.files("out/shards");
    assert_eq!(undisturbed.keys().collect::<Vec<_>>(), disturbed.keys().collect::<Vec<_>>());
    for (name, bytes) in &undisturbed {
        assert!(disturbed[name] == *bytes, "{name} differs after being killed");
    }
}

#[test]
fn killed_training_ends_with_the_same_weights_and_history() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    let longer = ["--set", "train.models.small.epochs=5"];
    bench.stage("train", &longer).succeeds();
    let undisturbed = bench.files("out/models/small");
    std::fs::remove_dir_all(bench.path("out/models")).unwrap();
    run_with_kills(&bench, "train", &longer, &[30, 100, 200, 300, 450, 600]);
    let disturbed = bench.files("out/models/small");
    for name in ["model.safetensors", "history.csv", "config.json", "predictions-test.parquet"] {
        assert!(undisturbed[name] == disturbed[name], "{name} differs after being killed");
    }
}

/// Waits until training has written the checkpoint of an epoch.
fn wait_for_a_checkpoint(bench: &Bench) {
    let directory = bench.path("out/models/small/checkpoint");
    let written = || std::fs::read_dir(&directory).is_ok_and(|mut files| files.any(|file| file.is_ok()));
    for _ in 0..600 {
        if written() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("no checkpoint after 30 s");
}

#[cfg(unix)]
#[test]
fn interrupted_training_stops_cleanly_and_resumes_to_the_same_bytes() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    let epochs = ["--set", "train.models.small.epochs=30"];
    bench.stage("train", &epochs).succeeds();
    let undisturbed = bench.files("out/models/small");
    std::fs::remove_dir_all(bench.path("out/models")).unwrap();

    let mut child = bench.start("train", &["--pipeline", "pipeline.yaml", epochs[0], epochs[1]]);
    wait_for_a_checkpoint(&bench);
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(2), "Ctrl-C ends the stage with an error of its own, not by the signal");
    assert!(!bench.path("out/models/small/config.json").exists(), "an interrupted run has no finished model");

    bench.stage("train", &epochs).succeeds().says("resuming after epoch");
    let resumed = bench.files("out/models/small");
    for name in ["model.safetensors", "history.csv", "config.json"] {
        assert!(undisturbed[name] == resumed[name], "{name} differs after an interruption");
    }
}

#[test]
fn two_runs_on_one_output_are_refused() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    let mut first = bench.start("train", &["--pipeline", "pipeline.yaml", "--set", "train.models.small.epochs=500"]);
    std::thread::sleep(Duration::from_millis(1000));
    let second = bench.stage("train", &[]);
    let _ = first.kill();
    let _ = first.wait();
    second.fails_naming(&["out"]);
    bench.stage("train", &[]).succeeds();
}

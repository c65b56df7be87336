//! Drives the `train` binary with pretrained weights: those that a small network learnt on the same drawn images.
#![allow(clippy::unwrap_used, missing_docs)]

mod runs;

use preprocess::pipeline::Split;
use runs::{CLASSES, Run, fail, results, succeed};
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use train::model::directory::Config;
use train::model::history::read_scores;
use train::model::predictions::{Predictions, predictions_file};

/// A run whose model `residual` is trained, and its directory: pretrained weights for others.
fn trained() -> (Run, PathBuf) {
    let run = Run::new();
    succeed(&mut run.train(&["--model", "residual", "--set", "train.models.residual.epochs=2"]));
    let weights = run.path("weights");
    fs::create_dir(&weights).unwrap();
    for file in ["model.safetensors", "config.json"] {
        fs::copy(run.model("residual").join(file), weights.join(file)).unwrap();
    }
    (run, weights)
}

/// `--set` of a model `tuned` with these settings beside its weights.
fn tuned(weights: &Path, settings: &str) -> Vec<String> {
    let weights = weights.display();
    let model = format!("train.models.tuned={{architecture: resnet, pretrained: \"{weights}\", {settings}}}");
    ["--model", "tuned", "--set", &model].map(str::to_owned).into()
}

fn strings(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// Bytes of every array in a model's directory.
fn arrays(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let bytes = fs::read(directory.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut arrays: Vec<_> = file.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect();
    arrays.sort();
    arrays
}

/// Names of the arrays that differ.
fn changed(one: &Path, other: &Path) -> Vec<String> {
    let (one, other) = (arrays(one), arrays(other));
    assert_eq!(one.len(), other.len());
    one.into_iter().zip(other).filter(|(one, other)| one != other).map(|(one, _)| one.0).collect()
}

fn feature_files(run: &Run) -> Vec<PathBuf> {
    let directories = fs::read_dir(run.path("out/features")).unwrap();
    let mut files: Vec<PathBuf> = directories
        .flat_map(|directory| fs::read_dir(directory.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn a_head_is_fitted_on_features_that_are_kept() {
    let (run, weights) = trained();
    let head = tuned(&weights, "tune: head");
    let stdout = succeed(&mut run.train(&strings(&head)));
    assert!(stdout.contains("tuned: head fitted in ") && stdout.contains("has converged"), "{stdout}");
    assert_eq!(changed(&run.model("tuned"), &weights), ["dense.bias", "dense.weight"]);
    let scores = read_scores(&run.model("tuned")).unwrap();
    let last = scores.last().unwrap();
    assert!(last.loss < scores[0].loss && last.accuracy > 0.9, "{scores:?}");

    let config = Config::read(&run.model("tuned")).unwrap();
    let record = config.pretrained.unwrap();
    assert_eq!((record.source, record.mean_and_std), (weights.display().to_string(), Some([[0.0; 3], [1.0; 3]])));
    assert_eq!((config.best_epoch, config.run.epochs), (scores.len(), scores.len()));

    // The published predictions come from the kept features; `predict` computes everything anew.
    let published = Predictions::read(&predictions_file(&run.model("tuned"), Split::Test)).unwrap();
    let mut predict = runs::train();
    predict.args(["predict", "--format", "json", "--top", "9", "--model"]).arg(run.model("tuned"));
    let predicted: Vec<Value> = serde_json::from_str(&succeed(predict.arg(run.path("images")))).unwrap();
    for row in &published.rows {
        let file = run.path("images").join(&row.path).display().to_string();
        let entry = predicted.iter().find(|entry| entry["file"] == file.as_str()).unwrap();
        for prediction in entry["predictions"].as_array().unwrap() {
            let class = CLASSES.iter().position(|class| prediction["class"] == *class).unwrap();
            let theirs = prediction["probability"].as_f64().unwrap();
            assert!((theirs - f64::from(row.probabilities[class])).abs() < 1e-5, "{file}");
        }
    }

    // Again: up to date. With the features at hand: the same bytes. With one damaged: it is computed again.
    assert!(succeed(&mut run.train(&strings(&head))).contains("up to date"));
    let before = results(&run.model("tuned"));
    let files = feature_files(&run);
    assert_eq!(files.len(), 3, "{files:?}");
    for damage in [None, Some(&files[0]), Some(&files[2])] {
        fs::remove_dir_all(run.model("tuned")).unwrap();
        if let Some(file) = damage {
            let mut bytes = fs::read(file).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            fs::write(file, bytes).unwrap();
        }
        let output = run.train(&strings(&head)).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr).contains("computed again"), damage.is_some());
        assert!(results(&run.model("tuned")) == before, "{damage:?}");
    }

    // Copies are further features of the same training images.
    succeed(&mut run.train(&strings(&tuned(&weights, "tune: head, augmented: true"))));
    assert_eq!(feature_files(&run).len(), 5);
}

#[test]
fn more_than_the_head_is_tuned_from_the_fitted_head_on() {
    let (run, weights) = trained();
    for (settings, stand_still, move_too) in [
        ("tune: all, epochs: 2", "", "conv1.weight"),
        ("tune: {last: 1}, epochs: 2", "unit1.", "unit2.conv1.weight"),
        ("tune: {last: 2}, epochs: 2, layer_decay: 0.5", "conv1.", "unit1.conv1.weight"),
    ] {
        let stdout = succeed(&mut run.train(&strings(&tuned(&weights, settings))));
        assert!(stdout.contains("head fitted") && stdout.contains("epoch 2/2"), "{settings}: {stdout}");
        let changed = changed(&run.model("tuned"), &weights);
        assert!(changed.iter().any(|name| name == move_too), "{settings}: {changed:?}");
        if !stand_still.is_empty() {
            assert!(!changed.iter().any(|name| name.starts_with(stand_still)), "{settings}: {changed:?}");
        }
        // The head was fitted first, so that the first epoch begins better than chance.
        let scores = read_scores(&run.model("tuned")).unwrap();
        assert!(scores[0].accuracy > 0.6, "{settings}: {scores:?}");
    }
}

#[test]
fn a_killed_run_of_pretrained_weights_ends_as_an_undisturbed_one() {
    let (run, weights) = trained();
    let all = tuned(&weights, "tune: all, epochs: 4, augmented: true");
    succeed(&mut run.train(&strings(&all)));
    let undisturbed = results(&run.model("tuned"));
    fs::remove_dir_all(run.model("tuned")).unwrap();
    let mut child = run.train(&strings(&all)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while !run.model("tuned").join("checkpoint/epoch-0002.safetensors").exists() {
        assert!(started.elapsed() < Duration::from_secs(60), "no checkpoint appears");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let stdout = succeed(&mut run.train(&strings(&all)));
    assert!(stdout.contains("resuming after epoch") || stdout.contains("up to date"), "{stdout}");
    assert!(results(&run.model("tuned")) == undisturbed);

    // Other weights, other tuning: another run.
    let stdout = succeed(&mut run.train(&strings(&tuned(&weights, "tune: {last: 1}, epochs: 1"))));
    assert!(stdout.contains("training from the start"), "{stdout}");
}

/// The file's header with every name changed by `rename`, over the same data.
fn renamed(bytes: &[u8], rename: impl Fn(&str) -> String) -> Vec<u8> {
    let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let renamed: serde_json::Map<String, Value> =
        header.as_object().unwrap().iter().map(|(name, value)| (rename(name), value.clone())).collect();
    let header = serde_json::to_vec(&renamed).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &bytes[8 + length..]].concat()
}

#[test]
fn weights_that_cannot_be_used_are_named_with_what_to_do() {
    let (run, weights) = trained();
    let file = weights.join("model.safetensors");
    let whole = fs::read(&file).unwrap();
    let config = fs::read_to_string(weights.join("config.json")).unwrap();
    let start = 8 + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    let mut not_finite = whole.clone();
    not_finite[start..start + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let mut huge = whole.clone();
    huge[..8].copy_from_slice(&(1u64 << 60).to_le_bytes());
    let other = |name: &str| name.replace("unit2.", "layer2.");
    let cases: [(&str, Vec<u8>, String, &[&str]); 8] = [
        ("text", b"hello".to_vec(), config.clone(), &["no safetensors file"]),
        ("cut short", whole[..whole.len() - 5].to_vec(), config.clone(), &["cut short", "5 more are missing"]),
        ("a header of 2^60 bytes", huge, config.clone(), &["model.safetensors"]),
        ("not a number", not_finite, config.clone(), &["no finite"]),
        (
            "other names",
            renamed(&whole, other),
            config.clone(),
            &["missing (`unit2.", "not the network's (`layer2.", "architecture"],
        ),
        ("another architecture", whole.clone(), config.replace("\"resnet\"", "\"resnet18\""), &["`resnet18`"]),
        ("a mean for one channel", whole.clone(), "{\"mean\": [0.5], \"std\": [1, 1, 1]}".into(), &["`mean`", "three"]),
        ("no JSON", whole.clone(), "{".into(), &["config.json", "move it away"]),
    ];
    let head = tuned(&weights, "tune: head");
    for (case, bytes, config, says) in cases {
        fs::write(&file, bytes).unwrap();
        fs::write(weights.join("config.json"), config).unwrap();
        let message = fail(&mut run.train(&strings(&head)));
        for says in says.iter().chain(&["hint:", "train.models.tuned.pretrained"]) {
            assert!(message.contains(says), "{case}: no `{says}` in: {message}");
        }
        assert!(!run.model("tuned").join("config.json").exists(), "{case}");
    }
    let missing = tuned(&run.path("nowhere.safetensors"), "tune: head");
    let message = fail(&mut run.train(&strings(&missing)));
    assert!(message.contains("nowhere.safetensors") && message.contains("timm/"), "{message}");
    let useless = ["--set", "train.models.plain.tune=head"];
    let message = fail(&mut run.train(&useless));
    assert!(message.contains("`train.models.plain.tune` has no effect"), "{message}");
}

/// What the hub's own programs leave in their cache is used; without a network the rest is an error that says so.
#[test]
fn weights_of_the_hub_come_from_its_cache_where_they_are_there() {
    let (run, weights) = trained();
    let model = run.path("hub/models--owner--model");
    fs::create_dir_all(model.join("refs")).unwrap();
    fs::write(model.join("refs/main"), "0123").unwrap();
    fs::create_dir_all(model.join("snapshots/0123")).unwrap();
    for file in ["model.safetensors", "config.json"] {
        fs::copy(weights.join(file), model.join("snapshots/0123").join(file)).unwrap();
    }
    let named = |name: &str| {
        let mut command = run.train(&strings(&tuned(Path::new(name), "tune: head")));
        command.env("HF_HUB_CACHE", run.path("hub")).env("HF_HUB_OFFLINE", "1");
        command
    };
    succeed(&mut named("owner/model"));
    assert_eq!(Config::read(&run.model("tuned")).unwrap().pretrained.unwrap().source, "owner/model");
    let message = fail(&mut named("owner/other"));
    assert!(message.contains("owner/other") && message.contains("HF_HUB_OFFLINE"), "{message}");
}

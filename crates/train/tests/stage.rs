//! Drives the `train` binary on a small set of images: what it writes, that it resumes, and how it refuses bad input.
#![allow(clippy::unwrap_used, missing_docs)]

mod runs;

use preprocess::pipeline::Split;
use preprocess::stage::lock::OutputLock;
use runs::{CLASSES, IMAGES_PER_CLASS, Run, fail, image, results, succeed, text, train};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use train::model::directory::Config;
use train::model::history::read_scores;
use train::model::predictions::{Predictions, predictions_file};

/// Fast ops and reference ops train alike: over the first two epochs all scores agree within half a percent. They
/// differ by rounding, which Adam makes larger step by step: it divides each gradient by its own size, however small
/// that is.
#[test]
fn fast_ops_train_as_reference_ops_do() {
    let run = Run::new();
    for model in ["plain", "residual"] {
        let history = |level: &str| {
            let epochs = format!("train.models.{model}.epochs=2");
            succeed(run.train(&["--model", model, "--set", &epochs]).env("TRAIN_SIMD", level));
            let scores = read_scores(&run.model(model)).unwrap();
            fs::remove_dir_all(run.model(model)).unwrap();
            scores
        };
        let (fast, reference) = (history("avx512"), history("reference"));
        assert!(fast != reference, "{model}: the variable chooses the ops");
        for (fast, reference) in fast.iter().zip(&reference) {
            for (fast, reference) in [
                (fast.loss, reference.loss),
                (fast.accuracy, reference.accuracy),
                (fast.validation_loss, reference.validation_loss),
            ] {
                assert!((fast - reference).abs() <= 5e-3 * reference, "{model}: {fast} with reference ops {reference}");
            }
        }
    }
}

/// The order of every sum is the same with both, and both round a product and its sum once. (On a machine without
/// AVX-512 the two runs are the same run.)
#[test]
fn avx2_and_avx512_give_the_same_bytes() {
    let run = Run::new();
    for model in ["plain", "residual"] {
        let bytes = |level: &str| {
            let epochs = format!("train.models.{model}.epochs=2");
            succeed(run.train(&["--model", model, "--set", &epochs]).env("TRAIN_SIMD", level));
            let files = results(&run.model(model));
            fs::remove_dir_all(run.model(model)).unwrap();
            files
        };
        let (avx2, avx512) = (bytes("avx2"), bytes("avx512"));
        for ((name, avx2), (_, avx512)) in avx2.into_iter().zip(avx512) {
            assert!(avx2 == avx512, "{model}: {name} differs");
        }
    }
}

#[test]
fn models_are_trained_published_and_used() {
    let run = Run::new();
    let stdout = succeed(&mut run.train(&[]));
    for line in ["epoch 5/5  loss ", "epoch 3/3  loss ", "  val_accuracy ", " images/s  ", "plain: best epoch "] {
        assert!(stdout.contains(line), "no `{line}` in:\n{stdout}");
    }
    for name in ["plain", "residual"] {
        check_predictions(&run, name);
    }
    let before = results(&run.model("plain"));
    let stdout = succeed(&mut run.train(&[]));
    assert!(stdout.contains("plain: up to date") && stdout.contains("residual: up to date"), "{stdout}");
    assert!(results(&run.model("plain")) == before);

    // A larger number of epochs goes on; a damaged file is made anew; a summary needs no training.
    let stdout = succeed(&mut run.train(&["--model", "plain", "--set", "train.models.plain.epochs=6"]));
    assert!(stdout.contains("resuming after epoch 5") && !stdout.contains("residual"), "{stdout}");
    fs::write(run.model("residual").join("model.safetensors"), "damaged").unwrap();
    let stdout = succeed(&mut run.train(&["--model", "residual"]));
    assert!(stdout.contains("resuming after epoch 3"), "{stdout}");
    check_predictions(&run, "residual");
    let stdout = succeed(&mut run.train(&["summary", "--model", "residual"]));
    assert!(stdout.contains("24x24 images, 3 classes") && stdout.contains("Non-trainable"), "{stdout}");
}

/// The published predictions are what `predict` and `evaluate` say of the very files.
fn check_predictions(run: &Run, name: &str) {
    let (model, images) = (run.model(name), run.path("images"));
    let config = Config::read(&model).unwrap();
    assert_eq!(config.label_names, CLASSES);
    let published = Predictions::read(&predictions_file(&model, Split::Test)).unwrap();
    assert_eq!((published.classes.as_slice(), published.rows.len()), (&config.label_names[..], 12));
    let predicted =
        succeed(train().args(["predict", "--format", "json", "--top", "9", "--model"]).arg(&model).arg(&images));
    let predicted: Vec<Value> = serde_json::from_str(&predicted).unwrap();
    assert_eq!(predicted.len(), CLASSES.len() * IMAGES_PER_CLASS);
    for row in &published.rows {
        let file = images.join(&row.path).display().to_string();
        let entry = predicted.iter().find(|entry| entry["file"] == file.as_str()).unwrap();
        for prediction in entry["predictions"].as_array().unwrap() {
            let class = CLASSES.iter().position(|class| prediction["class"] == *class).unwrap();
            let (theirs, ours) = (prediction["probability"].as_f64().unwrap(), f64::from(row.probabilities[class]));
            assert!((theirs - ours).abs() < 1e-6, "{file}, {class}: {theirs} and {ours}");
        }
    }
    let evaluated =
        succeed(train().args(["evaluate", "--format", "json", "--model"]).arg(&model).arg("--images").arg(&images));
    let evaluated: Value = serde_json::from_str(&evaluated).unwrap();
    let is_right = |entry: &&Value| {
        let class = entry["predictions"][0]["class"].as_str().unwrap();
        entry["file"].as_str().unwrap().contains(&format!("/{class}/"))
    };
    let right = predicted.iter().filter(is_right).count();
    assert_eq!(evaluated["accuracy"].as_f64().unwrap(), right as f64 / predicted.len() as f64);
    assert_eq!(evaluated["classes"]["left"]["support"], IMAGES_PER_CLASS);
}

#[test]
fn a_killed_run_ends_as_an_undisturbed_one() {
    let run = Run::new();
    for (name, kill_at) in [("plain", 2), ("residual", 1)] {
        let arguments = ["--model", name];
        succeed(&mut run.train(&arguments));
        let undisturbed = results(&run.model(name));
        fs::remove_dir_all(run.model(name)).unwrap();

        let mut child = run.train(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let checkpoint = run.model(name).join(format!("checkpoint/epoch-{kill_at:04}.safetensors"));
        let started = Instant::now();
        while !checkpoint.exists() {
            assert!(started.elapsed() < Duration::from_secs(60), "{name}: no checkpoint appears");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        succeed(&mut run.train(&arguments));
        for ((file, resumed), (_, undisturbed)) in results(&run.model(name)).iter().zip(&undisturbed) {
            assert!(resumed == undisturbed, "{name}: {file} differs");
        }
    }
}

#[test]
fn what_stands_in_the_way_of_training_is_named() {
    let run = Run::new();
    let shards = run.path("out/shards");
    let manifest = fs::read(shards.join("manifest.json")).unwrap();
    let shard = fs::read_dir(shards.join("data")).unwrap().map(|entry| entry.unwrap().path());
    let shard = shard.min().unwrap();
    let whole = fs::read(&shard).unwrap();
    let name = shard.file_name().unwrap().to_str().unwrap();
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;

    let message = fail(&mut run.train(&["--model", "plane"]));
    assert!(message.contains("no model `plane`") && message.contains("plain, residual"), "{message}");
    let message = fail(&mut run.train(&["--set", "preprocess.image.width=32"]));
    assert!(
        message.contains("`preprocess.image` changed") && message.contains("hint: run `preprocess` again"),
        "{message}"
    );
    for (case, bytes) in [("cut short", whole[..whole.len() / 2].to_vec()), ("altered", altered)] {
        fs::write(&shard, bytes).unwrap();
        let message = fail(&mut run.train(&[]));
        assert!(message.contains(name) && message.contains("hint: run `preprocess`"), "{case}: {message}");
    }
    fs::remove_file(&shard).unwrap();
    let message = fail(&mut run.train(&[]));
    assert!(message.contains(name) && message.contains("hint: run `preprocess`"), "missing: {message}");
    fs::write(&shard, whole).unwrap();
    fs::remove_file(shards.join("manifest.json")).unwrap();
    let message = fail(&mut run.train(&[]));
    assert!(message.contains("manifest.json") && message.contains("preprocess"), "{message}");
    fs::write(shards.join("manifest.json"), manifest).unwrap();

    let beyond = ["learning_rate", "weight_decay"].map(|key| format!("train.models.residual.{key}=100"));
    let beyond = ["--set", &beyond[0], "--set", &beyond[1], "--model", "residual"];
    let message = fail(&mut run.train(&beyond));
    assert!(message.contains("diverged") && message.contains("epoch 1, step"), "{message}");
    let lock = OutputLock::acquire(&run.path("out"), "preprocess").unwrap();
    let message = fail(&mut run.train(&[]));
    assert!(message.contains("in use by `preprocess`"), "{message}");
    drop(lock);
}

#[test]
fn models_and_images_that_cannot_be_used_are_named() {
    let run = Run::new();
    succeed(&mut run.train(&["--model", "residual", "--set", "train.models.residual.epochs=1"]));
    let (model, good) = (run.model("residual"), run.path("images/left/0.ppm"));
    let predict = |model: &Path, images: &[&Path]| {
        let mut command = train();
        command.args(["predict", "--format", "csv", "--model"]).arg(model).args(images);
        command
    };
    let (config, weights) = (model.join("config.json"), model.join("model.safetensors"));
    let (config_text, weights_bytes) = (fs::read_to_string(&config).unwrap(), fs::read(&weights).unwrap());
    // With a checksum of its own, as a program would write it.
    let edited = |from: &str, to: &str| {
        let mut value: Value = serde_json::from_str(&config_text).unwrap();
        value.as_object_mut().unwrap().shift_remove("checksum");
        preprocess::stage::sealed::seal(&format!("{value:#}").replace(from, to)).unwrap()
    };
    for (case, text, bytes, says) in [
        ("weights cut short", config_text.clone(), &weights_bytes[..weights_bytes.len() / 2], "model.safetensors"),
        ("another image size", edited("\"width\": 24", "\"width\": 40"), &weights_bytes, "has shape"),
        ("edited by hand", config_text.replace("left", "right"), &weights_bytes, "is not as it was written"),
        ("no configuration", "{}".into(), &weights_bytes, "is not as it was written"),
        (
            "another number of classes",
            edited("\"num_classes\": 3,", "\"num_classes\": 4,"),
            &weights_bytes,
            "`num_classes` is 4",
        ),
    ] {
        fs::write(&config, text).unwrap();
        fs::write(&weights, bytes).unwrap();
        let message = fail(&mut predict(&model, &[&good]));
        assert!(message.contains(says) && message.contains("hint"), "{case}: {message}");
    }
    fs::write(&config, config_text).unwrap();
    fs::write(&weights, weights_bytes).unwrap();
    let message = fail(&mut predict(&run.path("images"), &[&good]));
    assert!(message.contains("config.json"), "{message}");

    let (broken, empty) = (run.path("broken.ppm"), run.path("empty.png"));
    fs::write(&broken, &image(0, 0)[..300]).unwrap();
    fs::write(&empty, "").unwrap();
    let output = predict(&model, &[&broken, &good, &empty]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let (lines, warnings) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(lines.lines().count(), 4, "{lines}");
    assert!(warnings.contains("broken.ppm") && warnings.contains("empty.png"), "{warnings}");
    let message = fail(&mut predict(&model, &[&broken, &empty]));
    assert!(message.contains("no image could be classified"), "{message}");
    let message = fail(&mut predict(&model, &[&run.path("missing.png")]));
    assert!(message.contains("missing.png"), "{message}");

    fs::rename(run.path("images/left"), run.path("images/right")).unwrap();
    let message = fail(train().args(["evaluate", "--model"]).arg(&model).arg("--images").arg(run.path("images")));
    assert!(
        message.contains("none of the model's classes: `right`") && message.contains("bottom, left, top right"),
        "{message}"
    );
}

//! Shards to models.

use crate::harness::{Bench, fashion_images};
use preprocess::pipeline::Split;
use serde_json::Value;

#[test]
fn predict_names_the_class_of_new_images() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    bench.stage("train", &["--set", "train.models.small.epochs=4"]).succeeds();
    for (name, bytes) in fashion_images("trouser").into_iter().skip(200).take(10) {
        bench.write(&format!("new/{name}"), bytes);
    }
    bench.write("new/broken.png", &fashion_images("trouser")[0].1[..100]);
    let finished =
        bench.run("train", &["predict", "--model", "out/models/small", "new", "--format", "json", "--top", "2"]);
    assert!(finished.stderr.contains("broken.png"), "the broken file is named\n{finished}");
    let rows: Value = serde_json::from_str(&finished.stdout).expect("JSON on standard output");
    let rows = rows.as_array().expect("an array");
    let first = |row: &Value| row["predictions"][0]["class"].as_str().map(str::to_owned);
    let trousers = rows.iter().filter(|row| first(row).as_deref() == Some("trouser")).count();
    assert!(trousers >= 8, "{trousers} of 10 trousers recognised\n{finished}");
    for format in ["table", "csv"] {
        bench.run("train", &["predict", "--model", "out/models/small", "new", "--format", format]).says("trouser");
    }
}

#[test]
fn evaluate_agrees_with_the_predictions_of_training() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    bench.stage("train", &[]).succeeds();
    let file = bench.path("out/models/small/predictions-test.parquet");
    let predictions = train::model::predictions::Predictions::read(&file).unwrap();
    for row in &predictions.rows {
        bench.write(&format!("held-out/{}", row.path), std::fs::read(bench.path("images").join(&row.path)).unwrap());
    }
    let right = predictions.rows.iter().filter(|row| row.label == row.prediction).count();
    let finished = bench
        .run("train", &["evaluate", "--model", "out/models/small", "--images", "held-out", "--format", "json"])
        .succeeds();
    let scores: Value = serde_json::from_str(&finished.stdout).expect("JSON on standard output");
    let accuracy = scores["accuracy"].as_f64().expect("an accuracy");
    assert!((accuracy - right as f64 / predictions.rows.len() as f64).abs() < 1e-9, "{accuracy}\n{finished}");
}

/// Training sees what shards would hold, and leaves the same model.
#[test]
fn copies_made_in_passing_train_as_stored_ones() {
    let [stored, passing] = [("2", &["copies: cycle"][..]), ("fly", &[])].map(|(copies, order)| {
        let bench = Bench::small();
        let sets = [
            format!("preprocess.augment.copies={copies}"),
            format!("train.models={{small: {{architecture: resnet, augmented: true, epochs: 2, {}}}}}", order.concat()),
        ];
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
        for stage in ["preprocess", "train", "report"] {
            bench.stage(stage, &sets).succeeds();
        }
        let rows = preprocess::dataset::Dataset::open(&bench.path("out/shards")).unwrap().rows(Split::Train, 1).is_ok();
        assert_eq!(rows, copies != "fly", "only the images themselves are stored");
        let report = std::fs::read_to_string(bench.path("out/report/report.md")).unwrap();
        assert_eq!(report.contains("new ones in every epoch"), copies == "fly");
        ["model.safetensors", "history.csv"]
            .map(|file| std::fs::read(bench.path("out/models/small").join(file)).unwrap())
    });
    assert!(stored == passing);
}

/// A model's directory as the weights of another, through all three stages.
#[test]
fn pretrained_models_go_through_all_stages() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    bench.stage("train", &["--set", "train.models.small.epochs=4"]).succeeds();
    std::fs::rename(bench.path("out/models/small"), bench.path("weights")).unwrap();
    let models = "train.models={head: {architecture: resnet, pretrained: weights, tune: head}, \
                  all: {architecture: resnet, pretrained: weights, tune: all, epochs: 2}}";
    for stage in ["train", "report"] {
        bench.stage(stage, &["--set", models]).succeeds();
    }
    let metrics: Value =
        serde_json::from_slice(&std::fs::read(bench.path("out/report/metrics.json")).unwrap()).unwrap();
    for model in ["head", "all"] {
        let accuracy = metrics["models"][model]["splits"]["test"]["accuracy"].as_f64();
        let accuracy = accuracy.unwrap_or_else(|| panic!("no accuracy of `{model}` in {metrics:#}"));
        assert!(accuracy > 0.8, "{model}: {accuracy}");
    }
    bench.stage("train", &["--set", models]).succeeds().says("head: up to date");
}

/// An image and its mirror image have the same answer, which is the mean of what they have alone.
#[test]
fn flips_make_an_image_and_its_mirror_image_alike() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    bench.stage("train", &[]).succeeds();
    let (_, bytes) = fashion_images("bag").swap_remove(3);
    let image = image::load_from_memory(&bytes).expect("an image");
    let mut mirrored = std::io::Cursor::new(Vec::new());
    image.fliph().write_to(&mut mirrored, image::ImageFormat::Png).expect("written");
    bench.write("new/image.png", &bytes);
    bench.write("new/mirrored.png", mirrored.into_inner());
    let probabilities = |more: &[&str]| -> [Vec<f64>; 2] {
        let arguments = ["predict", "--model", "out/models/small", "new", "--format", "json", "--top", "10"];
        let rows: Value = serde_json::from_str(&bench.run("train", &[&arguments[..], more].concat()).succeeds().stdout)
            .expect("JSON");
        [0, 1].map(|row| {
            let mut classes: Vec<(String, f64)> = rows[row]["predictions"]
                .as_array()
                .expect("predictions")
                .iter()
                .map(|of| (of["class"].as_str().unwrap_or("").to_owned(), of["probability"].as_f64().unwrap_or(-1.0)))
                .collect();
            classes.sort_by(|a, b| a.0.cmp(&b.0));
            classes.into_iter().map(|(_, probability)| probability).collect()
        })
    };
    let ([image, mirrored], [flipped, other]) = (probabilities(&[]), probabilities(&["--flip"]));
    assert!(image.iter().zip(&mirrored).any(|(a, b)| (a - b).abs() > 1e-4), "the two look alike to the model");
    for (((a, b), c), d) in image.iter().zip(&mirrored).zip(&flipped).zip(&other) {
        assert!((c - d).abs() < 1e-5 && ((a + b) / 2.0 - c).abs() < 1e-5, "{a}, {b}: {c}, {d}");
    }
    // As a setting: the same weights, other predictions.
    let predictions = || std::fs::read(bench.path("out/models/small/predictions-test.parquet")).unwrap();
    let weights = || std::fs::read(bench.path("out/models/small/model.safetensors")).unwrap();
    let before = (predictions(), weights());
    bench.stage("train", &["--set", "train.models.small.test_flip=true"]).succeeds();
    assert!(predictions() != before.0 && weights() == before.1);
}

#[test]
fn rare_classes_are_made_up_for_and_the_report_says_when_to() {
    let bench = Bench::small();
    let images: Vec<_> =
        std::fs::read_dir(bench.path("images/bag")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let kept = images.len() / 8;
    images.iter().skip(kept.max(5)).for_each(|image| std::fs::remove_file(image).unwrap());
    bench.stage("preprocess", &[]).succeeds();
    let models = "train.models={small: {architecture: resnet, epochs: 1}}";
    for stage in ["train", "report"] {
        bench.stage(stage, &["--set", models]).succeeds();
    }
    let report = || std::fs::read_to_string(bench.path("out/report/report.md")).unwrap();
    let told = "The classes are uneven";
    assert!(report().contains(told) && report().contains("worst class"), "{}", report());
    let models = "train.models={weighted: {architecture: resnet, epochs: 1, class_weights: {bag: 5}}, \
                  adjusted: {architecture: resnet, epochs: 1, logit_adjustment: 1}, \
                  shown: {architecture: resnet, epochs: 1, sampler: balanced}}";
    for stage in ["train", "report"] {
        bench.stage(stage, &["--set", models]).succeeds();
    }
    assert!(!report().contains(told) && report().contains("weights of bag 5"), "{}", report());
    let unknown = "train.models={small: {architecture: resnet, epochs: 1, class_weights: {bags: 5}}}";
    bench.stage("train", &["--set", unknown]).fails_naming(&["has a weight for `bags`, which is no class"]);
    let alone = ["train.batch_size=1", "train.models={small: {architecture: resnet, epochs: 1, mixup: {}}}"];
    bench
        .stage("train", &["--set", alone[0], "--set", alone[1]])
        .fails_naming(&["needs other images to mix with, and `train.batch_size` is 1"]);
}

#[test]
fn the_same_seed_gives_the_same_model() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    bench.stage("train", &[]).succeeds();
    let model = |name: &str| std::fs::read(bench.path("out/models/small").join(name)).unwrap();
    let (weights, history) = (model("model.safetensors"), model("history.csv"));
    std::fs::remove_dir_all(bench.path("out/models")).unwrap();
    bench.stage("train", &[]).succeeds();
    assert!(weights == model("model.safetensors") && history == model("history.csv"));
    std::fs::remove_dir_all(bench.path("out/models")).unwrap();
    bench.stage("train", &["--set", "train.seed=2"]).succeeds();
    assert!(weights != model("model.safetensors"), "another seed, another model");
}

#[test]
fn summary_counts_the_notebooks_parameters() {
    let bench = Bench::new();
    let nineteen: Vec<String> = (0..19).map(|class| format!("class-{class:02}")).collect();
    for (class, (name, bytes)) in nineteen.iter().zip(fashion_images("bag")) {
        bench.write(&format!("images/{class}/{name}"), bytes);
    }
    bench.pipeline(
        "source: images",
        "models:\n  baseline: { architecture: baseline-cnn }\n  resnet: { architecture: resnet }",
        "",
    );
    for (model, count) in [("baseline", "3,491,603"), ("resnet", "1,157,267")] {
        bench.run("train", &["summary", "--pipeline", "pipeline.yaml", "--model", model]).succeeds().says(count);
    }
}

#[test]
fn divergence_stops_with_the_epoch_and_step() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    // Each step multiplies the weights by ten thousand.
    let beyond = ["--set", "train.models.small.learning_rate=100", "--set", "train.models.small.weight_decay=100"];
    bench.stage("train", &beyond).fails_naming(&["epoch 1", "step", "learning_rate"]);
}

#[test]
fn profile_accounts_for_the_step_and_writes_nothing() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    let before = bench.files("out");
    let finished = bench
        .run("train", &["profile", "--pipeline", "pipeline.yaml", "--model", "small", "--steps", "3"])
        .succeeds()
        .says("small: 3 steps of 16 images of 28x28");
    assert_eq!(bench.files("out"), before, "it wrote something\n{finished}");

    // Name and pass end where the milliseconds begin.
    let rows: Vec<(&str, f64)> = finished
        .stdout
        .lines()
        .filter_map(|line| {
            let number = line.split_whitespace().find(|word| word.contains('.') && word.parse::<f64>().is_ok())?;
            Some((line.split(number).next()?.trim(), number.parse().ok()?))
        })
        .collect();
    let milliseconds = |name: &str| {
        let named = rows.iter().find(|(part, _)| part.split_whitespace().eq(name.split_whitespace()));
        named.unwrap_or_else(|| panic!("no line `{name}`\n{finished}")).1
    };
    for part in ["conv1 forward", "conv1 backward", "unit2.shortcut backward", "dense forward", "optimiser", "metrics"]
    {
        assert!(milliseconds(part) > 0.0, "`{part}` takes time\n{finished}");
    }
    milliseconds("waiting for a batch");
    let step = milliseconds("step");
    let lines = rows.iter().skip_while(|(part, _)| *part != "waiting for a batch");
    let sum: f64 = lines.map(|(_, time)| time).sum::<f64>() - step;
    assert!((sum - step).abs() < 0.001 * rows.len() as f64, "the lines add up to {sum} ms of {step} ms\n{finished}");
}

#[test]
fn profile_refuses_what_it_cannot_measure() {
    let bench = Bench::small();
    let profile = |model: &str, steps: &str| {
        bench.run("train", &["profile", "--pipeline", "pipeline.yaml", "--model", model, "--steps", steps])
    };
    profile("other", "3").fails_naming(&["`other`", "its models are: small"]);
    profile("small", "3").fails_naming(&["no finished data set", "run `preprocess`"]);
    profile("small", "0").ends_with(2).says("1..=100000");
}

#[test]
fn a_device_that_is_not_there_is_an_error_and_auto_computes_anyway() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    // No file of that name is a driver.
    let no_driver = [("TRAIN_CUDA_DRIVER", "/dev/null")];
    let on = |device: &str| {
        let once = ["--pipeline", "pipeline.yaml", "--set", "train.models.small.epochs=1", "--device", device];
        bench.run_with(&no_driver, "train", &once)
    };
    let hint = if cfg!(feature = "cuda") { "nvidia-smi" } else { "make build CUDA=1" };
    on("cuda").fails_naming(&["cannot compute on `cuda:0`", hint]);
    on("gpu").fails_naming(&["`gpu` is none of auto, cpu, cuda"]);
    on("auto").succeeds().says("device: cpu");
    bench
        .stage("train", &["--set", "train.device=tpu"])
        .fails_naming(&["train.device", "`tpu` is none of auto, cpu, cuda"]);
    bench.stage("train", &["--set", "train.precision=fp16"]).fails_naming(&["train.precision", "fp16"]);
}

//! The real binaries on a GPU, or on the emulated driver: `make test-cuda` sees to either. Only in a build with CUDA.

use crate::harness::{Bench, Finished};
use serde_json::Value;

/// A data set so small that the emulator is done with an epoch in seconds.
fn tiny() -> Bench {
    let bench = Bench::new();
    bench.fashion("images", &["trouser", "bag"], 24);
    bench.pipeline(
        "source: images\nimage: { width: 24, height: 24 }\nsplit: { validation: 0.25, test: 0.25, seed: 1 }",
        "batch_size: 8\nprecision: fp32\nmodels:\n  resnet: { architecture: resnet, epochs: 2 }\n  \
         baseline: { architecture: baseline-cnn, epochs: 1 }",
        "",
    );
    bench.stage("preprocess", &[]).succeeds();
    bench
}

fn train(bench: &Bench, device: &str, model: &str, epochs: usize) -> Finished {
    let epochs = format!("train.models.{model}.epochs={epochs}");
    bench.stage("train", &["--device", device, "--model", model, "--set", &epochs])
}

/// One column of a model's history, a number an epoch.
fn history(bench: &Bench, model: &str, column: usize) -> Vec<f64> {
    let text = std::fs::read_to_string(bench.path(format!("out/models/{model}/history.csv"))).unwrap();
    let value = |line: &str| line.split(',').nth(column).unwrap().parse().unwrap();
    text.lines().skip(1).map(value).collect()
}

fn accuracy(bench: &Bench, device: &str, model: &str) -> f64 {
    let directory = format!("out/models/{model}");
    let arguments = ["evaluate", "--model", &directory, "--images", "images", "--format", "json", "--device", device];
    let scores: Value = serde_json::from_str(&bench.run("train", &arguments).succeeds().stdout).unwrap();
    scores["accuracy"].as_f64().unwrap()
}

#[test]
fn both_models_train_alike_on_both_devices_and_are_used_on_either() {
    let bench = tiny();
    for model in ["resnet", "baseline"] {
        train(&bench, "cpu", model, 1).succeeds().says("device: cpu");
        let on_cpu = [history(&bench, model, 1), history(&bench, model, 3)];
        let evaluated = [accuracy(&bench, "cpu", model), accuracy(&bench, "cuda", model)];
        assert_eq!(evaluated[0], evaluated[1], "{model} trained on the CPU, evaluated on both");
        std::fs::remove_dir_all(bench.path(format!("out/models/{model}"))).unwrap();

        train(&bench, "cuda", model, 1).succeeds().says("device: cuda:0");
        let on_cuda = [history(&bench, model, 1), history(&bench, model, 3)];
        // Adam's first steps are as long for a gradient next to nothing as for any other, and rounding decides its
        // sign. Over twelve pairs of seeds the losses after one epoch part by at most 0.5 %.
        for (cpu, cuda) in on_cpu.iter().flatten().zip(on_cuda.iter().flatten()) {
            assert!((cpu - cuda).abs() < 1e-2 * cpu.abs(), "{model}: losses {cpu} on the CPU, {cuda} on CUDA");
        }
        let evaluated = [accuracy(&bench, "cpu", model), accuracy(&bench, "cuda", model)];
        assert_eq!(evaluated[0], evaluated[1], "{model} trained on CUDA, evaluated on both");
    }
}

#[test]
fn pretrained_weights_are_tuned_alike_on_both_devices() {
    let bench = tiny();
    train(&bench, "cpu", "resnet", 1).succeeds();
    std::fs::rename(bench.path("out/models/resnet"), bench.path("weights")).unwrap();
    for tune in ["head", "{last: 1}", "all"] {
        let model =
            format!("train.models.tuned={{architecture: resnet, pretrained: weights, tune: {tune}, epochs: 1}}");
        let losses = ["cpu", "cuda"].map(|device| {
            let arguments = ["--device", device, "--model", "tuned", "--set", &model];
            bench.stage("train", &arguments).succeeds().says("head fitted");
            let losses = [1, 3].map(|column| history(&bench, "tuned", column).last().copied().unwrap());
            assert_eq!(accuracy(&bench, device, "tuned"), accuracy(&bench, "cpu", "tuned"), "{tune} on {device}");
            for directory in ["out/models/tuned", "out/features"] {
                std::fs::remove_dir_all(bench.path(directory)).unwrap();
            }
            losses
        });
        for (cpu, cuda) in losses[0].iter().zip(losses[1]) {
            assert!((cpu - cuda).abs() < 1e-2 * cpu.abs() + 1e-4, "{tune}: {cpu} on the CPU, {cuda} on CUDA");
        }
    }
}

/// Mixed images, rare classes, SGD and clipping: the same on both, because all that is drawn is drawn on the host.
#[test]
fn recipes_train_alike_on_both_devices() {
    let bench = tiny();
    for recipe in [
        "mixup: {probability: 0.4}, cutmix: {probability: 0.4}, random_erasing: {probability: 0.5}, test_flip: true",
        "optimizer: sgd, learning_rate: 0.01, clip_norm: 1, class_weights: effective, weight_decay: 0.05",
        "logit_adjustment: 1, label_smoothing: 0.1",
    ] {
        let model = format!("train.models.mixed={{architecture: resnet, epochs: 1, {recipe}}}");
        let losses = ["cpu", "cuda"].map(|device| {
            let arguments = ["--device", device, "--model", "mixed", "--set", &model];
            bench.stage("train", &arguments).succeeds();
            let losses = [1, 3].map(|column| history(&bench, "mixed", column).last().copied().unwrap());
            std::fs::remove_dir_all(bench.path("out/models/mixed")).unwrap();
            losses
        });
        for (cpu, cuda) in losses[0].iter().zip(losses[1]) {
            assert!((cpu - cuda).abs() < 1e-2 * cpu.abs() + 1e-4, "{recipe}: {cpu} on the CPU, {cuda} on CUDA");
        }
    }
}

/// A device that keeps images in its memory must not keep those that never come again.
#[test]
fn copies_made_in_passing_are_the_same_on_both_devices() {
    let bench = tiny();
    let copies = "preprocess.augment={copies: fly, rotation: 20, shift: [0.1, 0.1]}";
    let model = "train.models.fly={architecture: resnet, epochs: 2, augmented: true}";
    bench.stage("preprocess", &["--set", copies]).succeeds();
    let losses = ["cpu", "cuda"].map(|device| {
        bench.stage("train", &["--device", device, "--model", "fly", "--set", copies, "--set", model]).succeeds();
        let losses = history(&bench, "fly", 1);
        std::fs::remove_dir_all(bench.path("out/models/fly")).unwrap();
        losses
    });
    assert_eq!([losses[0].len(), losses[1].len()], [2; 2]);
    for (cpu, cuda) in std::iter::zip(&losses[0], &losses[1]) {
        assert!((cpu - cuda).abs() < 1e-2 * cpu.abs(), "{cpu} on the CPU, {cuda} on CUDA");
    }
}

#[test]
fn a_run_goes_on_on_the_other_device() {
    let bench = tiny();
    train(&bench, "cpu", "resnet", 2).succeeds();
    let undisturbed = history(&bench, "resnet", 1);
    for (first, second) in [("cuda", "cpu"), ("cpu", "cuda")] {
        std::fs::remove_dir_all(bench.path("out/models/resnet")).unwrap();
        train(&bench, first, "resnet", 1).succeeds();
        train(&bench, second, "resnet", 2).succeeds().says("resuming after epoch 1");
        let losses = history(&bench, "resnet", 1);
        assert_eq!(losses.len(), 2);
        for (undisturbed, loss) in undisturbed.iter().zip(losses) {
            let difference = (undisturbed - loss).abs();
            assert!(difference < 1e-2 * undisturbed, "{first}, then {second}: {loss}, undisturbed {undisturbed}");
        }
    }
}

#[test]
fn twice_on_one_device_gives_the_same_bytes() {
    let bench = tiny();
    let run = |precision: &str| {
        let precision = format!("train.precision={precision}");
        let once =
            ["--device", "cuda", "--model", "resnet", "--set", "train.models.resnet.epochs=1", "--set", &precision];
        bench.stage("train", &once).succeeds();
        let weights = std::fs::read(bench.path("out/models/resnet/model.safetensors")).unwrap();
        std::fs::remove_dir_all(bench.path("out/models/resnet")).unwrap();
        weights
    };
    assert!(run("tf32") == run("tf32"), "tf32");
    assert!(run("fp32") != run("tf32"), "the precision has an effect");
}

#[test]
fn no_byte_depends_on_when_streams_do_their_work() {
    let bench = tiny();
    let weights = |environment: &[(&str, &str)]| {
        let once = ["--pipeline", "pipeline.yaml", "--device", "cuda", "--model", "resnet"];
        bench.run_with(environment, "train", &once).succeeds().says("all 24 training images");
        let weights = std::fs::read(bench.path("out/models/resnet/model.safetensors")).unwrap();
        std::fs::remove_dir_all(bench.path("out/models/resnet")).unwrap();
        weights
    };
    // The variable is the emulator's.
    let at_once = weights(&[]);
    for when in ["late", "early"] {
        assert!(weights(&[("EMULATOR_STREAMS", when)]) == at_once, "{when}");
    }
}

#[test]
fn a_gpu_that_does_not_exist_is_named() {
    let bench = tiny();
    train(&bench, "cuda:9", "resnet", 1).fails_naming(&["cannot compute on `cuda:9`", "GPU 9", "nvidia-smi"]);
}

#[test]
fn too_little_memory_is_explained_with_a_batch_size_that_fits() {
    let bench = tiny();
    let once = ["--pipeline", "pipeline.yaml", "--device", "cuda", "--model", "resnet", "--set"];
    let train = |environment: &[(&str, &str)], batch_size: usize| {
        let batch_size = format!("train.batch_size={batch_size}");
        bench.run_with(environment, "train", &[&once[..], &[batch_size.as_str()]].concat())
    };
    // The variable is the emulator's; a GPU has memory enough.
    let little = [("EMULATOR_MEMORY", "3000000")];
    if train(&little, 24).code == Some(0) {
        assert!(std::env::var_os("TRAIN_CUDA_DRIVER").is_none(), "the emulator's memory has a limit");
        return;
    }
    std::fs::remove_dir_all(bench.path("out/models")).unwrap();
    let failed = train(&little, 24).fails_naming(&[
        "a step of 24 images needs about",
        "GiB",
        "OUT_OF_MEMORY",
        "train.batch_size=",
    ]);
    let (_, hint) = failed.stderr.split_once("train.batch_size=").unwrap();
    let fitting: usize = hint.split('`').next().unwrap().parse().unwrap();
    assert!(fitting < 24, "{failed}");
    train(&little, fitting).succeeds();
}

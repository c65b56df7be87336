//! A new run grows beside a finished model and takes its place when it is finished, whatever kills it on the way.

use crate::harness::Bench;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const OTHER: [&str; 2] = ["--set", "train.models.small.learning_rate=0.002"];
const PREDICT: [&str; 5] = ["predict", "--model", "out/models/small", "images/bag", "--format=json"];

/// All that two runs of the same settings have in common.
fn results(bench: &Bench) -> BTreeMap<String, Vec<u8>> {
    let mut files = bench.files("out/models/small");
    files.retain(|name, _| !name.starts_with("timings") && !name.starts_with("checkpoint/"));
    files
}

fn wait_for(path: &Path) {
    for _ in 0..1200 {
        if path.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("no `{}` after 30 s", path.display());
}

#[test]
fn a_finished_model_stays_usable_until_the_next_is_finished() {
    let bench = Bench::small();
    bench.run_all();
    let before = results(&bench);
    let predicted = bench.run("train", &PREDICT).succeeds().stdout;
    let longer = [OTHER[0], OTHER[1], "--set", "train.models.small.epochs=25"];
    let mut arguments = vec!["--pipeline", "pipeline.yaml"];
    arguments.extend(longer);

    let mut child = bench.start("train", &arguments);
    wait_for(&bench.path("out/models/.small.next/checkpoint/epoch-0001.safetensors"));
    assert_eq!(bench.run("train", &PREDICT).succeeds().stdout, predicted, "while another run grows");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(bench.run("train", &PREDICT).succeeds().stdout, predicted, "after it was killed");
    assert!(before == results(&bench));
    bench.stage("report", &[]).succeeds().says("A newer run of the model small is not finished");
    // Nothing else is to be done for the finished one; the other stays as it is.
    bench.stage("train", &[]).succeeds().says("up to date");

    bench.stage("train", &longer).succeeds().says("resuming after epoch");
    assert!(!bench.path("out/models/.small.next").exists(), "nothing is left beside the model");
    let resumed = results(&bench);
    std::fs::remove_dir_all(bench.path("out/models")).unwrap();
    bench.stage("train", &longer).succeeds();
    let fresh = results(&bench);
    assert_eq!(resumed.keys().collect::<Vec<_>>(), fresh.keys().collect::<Vec<_>>());
    for (name, bytes) in fresh {
        assert!(resumed[&name] == bytes, "{name} differs after a kill");
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Every state that a kill between two steps of the change of names leaves.
#[test]
fn a_kill_at_any_rename_ends_as_an_undisturbed_run() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    let models = bench.path("out/models");
    let make = |name: &str, arguments: &[&str]| -> PathBuf {
        bench.stage("train", arguments).succeeds();
        std::fs::rename(models.join("small"), bench.path(name)).unwrap();
        bench.path(name)
    };
    let (old, new) = (make("old", &[]), make("new", &OTHER));
    // What lies under `small`, `.small.next` and `.small.old`, and a file that is taken away.
    let states: [(&str, [Option<&Path>; 3], &str); 8] = [
        ("before the change of names", [Some(&old), Some(&new), None], ""),
        ("before the last file of the new model", [Some(&old), Some(&new), None], ".small.next/config.json"),
        ("after the exchange", [Some(&new), Some(&old), None], ""),
        (
            "while the old model is removed",
            [Some(&new), Some(&old), None],
            ".small.next/checkpoint/epoch-0001.safetensors",
        ),
        ("beside an unfinished run of other settings", [Some(&new), Some(&old), None], ".small.next/config.json"),
        ("between two renames", [None, Some(&new), Some(&old)], ""),
        ("after two renames", [Some(&new), None, Some(&old)], ""),
        ("the new run is damaged", [Some(&old), Some(&new), None], ".small.next/model.safetensors"),
    ];
    for (name, directories, missing) in states {
        println!("case: {name}");
        let _ = std::fs::remove_dir_all(&models);
        for (directory, place) in directories.iter().zip(["small", ".small.next", ".small.old"]) {
            if let Some(directory) = directory {
                copy(directory, &models.join(place));
            }
        }
        if !missing.is_empty() {
            std::fs::remove_file(models.join(missing)).unwrap();
        }
        // A file of the user's in the old model's directory.
        let of_the_old = ["small", ".small.next", ".small.old"].iter().zip(directories);
        let of_the_old = of_the_old.filter(|(_, directory)| *directory == Some(&*old));
        for (place, _) in of_the_old {
            std::fs::write(models.join(place).join("notes.txt"), "mine").unwrap();
        }
        let finished = bench.stage("train", &OTHER).succeeds();
        assert!(!finished.stdout.contains("epoch 1/"), "{name}: trained again\n{finished}");
        let results = results(&bench);
        for file in ["model.safetensors", "config.json", "history.csv", "predictions-test.parquet"] {
            assert!(results[file] == std::fs::read(new.join(file)).unwrap(), "{name}: {file}\n{finished}");
        }
        if name != "beside an unfinished run of other settings" {
            assert!(!models.join(".small.next").exists() && !models.join(".small.old").exists(), "{name}");
            assert!(models.join("small/notes.txt").exists(), "{name}: a file of the user's is gone");
        }
        bench.stage("train", &OTHER).succeeds().says("up to date");
    }
}

#[test]
fn a_model_from_elsewhere_is_not_replaced() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    bench.write("out/models/small/config.json", "{\"model_type\": \"vit\"}");
    bench.write("out/models/small/model.safetensors", "theirs");
    bench.stage("train", &[]).fails_naming(&["out/models/small", "another name"]);
    assert_eq!(std::fs::read(bench.path("out/models/small/model.safetensors")).unwrap(), b"theirs");
}

#[cfg(unix)]
#[test]
fn a_model_directory_that_is_a_link_is_refused() {
    let bench = Bench::small();
    bench.stage("preprocess", &[]).succeeds();
    std::fs::create_dir_all(bench.path("elsewhere")).unwrap();
    std::fs::create_dir_all(bench.path("out/models")).unwrap();
    std::os::unix::fs::symlink(bench.path("elsewhere"), bench.path("out/models/small")).unwrap();
    bench.stage("train", &[]).fails_naming(&["out/models/small", "is a link"]);
}

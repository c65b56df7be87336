//! The pipeline file as a person meets it: what is read, and what each mistake is answered with.
#![allow(clippy::expect_used)] // helpers of tests

use preprocess::pipeline::{Architecture, Fill, Pipeline};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

const GOOD: &str = "\
name: pets
preprocess:
  source: data/pets
  image: { width: 64, height: 48 }
  split:
    validation: 0.2
    test: 0.1
  augment:
    copies: 2
    shift: [0.1, 0.2]
train:
  models:
    baseline: { architecture: baseline-cnn }
    resnet:
      architecture: resnet
      augmented: true
      epochs: 40
report:
  gate: { baseline: baselines/pets.json }
";

/// Loads a file of this content; in an error, the file's path is `FILE`.
fn load(content: &[u8], overrides: &[&str]) -> Result<Pipeline, String> {
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = directory.path().join("pets.yaml");
    std::fs::write(&file, content).expect("written");
    let overrides: Vec<String> = overrides.iter().map(|&given| given.to_owned()).collect();
    Pipeline::load(&file, &overrides).map_err(|error| error.to_string().replace(&file.display().to_string(), "FILE"))
}

fn good(overrides: &[&str]) -> Pipeline {
    load(GOOD.as_bytes(), overrides).unwrap_or_else(|error| panic!("{overrides:?}: {error}"))
}

#[test]
fn a_file_is_read_with_its_defaults() {
    let pipeline = good(&[]);
    assert_eq!(pipeline.output, PathBuf::from("runs/pets"));
    assert_eq!(pipeline.preprocess.image.width, 64);
    assert_eq!(pipeline.preprocess.split.seed, 1);
    assert_eq!(pipeline.preprocess.augment.shift, [0.1, 0.2]);
    assert_eq!(pipeline.train.batch_size, 32);
    assert_eq!(pipeline.train.models.keys().collect::<Vec<_>>(), ["baseline", "resnet"]);
    let resnet = &pipeline.train.models["resnet"];
    assert_eq!((resnet.architecture, resnet.augmented, resnet.epochs), (Architecture::Resnet, true, 40));
    assert_eq!(resnet.early_stopping, None);
    assert_eq!(pipeline.report.gate.map(|gate| gate.tolerance), Some(0.02));
}

#[test]
fn overrides_win_and_the_last_most() {
    let pipeline = good(&[
        "output=elsewhere",
        "train.batch_size=64",
        "train.batch_size=8",
        "preprocess.augment.fill=wrap",
        "preprocess.augment.brightness=[0.5, 1.5]",
        "train.models.resnet.early_stopping.patience=4",
        "train.models.third={architecture: resnet, epochs: 1}",
        "report.gate=",
    ]);
    assert_eq!(pipeline.output, PathBuf::from("elsewhere"));
    assert_eq!(pipeline.train.batch_size, 8);
    assert_eq!(pipeline.preprocess.augment.fill, Fill::Wrap);
    assert_eq!(pipeline.preprocess.augment.brightness, [0.5, 1.5]);
    assert_eq!(pipeline.train.models["resnet"].early_stopping.map(|stop| stop.patience), Some(4));
    assert_eq!(pipeline.train.models["third"].epochs, 1);
    assert_eq!(pipeline.report.gate, None);
}

#[test]
fn anchors_and_merge_keys_keep_the_order_of_the_models() {
    let text = "\
name: p
preprocess: { source: d, augment: { copies: 1 } }
train:
  models:
    first: &first { architecture: resnet, epochs: 3 }
    second: &second { <<: *first, augmented: true }
    third: { <<: [*second], epochs: 5 }
    fourth: *first
";
    let models = load(text.as_bytes(), &[]).expect("valid").train.models;
    let read: Vec<_> = models.iter().map(|(name, model)| (name.as_str(), model.augmented, model.epochs)).collect();
    assert_eq!(read, [("first", false, 3), ("second", true, 3), ("third", true, 5), ("fourth", false, 3)]);
}

#[test]
fn an_empty_section_has_its_defaults_and_a_mark_at_the_start_does_no_harm() {
    let text = "\u{feff}name: p\r\npreprocess:\r\n  source: d\r\n  augment:\r\ntrain: {models: {m: {architecture: resnet}}}\r\nreport:\r\n";
    let pipeline = load(text.as_bytes(), &[]).expect("valid");
    assert_eq!((pipeline.preprocess.augment.copies, pipeline.report.gate), (0, None));
}

#[test]
fn the_shipped_pipelines_are_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for name in ["fashion-mnist", "simpsons", "simpsons-notebook"] {
        let file = root.join("pipelines").join(format!("{name}.yaml"));
        let pipeline = Pipeline::load(&file, &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(pipeline.name, name);
        assert_eq!(pipeline.output, Path::new("runs").join(name));
        assert_eq!(pipeline.train.models.keys().collect::<Vec<_>>(), ["baseline", "resnet"]);
    }
}

/// A mistake made in [`GOOD`], and what it is answered with.
struct Mistake {
    name: &'static str,
    /// This text of the good file…
    replace: &'static str,
    /// … is replaced with this.
    with: &'static str,
    set: &'static [&'static str],
    answer: &'static str,
}

const fn in_file(name: &'static str, replace: &'static str, with: &'static str, answer: &'static str) -> Mistake {
    Mistake { name, replace, with, set: &[], answer }
}

const fn in_set(name: &'static str, set: &'static [&'static str], answer: &'static str) -> Mistake {
    Mistake { name, replace: "", with: "", set, answer }
}

const MISTAKES: &[Mistake] = &[
    in_file(
        "a misspelt key",
        "epochs: 40",
        "epohs: 40",
        "error: unknown key `train.models.resnet.epohs` (FILE, line 17)\n  hint: did you mean `epochs`? the keys of `train.models.resnet` are `architecture`, `augmented`, `copies`, `epochs`, `early_stopping`, `learning_rate`, `schedule`, `warmup_epochs`, `weight_decay`, `label_smoothing`, `ema_decay`",
    ),
    in_file(
        "a key in the wrong section",
        "epochs: 40",
        "batch_size: 40",
        "error: unknown key `train.models.resnet.batch_size` (FILE, line 17)\n  hint: the keys of `train.models.resnet` are `architecture`, `augmented`, `copies`, `epochs`, `early_stopping`, `learning_rate`, `schedule`, `warmup_epochs`, `weight_decay`, `label_smoothing`, `ema_decay`",
    ),
    in_file(
        "a misspelt section",
        "report:",
        "reports:",
        "error: unknown key `reports` (FILE, line 18)\n  hint: did you mean `report`? the file's sections and keys are `name`, `output`, `preprocess`, `train`, `report`",
    ),
    in_file(
        "a misspelt key of a section on one line",
        "height: 48",
        "hieght: 48",
        "error: unknown key `preprocess.image.hieght` (FILE, line 4)\n  hint: did you mean `height`? the keys of `preprocess.image` are `width`, `height`, `fit`, `filter`",
    ),
    in_file(
        "a part of the key's name",
        "copies: 2",
        "flip: true",
        "error: unknown key `preprocess.augment.flip` (FILE, line 9)\n  hint: did you mean `horizontal_flip`? the keys of `preprocess.augment` are `copies`, `rotation`, `shift`, `shear`, `zoom`, `brightness`, `horizontal_flip`, `fill`",
    ),
    in_file(
        "text for a number",
        "epochs: 40",
        "epochs: forty",
        "error: `train.models.resnet.epochs` is the text `forty`; it must be a whole number from 1 to 1000000 (FILE, line 17)",
    ),
    in_file(
        "a fraction for a count",
        "epochs: 40",
        "epochs: 4.5",
        "error: `train.models.resnet.epochs` is `4.5`; it must be a whole number from 1 to 1000000 (FILE, line 17)",
    ),
    in_file(
        "a negative count",
        "epochs: 40",
        "epochs: -1",
        "error: `train.models.resnet.epochs` is `-1`; it must be a whole number from 1 to 1000000 (FILE, line 17)",
    ),
    in_file(
        "text for a switch",
        "augmented: true",
        "augmented: yes please",
        "error: `train.models.resnet.augmented` is the text `yes please`; it must be `true` or `false` (FILE, line 16)",
    ),
    in_file(
        "a number for a name",
        "name: pets",
        "name: 2024",
        "error: `name` is `2024`; it must be text (FILE, line 1)\n  hint: put it in quotes: `\"2024\"`",
    ),
    in_file(
        "one number for two",
        "shift: [0.1, 0.2]",
        "shift: 0.1",
        "error: `preprocess.augment.shift` is `0.1`; it must be a list of two numbers, as `[0.1, 0.2]` (FILE, line 10)",
    ),
    in_file(
        "three numbers for two",
        "shift: [0.1, 0.2]",
        "shift: [0.1, 0.2, 0.3]",
        "error: `preprocess.augment.shift` is a list of 3; it must be a list of two numbers, as `[0.1, 0.2]` (FILE, line 10)",
    ),
    in_file(
        "text in a list",
        "shift: [0.1, 0.2]",
        "shift: [0.1, much]",
        "error: `preprocess.augment.shift[1]` is the text `much`; it must be a number (FILE, line 10)",
    ),
    in_file(
        "a list for a section",
        "{ width: 64, height: 48 }",
        "[64, 48]",
        "error: `preprocess.image` is a list; it must be a section: `key: value` on lines of their own, indented (FILE, line 4)",
    ),
    in_file(
        "a value for a section",
        "{ baseline: baselines/pets.json }",
        "baselines/pets.json",
        "error: `report.gate` is the text `baselines/pets.json`; it must be a section: `key: value` on lines of their own, indented (FILE, line 19)",
    ),
    in_file(
        "a key without a value",
        "epochs: 40",
        "epochs:",
        "error: `train.models.resnet.epochs` has no value; it must be a whole number from 1 to 1000000 (FILE, line 17)\n  hint: leave the key out for its default",
    ),
    in_file(
        "a misspelt choice",
        "height: 48",
        "height: 48, fit: strech",
        "error: `preprocess.image.fit` cannot be `strech` (FILE, line 4)\n  hint: did you mean `stretch`? the values are `stretch`, `crop`, `pad`",
    ),
    in_file(
        "a number for a choice",
        "height: 48",
        "height: 48, filter: 3",
        "error: `preprocess.image.filter` cannot be `3` (FILE, line 4)\n  hint: the values are `nearest`, `bilinear`, `bicubic`, `lanczos`",
    ),
    in_file(
        "an architecture nobody knows",
        "architecture: resnet",
        "architecture: transformer",
        "error: `train.models.resnet.architecture` cannot be `transformer` (FILE, line 15)\n  hint: the values are `baseline-cnn`, `resnet`, `resnet18`, `resnet34`, `resnet50`",
    ),
    in_file(
        "a missing key at the top",
        "name: pets\n",
        "",
        "error: `name` is missing (FILE)\n  hint: add `name: …`: it has no default",
    ),
    in_file(
        "a missing key in a section",
        "source: data/pets",
        "unreadable: skip",
        "error: `preprocess.source` is missing (FILE, line 2)\n  hint: add `source: …` to `preprocess`: it has no default",
    ),
    in_file(
        "a missing key of a model",
        "architecture: resnet\n      ",
        "",
        "error: `train.models.resnet.architecture` is missing (FILE, line 14)\n  hint: add `architecture: …` to `train.models.resnet`: it has no default",
    ),
    in_file(
        "a key that is not text",
        "    resnet:\n",
        "    1:\n",
        "error: the key `train.models.1` is not text (FILE, line 14)\n  hint: put it in quotes: `\"1\"`",
    ),
    in_file(
        "the same key twice",
        "epochs: 40",
        "epochs: 40\n      epochs: 50",
        "error: `train.models.resnet.epochs` is given twice, on lines 17 and 18 (FILE, line 17)\n  hint: keep one of the two",
    ),
    in_file(
        "a tag",
        "epochs: 40",
        "epochs: !many 40",
        "error: `train.models.resnet.epochs` is a value with a tag (`!…`); it must be a whole number from 1 to 1000000 (FILE, line 17)",
    ),
    in_file(
        "a merge of nothing",
        "epochs: 40",
        "<<: 40",
        "error: `train.models.resnet.<<` must be an alias to a section, or a list of such (FILE, line 14)\n  hint: mark a section with `&name`, and merge it with `<<: *name`",
    ),
    in_file(
        "a name with a separator",
        "name: pets",
        "name: ../pets",
        "error: `name`: `../pets` cannot be the name of a directory (FILE, line 1)\n  hint: use letters, digits, `-`, `_` and `.` (not first), 100 bytes at most",
    ),
    in_file(
        "a hidden name",
        "name: pets",
        "name: .pets",
        "error: `name`: `.pets` cannot be the name of a directory (FILE, line 1)\n  hint: use letters, digits, `-`, `_` and `.` (not first), 100 bytes at most",
    ),
    in_file(
        "an empty name",
        "name: pets",
        "name: ''",
        "error: `name`: `` cannot be the name of a directory (FILE, line 1)\n  hint: use letters, digits, `-`, `_` and `.` (not first), 100 bytes at most",
    ),
    in_file(
        "a model with a separator",
        "    resnet:\n",
        "    res/net:\n",
        "error: `train.models.res/net`: `res/net` cannot be the name of a directory (FILE, line 14)\n  hint: use letters, digits, `-`, `_` and `.` (not first), 100 bytes at most",
    ),
    in_file(
        "an empty source",
        "source: data/pets",
        "source: ''",
        "error: `preprocess.source` is empty; it must be the path of a file or directory (FILE, line 3)",
    ),
    in_file(
        "output inside source",
        "name: pets",
        "name: pets\noutput: ./data/pets/out",
        "error: `output` (./data/pets/out) lies inside `preprocess.source` (data/pets) (FILE, line 2)\n  hint: what the stages write would be taken for classes: choose another directory",
    ),
    in_file(
        "an image without height",
        "height: 48",
        "height: 0",
        "error: `preprocess.image.height` is 0 pixels; it must be from 1 to 4096 pixels (FILE, line 4)",
    ),
    in_file(
        "a gigantic image",
        "width: 64",
        "width: 60000",
        "error: `preprocess.image.width` is 60000 pixels; it must be from 1 to 4096 pixels (FILE, line 4)",
    ),
    in_file(
        "a fraction above 1",
        "validation: 0.2",
        "validation: 20",
        "error: `preprocess.split.validation` is 20; it must be at least 0 and below 1 (FILE, line 6)",
    ),
    in_file(
        "a fraction that is no number",
        "validation: 0.2",
        "validation: .nan",
        "error: `preprocess.split.validation` is NaN; it must be at least 0 and below 1 (FILE, line 6)",
    ),
    in_file(
        "no training part",
        "validation: 0.2",
        "validation: 0.9",
        "error: `preprocess.split` leaves nothing to train on: validation 0.9 + test 0.1 is not below 1 (FILE, line 5)\n  hint: they are fractions of the images of each class; 0.2 and 0.1 are usual",
    ),
    in_file(
        "augmented without copies",
        "copies: 2",
        "copies: 0",
        "error: `train.models.resnet.augmented` is true, but `preprocess.augment.copies` is 0: there are no augmented images (FILE, line 16)\n  hint: set `preprocess.augment.copies` to 1 or more, or `augmented` to false",
    ),
    in_file(
        "no epochs",
        "epochs: 40",
        "epochs: 0",
        "error: `train.models.resnet.epochs` is 0; it must be from 1 to 1000000 (FILE, line 17)",
    ),
    in_file(
        "a whole number with a point",
        "epochs: 40",
        "epochs: 1.0",
        "error: `train.models.resnet.epochs` is `1.0`; it must be a whole number from 1 to 1000000 (FILE, line 17)\n  hint: write it without a point: `1`",
    ),
    in_file(
        "more epochs than anybody has time for",
        "epochs: 40",
        "epochs: 1000001",
        "error: `train.models.resnet.epochs` is 1000001; it must be from 1 to 1000000 (FILE, line 17)",
    ),
    in_file(
        "a number longer than a machine word",
        "epochs: 40",
        "epochs: 99999999999999999999999999",
        "error: `train.models.resnet.epochs` in the pipeline file `FILE` is beyond all numbers (line 17)\n  caused by: whole numbers end at 18446744073709551615\n  hint: docs/pipeline-file.md says what each key may be",
    ),
    in_file(
        "a patience without end",
        "epochs: 40",
        "early_stopping: { patience: 18446744073709551615 }",
        "error: `train.models.resnet.early_stopping.patience` is 18446744073709551615; it must be from 1 to 1000000 (FILE, line 17)",
    ),
    in_file(
        "a learning rate that ends in noise",
        "epochs: 40",
        "learning_rate: 1000",
        "error: `train.models.resnet.learning_rate` is 1000.0; it must be above 0 and at most 100; 0.001 is usual (FILE, line 17)",
    ),
    in_file(
        "a seed that JSON would round",
        "validation: 0.2",
        "seed: 18446744073709551615",
        "error: `preprocess.split.seed` is 18446744073709551615; it must be from 0 to 9007199254740991 (FILE, line 6)",
    ),
    in_file(
        "white whatever the image",
        "copies: 2",
        "copies: 2\n    brightness: [1, 1.0e+30]",
        "error: `preprocess.augment.brightness` is [1, 1000000000000000000000000000000]; it must be two factors from 0 to 255, the lower first (FILE, line 10)",
    ),
    in_set(
        "a batch of large images",
        &["preprocess.image={width: 4096, height: 4096}", "train.batch_size=65536"],
        "error: a step of 65536 images of 4096x4096 pixels takes 12288 GiB before the first layer (given with --set train.batch_size=65536)\n  hint: set `train.batch_size` to 85 or less, or make the images smaller; 32 is usual",
    ),
    in_file(
        "a key without a value that has no default",
        "source: data/pets",
        "source:",
        "error: `preprocess.source` has no value; it must be text (FILE, line 3)\n  hint: give it one: it has no default",
    ),
    in_file(
        "a network without a name",
        "architecture: resnet\n",
        "architecture:\n",
        "error: `train.models.resnet.architecture` has no value (FILE, line 15)\n  hint: the values are `baseline-cnn`, `resnet`, `resnet18`, `resnet34`, `resnet50`; it has no default",
    ),
    in_file(
        "a choice without a value",
        "height: 48",
        "height: 48, fit: ",
        "error: `preprocess.image.fit` has no value (FILE, line 4)\n  hint: the values are `stretch`, `crop`, `pad`; leave the key out for its default",
    ),
    in_file(
        "a patience without a value",
        "epochs: 40",
        "early_stopping: { patience: }",
        "error: `train.models.resnet.early_stopping.patience` has no value; it must be a whole number from 1 to 1000000 (FILE, line 17)\n  hint: give it one: it has no default",
    ),
    in_file(
        "no patience",
        "epochs: 40",
        "early_stopping: { patience: 0 }",
        "error: `train.models.resnet.early_stopping.patience` is 0; it must be from 1 to 1000000 (FILE, line 17)",
    ),
    in_file(
        "a learning rate of nothing",
        "epochs: 40",
        "learning_rate: 0",
        "error: `train.models.resnet.learning_rate` is 0.0; it must be above 0 and at most 100; 0.001 is usual (FILE, line 17)",
    ),
    in_file(
        "an infinite learning rate",
        "epochs: 40",
        "learning_rate: .inf",
        "error: `train.models.resnet.learning_rate` is inf; it must be above 0 and at most 100; 0.001 is usual (FILE, line 17)",
    ),
    in_file(
        "a learning rate too small to count",
        "epochs: 40",
        "learning_rate: 1.0e-60",
        "error: `train.models.resnet.learning_rate` is 1e-60; it must be above 0 and at most 100; 0.001 is usual (FILE, line 17)",
    ),
    in_file(
        "an unknown schedule",
        "epochs: 40",
        "schedule: linear",
        "error: `train.models.resnet.schedule` cannot be `linear` (FILE, line 17)\n  hint: the values are `constant`, `cosine`",
    ),
    in_file(
        "more warm-up than training",
        "epochs: 40",
        "warmup_epochs: 11",
        "error: `train.models.resnet.warmup_epochs` is 11, more than the 10 `epochs` (FILE, line 17)\n  hint: the learning rate would never reach its full value: 1 or 2 epochs are usual",
    ),
    in_file(
        "a negative weight decay",
        "epochs: 40",
        "weight_decay: -0.1",
        "error: `train.models.resnet.weight_decay` is -0.1; it must be from 0 to 100; 0.05 is usual (FILE, line 17)",
    ),
    in_file(
        "labels smoothed away",
        "epochs: 40",
        "label_smoothing: 1",
        "error: `train.models.resnet.label_smoothing` is 1; it must be at least 0 and below 1 (FILE, line 17)",
    ),
    in_file(
        "an average that never moves",
        "epochs: 40",
        "ema_decay: 1",
        "error: `train.models.resnet.ema_decay` is 1; it must be at least 0 and below 1 (FILE, line 17)",
    ),
    in_file(
        "an order of copies that are not used",
        "augmented: true",
        "copies: cycle",
        "error: `train.models.resnet.copies` has no effect: the model does not train on augmented copies (FILE, line 16)\n  hint: set `augmented: true`, or remove `copies`",
    ),
    in_file(
        "a shift of everything",
        "[0.1, 0.2]",
        "[0.1, 1]",
        "error: `preprocess.augment.shift[1]` is 1; it must be at least 0 and below 1 (FILE, line 10)",
    ),
    in_file(
        "more than half a turn",
        "copies: 2",
        "copies: 2\n    rotation: 270",
        "error: `preprocess.augment.rotation` is 270 degrees; it must be from 0 to 180 degrees (FILE, line 10)",
    ),
    in_file(
        "a shear to a line",
        "copies: 2",
        "copies: 2\n    shear: 90",
        "error: `preprocess.augment.shear` is 90 degrees; it must be at least 0 and below 90 degrees (FILE, line 10)",
    ),
    in_file(
        "a zoom to nothing",
        "copies: 2",
        "copies: 2\n    zoom: 1.5",
        "error: `preprocess.augment.zoom` is 1.5; it must be at least 0 and below 1 (FILE, line 10)",
    ),
    in_file(
        "brightness the wrong way round",
        "copies: 2",
        "copies: 2\n    brightness: [1.2, 0.8]",
        "error: `preprocess.augment.brightness` is [1.2, 0.8]; it must be two factors from 0 to 255, the lower first (FILE, line 10)",
    ),
    in_file(
        "negative brightness",
        "copies: 2",
        "copies: 2\n    brightness: [-1, 1]",
        "error: `preprocess.augment.brightness` is [-1, 1]; it must be two factors from 0 to 255, the lower first (FILE, line 10)",
    ),
    in_file(
        "a tolerance in percent",
        "pets.json }",
        "pets.json, tolerance: 2 }",
        "error: `report.gate.tolerance` is 2; it must be at least 0 and below 1 (FILE, line 19)",
    ),
    in_file(
        "a loss tolerance below zero",
        "pets.json }",
        "pets.json, loss_tolerance: -0.5 }",
        "error: `report.gate.loss_tolerance` is -0.5; it must be from 0 to 1000 (FILE, line 19)",
    ),
    in_file(
        "a gate without images",
        "pets.json }",
        "pets.json, minimum_images: 0 }",
        "error: `report.gate.minimum_images` is 0; it must be from 1 to 100000000 (FILE, line 19)",
    ),
    in_file(
        "an unclosed bracket",
        "height: 48 }",
        "height: 48",
        "error: the pipeline file `FILE` is not valid YAML (line 5)\n  caused by: did not find expected ',' or '}' at line 5 column 8, while parsing a flow mapping at line 4 column 10\n  hint: check the indentation, the colons (`key: value`) and the brackets around that line",
    ),
    in_file(
        "a tab",
        "    copies: 2",
        "\tcopies: 2",
        "error: the pipeline file `FILE` is not valid YAML (line 9)\n  caused by: found character that cannot start any token at line 9 column 1, while scanning for the next token\n  hint: indent with spaces: YAML does not allow tabs",
    ),
    in_file(
        "several at once",
        "    validation: 0.2\n    test: 0.1",
        "    validaton: 0.2\n    test: lots\n    seed: -1",
        "error: the pipeline file `FILE` has 3 problems\n  caused by: line 6: unknown key `preprocess.split.validaton`; did you mean `validation`? the keys of `preprocess.split` are `validation`, `test`, `seed`, `near_duplicates`, `keep`, `group_by`\n  caused by: line 7: `preprocess.split.test` is the text `lots`; it must be a number\n  caused by: line 8: `preprocess.split.seed` is `-1`; it must be a whole number from 0 to 9007199254740991\n  hint: docs/pipeline-file.md describes every key",
    ),
    in_set(
        "no equals sign",
        &["train.batch_size"],
        "error: cannot apply `--set train.batch_size`\n  caused by: there is no `=`\n  hint: write it as in `--set train.batch_size=64`",
    ),
    in_set(
        "no key",
        &["=3"],
        "error: cannot apply `--set =3`\n  caused by: a part of the key is empty\n  hint: write it as in `--set train.batch_size=64`",
    ),
    in_set(
        "a key that ends in a dot",
        &["train.=3"],
        "error: cannot apply `--set train.=3`\n  caused by: a part of the key is empty\n  hint: write it as in `--set train.batch_size=64`",
    ),
    in_set(
        "an unknown key",
        &["train.bach_size=3"],
        "error: unknown key `train.bach_size` (given with --set train.bach_size=3)\n  hint: did you mean `batch_size`? the keys of `train` are `seed`, `batch_size`, `device`, `precision`, `models`",
    ),
    in_set(
        "a wrong type",
        &["train.batch_size=many"],
        "error: `train.batch_size` is the text `many`; it must be a whole number from 1 to 65536 (given with --set train.batch_size=many)",
    ),
    in_set(
        "an impossible value",
        &["train.batch_size=0"],
        "error: `train.batch_size` is 0; it must be from 1 to 65536 (given with --set train.batch_size=0)",
    ),
    in_set(
        "a key inside a value",
        &["name.first=3"],
        "error: cannot apply `--set name.first=3`\n  caused by: `name` is not a section: there is no key inside it",
    ),
    in_set(
        "no YAML",
        &["train.batch_size=[3"],
        "error: cannot apply `--set train.batch_size=[3`\n  caused by: did not find expected ',' or ']' at line 2 column 1, while parsing a flow sequence\n  hint: the value is read as YAML: put text with special characters in quotes",
    ),
    in_set(
        "a model nobody has named",
        &["train.models.resnett.epochs=3"],
        "error: `train.models.resnett.architecture` is missing (given with --set train.models.resnett.epochs=3)\n  hint: did you mean `resnet`? the file's keys in `train.models` are `baseline`, `resnet`",
    ),
    in_set(
        "no models",
        &["train.models={}"],
        "error: `train.models` has no model (given with --set train.models={})\n  hint: add one, as `baseline: { architecture: baseline-cnn }`",
    ),
    in_set(
        "an empty output",
        &["output=''"],
        "error: `output` is empty; it must be the path of a file or directory (given with --set output='')",
    ),
    in_set(
        "two that are wrong",
        &["train.seed=-1", "train.models.resnet.epochs=0"],
        "error: the pipeline file `FILE` with its overrides has 2 problems\n  caused by: given with --set train.seed=-1: `train.seed` is `-1`; it must be a whole number from 0 to 9007199254740991\n  caused by: given with --set train.models.resnet.epochs=0: `train.models.resnet.epochs` is 0; it must be from 1 to 1000000\n  hint: docs/pipeline-file.md describes every key",
    ),
];

#[test]
fn mistakes_are_answered_with_key_line_and_hint() {
    let mut wrong = String::new();
    for Mistake { name, replace, with, set, answer } in MISTAKES {
        assert!(GOOD.contains(replace), "{name}: the good file has no `{replace}`");
        let content = if replace.is_empty() { GOOD.to_owned() } else { GOOD.replacen(replace, with, 1) };
        let error = load(content.as_bytes(), set).expect_err(name);
        if error != *answer {
            wrong += &format!("--- {name}\n{error}\n");
        }
    }
    assert!(wrong.is_empty(), "these answers differ:\n{wrong}");
}

#[test]
fn files_that_are_no_pipeline_files_are_named() {
    let bomb: String = (1..9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
        let alias = format!("*a{}", level - 1);
        text + &format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 9].join(", "))
    });
    for (name, content, answer) in [
        ("nothing", &b""[..], "error: the pipeline file `FILE` is empty"),
        ("comments only", b"# name: pets\n\n", "error: the pipeline file `FILE` is empty"),
        ("a list", b"- name: pets\n", "error: the file is a list; it must be a section"),
        ("text", b"pets", "error: the file is the text `pets`; it must be a section"),
        (
            "bytes",
            b"name: pets\nsource: \xff\xfe",
            "error: cannot read the pipeline file `FILE`\n  caused by: line 2 is not UTF-8",
        ),
        (
            "a picture",
            b"\x89PNG\r\n\x1a\n\0\0",
            "error: cannot read the pipeline file `FILE`\n  caused by: line 1 is not UTF-8",
        ),
        ("zeros", b"\0\0\0\0", "error: the pipeline file `FILE` is not valid YAML"),
        ("two documents", b"name: a\n---\nname: b\n", "error: the pipeline file `FILE` is not valid YAML"),
        ("an unknown alias", b"name: *other\n", "error: the pipeline file `FILE` is not valid YAML"),
        ("a flood of aliases", bomb.as_bytes(), "error: the pipeline file `FILE` is not valid YAML"),
        ("an alias to itself", b"a: &a [*a]\n", "error: the pipeline file `FILE` is not valid YAML"),
        ("a merge into itself", b"a: &a { <<: *a }\n", "error: the pipeline file `FILE` is not valid YAML"),
        ("brackets in brackets", &[b'['; 100_000], "error: the pipeline file `FILE` is not valid YAML"),
        ("lists in lists", "- ".repeat(100_000).as_bytes(), "error: the pipeline file `FILE` is not valid YAML"),
        ("a large file", &[b'#'; 300_000], "error: cannot read the pipeline file `FILE`\n  caused by: it is larger"),
    ] {
        let error = load(content, &[]).expect_err(name);
        assert!(error.starts_with(answer), "{name}: {error}");
    }
}

#[test]
fn files_that_cannot_be_opened_are_named() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let missing = directory.path().join("missing.yaml");
    for (name, file, cause) in [
        (
            "missing",
            missing.as_path(),
            "No such file or directory (os error 2)\n  hint: name a pipeline file with `--pipeline FILE`",
        ),
        ("a directory", directory.path(), "it is a directory\n  hint: name the YAML file inside it"),
    ] {
        let error = Pipeline::load(file, &[]).expect_err(name).to_string();
        let start = format!("error: cannot read the pipeline file `{}`\n  caused by: {cause}", file.display());
        assert!(error.starts_with(&start), "{name}: {error}");
    }
}

proptest! {
    /// Pieces of a good file in any order, doubled and cut: an error or a pipeline, never a panic; and a pipeline that is
    /// written out and read again is the same.
    #[test]
    fn whatever_is_read_is_whole(cuts in prop::collection::vec((0..GOOD.len(), 0..40usize, 0..GOOD.len()), 0..4),
                                 junk in "[ :{}\\[\\],&*a-z0-9.\n-]{0,6}") {
        let mut text = GOOD.to_owned();
        for (from, length, to) in cuts {
            let from = from.min(text.len());
            let piece: String = text.drain(from..(from + length).min(text.len())).collect();
            text.insert_str(to.min(text.len()), &piece);
            text.insert_str(from.min(text.len()), &junk);
        }
        if let Ok(pipeline) = load(text.as_bytes(), &[]) {
            let written = serde_yaml::to_string(&pipeline).expect("YAML");
            prop_assert_eq!(load(written.as_bytes(), &[]), Ok(pipeline));
        }
    }
}

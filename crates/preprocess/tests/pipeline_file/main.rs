//! The pipeline file as a person meets it: what is read, and what each mistake is answered with.
#![allow(clippy::expect_used)] // helpers of tests

mod mistakes;

use preprocess::pipeline::{Architecture, Copies, Fill, Pipeline};
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
fn augmentation_in_sections_has_the_defaults_that_the_libraries_have() {
    let augment = good(&[]).preprocess.augment;
    assert_eq!((augment.random_resized_crop, augment.rand_augment, augment.color), (None, None, None));
    assert_eq!((augment.trivial_augment, augment.grayscale, augment.blur), (false, 0.0, None));
    let augment = good(&[
        "preprocess.augment.random_resized_crop.area=[0.08, 1]",
        "preprocess.augment.rand_augment.magnitude=15",
        "preprocess.augment.color={ hue: 0.1 }",
        "preprocess.augment.grayscale=0.25",
        "preprocess.augment.blur={ probability: 0.5 }",
    ])
    .preprocess
    .augment;
    let crop = augment.random_resized_crop.expect("a crop");
    assert_eq!((crop.area, crop.aspect), ([0.08, 1.0], [0.75, 1.3333]));
    assert_eq!(augment.rand_augment.map(|policy| (policy.ops, policy.magnitude)), Some((2, 15)));
    assert_eq!(augment.color.map(|color| (color.contrast, color.saturation, color.hue)), Some((0.0, 0.0, 0.1)));
    assert_eq!(augment.grayscale, 0.25);
    assert_eq!(augment.blur.map(|blur| (blur.probability, blur.sigma)), Some((0.5, [0.1, 2.0])));
    assert!(good(&["preprocess.augment.trivial_augment=true"]).preprocess.augment.trivial_augment);
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
    assert_eq!((pipeline.preprocess.augment.copies, pipeline.report.gate), (Copies::Stored(0), None));
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
    /// Pieces of a good file in any order, doubled and cut: an error or a pipeline, never a panic; and a pipeline that
    /// is written out and read again is the same.
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

#[test]
fn what_is_wrong_with_settings_is_of_that_kind() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = directory.path().join("a.yaml");
    for content in
        ["", "nme: x", "[", &GOOD.replace("epochs: 40", "epochs: 0"), &GOOD.replace("epochs: 40", "a: 1, b: 2")]
    {
        std::fs::write(&file, content).expect("written");
        let error = Pipeline::load(&file, &[]).expect_err(content);
        assert_eq!(error.kind(), preprocess::ErrorKind::Settings, "{content}: {error}");
    }
    let missing = Pipeline::load(&directory.path().join("none.yaml"), &[]).expect_err("no file");
    assert_eq!(missing.kind(), preprocess::ErrorKind::Other, "{missing}");
}

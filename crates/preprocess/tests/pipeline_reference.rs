//! Keeps docs/pipeline-file.md and the settings in step: its keys are the keys, its defaults the defaults, its ranges
//! the ranges.
#![allow(clippy::expect_used)] // helpers of tests

use preprocess::pipeline::Pipeline;
use serde_yaml::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const REFERENCE: &str = include_str!("../../../docs/pipeline-file.md");

const LEAST: &str = "name: p\npreprocess: { source: d }\ntrain: { models: { m: { architecture: resnet } } }\n";

/// What has to be set before the other keys of its section, or keys that depend on it, can be.
const OPTIONAL_SECTIONS: &[&str] = &[
    "report.gate.baseline=b",
    "report.gate.minimum_images=1",
    "train.models.m.early_stopping.patience=3",
    "train.models.m.pretrained=w.safetensors",
    "train.models.m.tune=all",
    "train.models.m.backbone_rate=1",
    "train.models.m.layer_decay=1",
    "train.models.m.schedule=cosine",
    "train.models.m.restarts.epochs=1",
    "train.models.m.class_weights=balanced",
    "train.models.m.mixup.alpha=0.2",
    "train.models.m.cutmix.alpha=1",
    "train.models.m.random_erasing.probability=0.25",
    "preprocess.augment.copies=1",
    "preprocess.augment.random_resized_crop={}",
    "preprocess.augment.rand_augment={}",
    "preprocess.augment.color={}",
    "preprocess.augment.blur.probability=1",
    "preprocess.corrections=c.csv",
    "preprocess.split.keep=k.csv",
    "preprocess.split.group_by=g.csv",
];

/// Keys of which not every value is possible unless another key has this one.
const NEEDED: &[(&str, &str)] = &[
    ("train.models.m.copies", "train.models.m.augmented=true"),
    ("train.models.m.tune", "train.models.m.backbone_rate=null"),
    ("train.models.m.tune", "train.models.m.layer_decay=null"),
    ("train.models.m.tune", "train.models.m.mixup=null"),
    ("train.models.m.tune", "train.models.m.cutmix=null"),
    ("train.models.m.tune", "train.models.m.random_erasing=null"),
    ("train.models.m.tune", "train.models.m.restarts=null"),
    ("train.models.m.momentum", "train.models.m.optimizer=sgd"),
    ("train.models.m.schedule", "train.models.m.restarts=null"),
    ("train.models.m.sampler", "train.models.m.class_weights=null"),
    ("train.models.m.logit_adjustment", "train.models.m.class_weights=null"),
    ("train.models.m.mixup.probability", "train.models.m.cutmix=null"),
    ("train.models.m.cutmix.probability", "train.models.m.mixup=null"),
    ("train.batch_size", "train.models.m.mixup=null"),
    ("train.batch_size", "train.models.m.cutmix=null"),
    ("preprocess.augment.trivial_augment", "preprocess.augment.rand_augment=null"),
    ("preprocess.augment.copies", "preprocess.augment.random_resized_crop=null"),
];

struct Row {
    key: String,
    values: String,
    default: String,
}

/// The rows of all tables of keys; the tables behind them are about other things.
fn rows() -> Vec<Row> {
    let (keys, _) = REFERENCE.split_once("\n## Overrides\n").expect("a section behind the keys");
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows = keys.lines().filter(|line| line.starts_with("| `")).map(cells);
    rows.map(|row| match row.as_slice() {
        [key, values, default, _] => Row {
            key: key.trim_matches('`').replace("<model>", "m"),
            values: values.clone(),
            default: default.trim_matches('`').to_owned(),
        },
        _ => panic!("a row of {} cells: {row:?}", row.len()),
    })
    .collect()
}

fn load(overrides: &[String]) -> Result<Pipeline, String> {
    let directory = tempfile::tempdir().expect("temporary directory");
    let file: PathBuf = directory.path().join("p.yaml");
    std::fs::write(&file, LEAST).expect("written");
    Pipeline::load(&file, overrides).map_err(|error| error.to_string())
}

fn with_optional_sections(more: &[String]) -> Result<Pipeline, String> {
    load(&OPTIONAL_SECTIONS.iter().map(|&set| set.to_owned()).chain(more.iter().cloned()).collect::<Vec<_>>())
}

/// Every key that has a value.
fn keys_of(pipeline: &Pipeline) -> BTreeMap<String, Value> {
    fn collect(path: &str, value: &Value, keys: &mut BTreeMap<String, Value>) {
        match value {
            Value::Mapping(section) => {
                for (key, value) in section {
                    let separator = if path.is_empty() { "" } else { "." };
                    collect(&format!("{path}{separator}{}", key.as_str().expect("text")), value, keys);
                }
            }
            Value::Null => {}
            value => _ = keys.insert(path.to_owned(), value.clone()),
        }
    }
    let mut keys = BTreeMap::new();
    collect("", &serde_yaml::to_value(pipeline).expect("YAML"), &mut keys);
    // Not written while they have their defaults.
    let augment = &pipeline.preprocess.augment;
    keys.insert("preprocess.augment.trivial_augment".to_owned(), augment.trivial_augment.into());
    keys.insert("preprocess.augment.grayscale".to_owned(), augment.grayscale.into());
    keys.insert("preprocess.split.folds".to_owned(), pipeline.preprocess.split.folds.into());
    keys.insert("preprocess.image.crop_fraction".to_owned(), pipeline.preprocess.image.crop_fraction.into());
    keys
}

/// Equal as settings: 0 and 0.0 are.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Sequence(left), Value::Sequence(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        _ => left == right,
    }
}

#[test]
fn the_reference_has_every_key_and_no_other() {
    let keys: Vec<_> = keys_of(&with_optional_sections(&[]).expect("valid")).into_keys().collect();
    let mut documented: Vec<_> = rows().into_iter().map(|row| row.key).collect();
    documented.sort();
    assert_eq!(documented, keys);
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    let least = keys_of(&load(&[]).expect("valid"));
    let sections = ["report.gate.baseline=b", "train.models.m.schedule=cosine", "train.models.m.restarts.epochs=1"];
    let mixes = ["mixup", "cutmix", "random_erasing"].map(|section| format!("train.models.m.{section}={{}}"));
    let of_copies = OPTIONAL_SECTIONS.iter().filter(|set| set.contains("augment")).copied();
    let sections = sections.into_iter().chain(of_copies).map(str::to_owned).chain(mixes);
    let in_sections = keys_of(&load(&sections.collect::<Vec<_>>()).expect("valid"));
    let required: Value = serde_yaml::from_str(LEAST).expect("YAML");
    for Row { key, default, .. } in rows() {
        if default == "none" {
            let given = key.split('.').try_fold(&required, |value, part| value.get(part)).is_some();
            assert!(given || !least.contains_key(&key), "`{key}` has a default");
            continue;
        }
        let documented: Value = serde_yaml::from_str(&default.replace("<name>", "p")).expect("YAML");
        let actual =
            least.get(&key).or_else(|| in_sections.get(&key)).unwrap_or_else(|| panic!("`{key}` has no default"));
        assert!(same(actual, &documented), "`{key}`: the default is {actual:?}, documented is {default}");
    }
}

/// Values that the cell says are possible, and values that it says are not.
fn examples(values: &str) -> (Vec<String>, Vec<String>) {
    let is_choice = |part: &&str| part.starts_with('`') && part.ends_with('`') && part.matches('`').count() == 2;
    if values.split(", ").all(|part| is_choice(&part)) {
        return (
            values.split(", ").map(|part| part.trim_matches('`').to_owned()).collect(),
            vec!["neither".to_owned()],
        );
    }
    let words: Vec<&str> = values.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let number = |word: &str| word.parse::<i64>().ok();
    let (mut possible, mut impossible) = (Vec::new(), Vec::new());
    for (index, word) in words.iter().enumerate() {
        let after = words.get(index + 1).and_then(|next| number(next));
        let before = index.checked_sub(1).and_then(|at| number(words[at]));
        match (*word, before, after) {
            ("to", Some(low), Some(high)) => {
                possible.extend([low, high]);
                impossible.extend([low - 1, high + 1]);
            }
            ("least", _, Some(low)) => {
                possible.push(low);
                impossible.push(low - 1);
            }
            ("below" | "above", _, Some(bound)) => impossible.push(bound),
            ("or", Some(low), _) => {
                possible.push(low);
                impossible.push(low - 1);
            }
            _ => {}
        }
    }
    let text = |numbers: Vec<i64>| numbers.iter().map(i64::to_string).collect();
    (text(possible), text(impossible))
}

#[test]
fn the_documented_values_are_the_possible_ones() {
    let mut tried = 0;
    for Row { key, values, .. } in rows() {
        let (possible, impossible) = examples(&values);
        let set = |value: &String| match values.starts_with("two") {
            true => format!("{key}=[{value}, {value}]"),
            false => format!("{key}={value}"),
        };
        let needed: Vec<String> =
            NEEDED.iter().filter(|(of, _)| *of == key).map(|(_, needed)| (*needed).to_owned()).collect();
        let with = |value: &String| with_optional_sections(&[needed.clone(), vec![set(value)]].concat());
        for value in &possible {
            with(value).unwrap_or_else(|error| panic!("`{key}` cannot be {value}: {error}"));
        }
        for value in &impossible {
            with(value).expect_err(&format!("`{key}` can be {value}"));
        }
        tried += usize::from(!possible.is_empty() || !impossible.is_empty());
    }
    let paths = [
        "output",
        "preprocess.source",
        "preprocess.corrections",
        "preprocess.split.keep",
        "report.gate.baseline",
        "train.models.m.pretrained",
    ];
    let untried = paths.len() + ["name", "preprocess.split.group_by"].len();
    assert_eq!(tried, rows().len() - untried);
}

#[test]
fn the_examples_are_valid() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = directory.path().join("mine.yaml");
    let least = REFERENCE.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let merged = REFERENCE.split("```yaml\n").nth(2).and_then(|rest| rest.split("```").next()).expect("an example");
    std::fs::write(&file, least).expect("written");
    Pipeline::load(Path::new(&file), &[]).unwrap_or_else(|error| panic!("{error}"));
    std::fs::write(&file, format!("name: m\npreprocess: {{ source: d, augment: {{ copies: 1 }} }}\n{merged}"))
        .expect("written");
    let pipeline = Pipeline::load(Path::new(&file), &[]).unwrap_or_else(|error| panic!("{error}"));
    assert!(pipeline.train.models["resnet-augmented"].augmented);
}

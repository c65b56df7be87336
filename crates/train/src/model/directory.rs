//! A model on disk: `model.safetensors`, `config.json`, `preprocessor_config.json`, `history.csv`, `timings.csv`,
//! `margins.parquet`,
//! `predictions-<split>.parquet`, `checkpoint/`.
//!
//! `config.json` is written last, carries a checksum of itself and names the other files with theirs: a directory that
//! has one holds a whole model. The weights carry PyTorch's names and layouts (convolution OIHW, linear `[out, in]`).

use crate::model::ecosystem;
use crate::model::history::{HISTORY_FILE, TIMINGS_CHECKSUM_FILE, TIMINGS_FILE};
use crate::model::margins::MARGINS_FILE;
use crate::model::predictions::predictions_file;
use crate::model::pretrained::PretrainedRecord;
use crate::network::architectures;
use crate::network::graph::Graph;
use crate::tensor::arrays::{self, Array};
use indexmap::IndexMap;
use preprocess::pipeline::{Architecture, ImageSettings, ModelSettings, Split, limits};
use preprocess::stage::atomic_file::{sweep_leftovers, write_atomically, write_error};
use preprocess::stage::error::Context;
use preprocess::stage::files;
use preprocess::stage::fingerprint;
use preprocess::stage::sealed::{self, Unsealed};
use preprocess::{Error, ErrorKind, Result};
use std::collections::HashSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Component, Path};

/// File name in a model's directory.
pub(crate) const CONFIG_FILE: &str = "config.json";
/// File name in a model's directory.
pub(crate) const WEIGHTS_FILE: &str = "model.safetensors";
/// File name in a model's directory.
pub(crate) const PREPROCESSOR_FILE: &str = "preprocessor_config.json";

/// Changed whenever a file of the directory gets another form. A model of another format is written anew from its last
/// checkpoint, without training.
pub const FORMAT: u32 = 2;

/// `config.json`: all that is needed, beside the weights, to use the model on a raw image. Also written under timm's
/// root keys (`num_classes`, `label_names`, …).
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Config {
    /// Version of the directory's format: [`FORMAT`].
    pub format: u32,
    /// Which network.
    pub architecture: Architecture,
    /// Number of classes.
    pub num_classes: usize,
    /// Length of the vector that the last layer turns into logits.
    pub num_features: usize,
    /// Class names in the order of the logits.
    pub label_names: Vec<String>,
    /// How a raw image becomes the network's input.
    pub image: ImageSettings,
    /// Parameters that the optimiser changes.
    pub trainable_parameters: usize,
    /// Parameters that it does not: moving means and variances.
    pub non_trainable_parameters: usize,
    /// The epoch (from 1) whose weights these are: the one with the lowest validation loss.
    pub best_epoch: usize,
    /// The model's section of the pipeline file.
    pub settings: ModelSettings,
    /// Where its first weights came from, if they were not random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<PretrainedRecord>,
    /// Fingerprint of the data set it was trained on.
    pub dataset_fingerprint: String,
    /// How it was trained.
    pub run: RunRecord,
}

/// Which inputs, settings and version made a model.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RunRecord {
    /// Version of the program.
    pub version: String,
    /// `train.seed` of the pipeline file.
    pub seed: u64,
    /// `train.batch_size` of the pipeline file.
    pub batch_size: usize,
    /// Epochs that were trained.
    pub epochs: usize,
    /// BLAKE3 over all that determines the weights after each epoch.
    pub fingerprint: String,
    /// BLAKE3 of each of the directory's other files, in hexadecimal, by name.
    pub files: IndexMap<String, String>,
}

impl Config {
    /// Reads `config.json` of a model's directory.
    ///
    /// # Errors
    /// Missing, malformed, not as it was written, of another format, or with numbers that no model has.
    pub fn read(model_directory: &Path) -> Result<Self> {
        const AGAIN: &str = "run `train` with the same pipeline file: it writes the file anew from the last checkpoint";
        let file = model_directory.join(CONFIG_FILE);
        let refuse = |what: &str, reason: String, hint: &str| {
            let error = Error::new(format!("`{}` {what}", file.display())).of_kind(ErrorKind::Damaged);
            Err(error.because(reason).hint(hint))
        };
        let config: Self = match sealed::read(&file) {
            Ok(config) => config,
            Err(Unsealed::Missing) => {
                let hint =
                    "a model's directory holds `config.json`, written when its training ended; run `train` first";
                return Err(Error::new(format!("cannot read `{}`: there is no such file", file.display())).hint(hint));
            }
            Err(Unsealed::Unreadable(reason)) => return refuse("is not a model's configuration", reason, AGAIN),
            Err(Unsealed::Altered(reason)) => {
                let hint = format!("no key of it is meant to be edited: undo the change, or {AGAIN}");
                return refuse("is not as it was written", reason, &hint);
            }
        };
        match impossible(&config) {
            Some(reason) => refuse("describes no possible model", reason, AGAIN),
            None => Ok(config),
        }
    }

    /// The network's description.
    ///
    /// # Errors
    /// The images are too small for it.
    pub(crate) fn graph(&self) -> Result<Graph> {
        let size = [self.image.width, self.image.height];
        let graph = architectures::graph(self.architecture, self.num_classes, size)?;
        Ok(graph.standardized(self.pretrained.as_ref().and_then(PretrainedRecord::standardization)))
    }

    /// Writes `preprocessor_config.json` and then `config.json`, with the checksums of the directory's files of these
    /// names.
    ///
    /// # Errors
    /// One of the files is missing; the disk refuses.
    pub fn write(&self, model_directory: &Path, files: &[String]) -> Result<()> {
        let graph = self.graph()?;
        write_json(&model_directory.join(PREPROCESSOR_FILE), &ecosystem::preprocessor(&self.image, &graph))?;
        let mut config = self.clone();
        for name in files {
            config.run.files.insert(name.clone(), fingerprint::of_file(&model_directory.join(name))?);
        }
        let file = model_directory.join(CONFIG_FILE);
        let mut value = serde_json::to_value(config).context(|| format!("cannot encode `{}`", file.display()))?;
        value["global_pool"] = ecosystem::global_pool(&graph).into();
        value["model_args"] = ecosystem::model_args(&graph);
        value["pretrained_cfg"] = ecosystem::pretrained_cfg(&self.image, &graph);
        sealed::write(&file, &value)
    }

    /// Holds one of the directory's files against the checksum that `config.json` vouches for it with.
    ///
    /// # Errors
    /// `config.json` does not name it; it is missing or was altered.
    pub fn verify(&self, model_directory: &Path, name: &str) -> Result<()> {
        self.check_file(model_directory, name, || fingerprint::of_file(&model_directory.join(name)))
    }

    /// As [`verify`](Self::verify), for a file whose content is in memory: what is used is what was verified.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub(crate) fn verify_content(&self, model_directory: &Path, name: &str, content: &[u8]) -> Result<()> {
        self.check_file(model_directory, name, || Ok(fingerprint::of_bytes(content)))
    }

    fn check_file(&self, model_directory: &Path, name: &str, checksum: impl FnOnce() -> Result<String>) -> Result<()> {
        let damaged = |reason: &str| {
            Error::new(format!("`{}` is damaged", model_directory.join(name).display()))
                .of_kind(ErrorKind::Damaged)
                .because(reason)
                .hint("copy the model's directory again as a whole, or run `train` again")
        };
        let written = self.run.files.get(name).ok_or_else(|| damaged("`config.json` names no checksum for it"))?;
        if *written == checksum()? { Ok(()) } else { Err(damaged("its checksum is not the one in `config.json`")) }
    }
}

/// What is impossible about a configuration that is as it was written, if anything is: a right checksum says nothing
/// about who computed it, and sizes from a file decide about memory.
fn impossible(config: &Config) -> Option<String> {
    let run = &config.run;
    let numbers: [(&str, usize, RangeInclusive<usize>); 8] = [
        ("format", config.format as usize, FORMAT as usize..=FORMAT as usize),
        ("num_classes", config.num_classes, 2..=config.label_names.len()),
        ("image.width", config.image.width, limits::IMAGE_SIDE),
        ("image.height", config.image.height, limits::IMAGE_SIDE),
        ("settings.epochs", config.settings.epochs, limits::EPOCHS),
        ("run.batch_size", run.batch_size, limits::BATCH_SIZE),
        ("run.epochs", run.epochs, limits::EPOCHS),
        ("best_epoch", config.best_epoch, 1..=run.epochs),
    ];
    let outside = numbers.into_iter().find(|(_, number, range)| !range.contains(number));
    if let Some((key, number, range)) = outside {
        return Some(match key {
            "format" => format!("its format is {number}, this program's is {FORMAT}"),
            _ => format!("`{key}` is {number}; it must be from {} to {}", range.start(), range.end()),
        });
    }
    let (part, range) = (config.image.crop_fraction, limits::CROP_FRACTION);
    if !range.contains(&part) {
        return Some(format!("`image.crop_fraction` is {part}; it must be from {} to {}", range.start(), range.end()));
    }
    if config.label_names.len() != config.num_classes {
        let names = config.label_names.len();
        return Some(format!("`num_classes` is {} and `label_names` holds {names} names", config.num_classes));
    }
    let mut names = HashSet::new();
    if let Some(twice) = config.label_names.iter().find(|name| !names.insert(*name)) {
        return Some(format!("`label_names` holds `{twice}` twice"));
    }
    let plain = |name: &str| matches!(Path::new(name).components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
    run.files.keys().find(|name| !plain(name)).map(|name| format!("`run.files` names `{name}`, which is no file name"))
}

fn write_json(file: &Path, value: &serde_json::Value) -> Result<()> {
    let text = format!("{value:#}\n");
    write_atomically(file, |writer| writer.write_all(text.as_bytes()))
}

/// Takes `config.json` away: the directory no longer claims to hold a finished model. Creates the directory if it is
/// missing, and sweeps what a killed run left.
///
/// # Errors
/// The disk refuses.
pub(crate) fn unfinish(model_directory: &Path) -> Result<()> {
    fs::create_dir_all(model_directory).map_err(|error| write_error(model_directory, error))?;
    sweep_leftovers(model_directory)?;
    files::remove_if_present(&model_directory.join(CONFIG_FILE))
}

/// Removes the files that an earlier run wrote into the directory; its checkpoints have gone before.
///
/// # Errors
/// The disk refuses.
pub(crate) fn clear(model_directory: &Path) -> Result<()> {
    unfinish(model_directory)?;
    let files = [WEIGHTS_FILE, PREPROCESSOR_FILE, HISTORY_FILE, MARGINS_FILE, TIMINGS_FILE, TIMINGS_CHECKSUM_FILE];
    let files = files.map(|name| model_directory.join(name));
    let predictions = Split::ALL.map(|split| predictions_file(model_directory, split));
    files.iter().chain(&predictions).try_for_each(|file| files::remove_if_present(file))
}

/// Writes `model.safetensors`.
///
/// # Errors
/// The disk refuses.
pub(crate) fn write_weights(model_directory: &Path, weights: &[Array]) -> Result<()> {
    let file = model_directory.join(WEIGHTS_FILE);
    // Some readers refuse a file that does not say which framework's layout it has.
    let bytes = arrays::encode(weights.iter().map(|array| (&array.name, array)), &[("format", "pt".into())])
        .context(|| format!("cannot encode `{}`", file.display()))?;
    write_atomically(&file, |writer| writer.write_all(&bytes))
}

/// Reads the arrays of `model.safetensors`, held against `config`.
///
/// # Errors
/// Missing, altered, truncated, or with values that are not finite: the array is named.
pub(crate) fn read_weights(model_directory: &Path, config: &Config) -> Result<Vec<Array>> {
    let file = model_directory.join(WEIGHTS_FILE);
    let bytes = files::read(&file).context(|| format!("cannot read `{}`", file.display()));
    let bytes = bytes.map_err(|error| error.hint(WEIGHTS_HINT))?;
    config.verify_content(model_directory, WEIGHTS_FILE, &bytes)?;
    let (arrays, _) = arrays::decode(&bytes).map_err(|reason| misfit(model_directory, reason))?;
    match arrays.iter().find(|array| !array.is_finite()) {
        None => Ok(arrays),
        Some(array) => Err(Error::new(format!("the weights in `{}` cannot be used", file.display()))
            .of_kind(ErrorKind::Damaged)
            .because(format!("`{}` holds values that are not finite numbers", array.name))
            .hint("train the model again, with a lower learning rate if training diverged")),
    }
}

/// Exactly the arrays of `expected` (names and shapes), in that order, out of those of `model.safetensors`.
///
/// # Errors
/// Other arrays than the network's: all that are missing, extra or of another shape are named.
pub(crate) fn pick_weights(
    model_directory: &Path,
    found: Vec<Array>,
    expected: &[(String, Vec<usize>)],
) -> Result<Vec<Array>> {
    pick(found, expected).map_err(|reason| misfit(model_directory, reason))
}

const WEIGHTS_HINT: &str =
    "the model's directory is damaged or mixed from two models: run `train` again, or copy it whole";

fn misfit(model_directory: &Path, reason: String) -> Error {
    misfit_while(model_directory, Error::new(reason).of_kind(ErrorKind::Damaged))
}

/// The weights are not those of the network that `config.json` describes: `error` came of making it.
pub(crate) fn misfit_while(model_directory: &Path, error: Error) -> Error {
    let file = model_directory.join(WEIGHTS_FILE);
    error.while_doing(format!("`{}` does not fit its `{CONFIG_FILE}`", file.display())).hint(WEIGHTS_HINT)
}

/// The arrays of `expected`, in that order.
///
/// # Errors
/// In words: an array missing, too many, or of another shape.
pub(crate) fn pick(found: Vec<Array>, expected: &[(String, Vec<usize>)]) -> Result<Vec<Array>, String> {
    let mut found: IndexMap<String, Array> = found.into_iter().map(|array| (array.name.clone(), array)).collect();
    let mut problems = Vec::new();
    let mut arrays = Vec::with_capacity(expected.len());
    for (name, shape) in expected {
        match found.shift_remove(name) {
            None => problems.push(format!("`{name}` is missing")),
            Some(array) if array.shape != *shape => {
                problems.push(format!("`{name}` has shape {:?} where {shape:?} is needed", array.shape));
            }
            Some(array) => arrays.push(array),
        }
    }
    problems.extend(found.keys().map(|name| format!("`{name}` is none of the network's")));
    if problems.is_empty() { Ok(arrays) } else { Err(problems.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use preprocess::pipeline::{Filter, Fit};
    use serde_json::json;

    fn config() -> Config {
        Config {
            format: FORMAT,
            architecture: Architecture::Resnet,
            num_classes: 2,
            num_features: 6,
            label_names: vec!["cat".into(), "猫 \"2\"".into()],
            image: ImageSettings { width: 30, height: 20, fit: Fit::Crop, crop_fraction: 0.9, filter: Filter::Lanczos },
            trainable_parameters: 14,
            non_trainable_parameters: 0,
            best_epoch: 2,
            pretrained: None,
            settings: ModelSettings { augmented: true, epochs: 5, ..ModelSettings::new(Architecture::Resnet) },
            dataset_fingerprint: "d".into(),
            run: RunRecord {
                version: "0.1.0".into(),
                seed: u64::MAX,
                batch_size: 32,
                epochs: 5,
                fingerprint: "f".into(),
                files: IndexMap::from([("history.csv".into(), fingerprint::of_bytes(b""))]),
            },
        }
    }

    fn weights() -> Vec<Array> {
        vec![
            Array { name: "dense.weight".into(), shape: vec![2, 3], values: vec![1.0; 6] },
            Array { name: "dense.bias".into(), shape: vec![2], values: vec![0.5, -0.5] },
        ]
    }

    fn shapes(weights: &[Array]) -> Vec<(String, Vec<usize>)> {
        weights.iter().map(|array| (array.name.clone(), array.shape.clone())).collect()
    }

    #[test]
    fn the_configuration_comes_back_and_speaks_timm() {
        let directory = tempfile::tempdir().unwrap();
        let published = Config { run: RunRecord { files: IndexMap::new(), ..config().run }, ..config() };
        fs::write(directory.path().join(HISTORY_FILE), "").unwrap();
        published.write(directory.path(), &[HISTORY_FILE.into()]).unwrap();
        assert_eq!(Config::read(directory.path()).unwrap(), config());
        let read = |name: &str| -> serde_json::Value {
            serde_json::from_slice(&fs::read(directory.path().join(name)).unwrap()).unwrap()
        };
        let (timm, transformers) = (read(CONFIG_FILE), read(PREPROCESSOR_FILE));
        assert_eq!(timm["architecture"], "resnet");
        assert_eq!(timm["pretrained_cfg"]["input_size"], json!([3, 20, 30]));
        assert_eq!(timm["pretrained_cfg"]["crop_mode"], "center");
        assert_eq!(transformers["size"], json!({"height": 20, "width": 30}));
        assert_eq!(transformers["resample"], 1);
    }

    /// Writes a configuration as a program that computes the checksum would.
    fn sealed_as(directory: &Path, text: &str) {
        fs::write(directory.join(CONFIG_FILE), sealed::seal(text).unwrap()).unwrap();
    }

    #[test]
    fn bad_configurations_are_refused_by_name() {
        let whole = serde_json::to_string(&config()).unwrap();
        for (name, text, says) in [
            ("a key missing", "{\"architecture\": \"resnet\"}".into(), "missing field"),
            ("an unknown network", whole.replacen("resnet", "vgg", 1), "unknown variant"),
            ("a class too few", whole.replace("\"num_classes\":2", "\"num_classes\":3"), "`num_classes` is 3"),
            ("a class twice", whole.replace("猫 \\\"2\\\"", "cat"), "`cat` twice"),
            ("another format", whole.replace("\"format\":2", "\"format\":1"), "its format is 1"),
            (
                "nothing of an image",
                whole.replace("\"crop_fraction\":0.9", "\"crop_fraction\":0"),
                "`image.crop_fraction` is 0",
            ),
            ("a huge image", whole.replace("\"width\":30", "\"width\":4294967296"), "`image.width` is 4294967296"),
            ("no image", whole.replace("\"height\":20", "\"height\":0"), "`image.height` is 0"),
            ("an epoch that never was", whole.replace("\"best_epoch\":2", "\"best_epoch\":6"), "`best_epoch` is 6"),
            ("a path", whole.replace("\"history.csv\"", "\"../history.csv\""), "`../history.csv`"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            sealed_as(directory.path(), &text);
            let error = Config::read(directory.path()).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains(CONFIG_FILE) && error.contains("hint"), "{name}: {error}");
        }
    }

    #[test]
    fn an_edited_configuration_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        sealed_as(directory.path(), &serde_json::to_string(&config()).unwrap());
        let text = fs::read_to_string(directory.path().join(CONFIG_FILE)).unwrap();
        for (name, edited) in [
            ("cut short", text[..text.len() / 2].to_owned()),
            ("another name", text.replace("cat", "dog")),
            ("a key more", text.replacen('{', "{\"note\": \"mine\",", 1)),
            ("no checksum", serde_json::to_string(&config()).unwrap()),
        ] {
            fs::write(directory.path().join(CONFIG_FILE), edited).unwrap();
            let error = Config::read(directory.path()).unwrap_err().to_string();
            assert!(error.contains("is not as it was written") && error.contains("undo the change"), "{name}: {error}");
        }
    }

    /// `config.json` of these weights, without the network that they are for.
    fn written(directory: &Path, weights: &[Array]) -> Config {
        write_weights(directory, weights).unwrap();
        Config { run: RunRecord { files: IndexMap::new(), ..config().run }, ..config() }
            .write(directory, &[WEIGHTS_FILE.into()])
            .unwrap();
        Config::read(directory).unwrap()
    }

    #[test]
    fn weights_come_back_in_the_networks_order() {
        let directory = tempfile::tempdir().unwrap();
        let config = written(directory.path(), &weights());
        let read = read_weights(directory.path(), &config).unwrap();
        assert_eq!(pick_weights(directory.path(), read, &shapes(&weights())).unwrap(), weights());
    }

    #[test]
    fn weights_that_are_no_numbers_are_refused_array_by_array() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let directory = tempfile::tempdir().unwrap();
            let mut weights = weights();
            weights[1].values[1] = value;
            let config = written(directory.path(), &weights);
            let error = read_weights(directory.path(), &config).unwrap_err().to_string();
            assert!(error.contains("`dense.bias` holds values that are not finite"), "{error}");
        }
    }

    #[test]
    fn weights_of_another_network_are_refused_array_by_array() {
        let other = [("dense.weight".to_owned(), vec![4, 3]), ("conv.weight".to_owned(), vec![1])];
        let error = pick_weights(Path::new("models/x"), weights(), &other).unwrap_err().to_string();
        for part in [
            "`dense.weight` has shape [2, 3] where [4, 3] is needed",
            "`conv.weight` is missing",
            "`dense.bias` is none of the network's",
            "model.safetensors",
        ] {
            assert!(error.contains(part), "{error}");
        }
        let directory = tempfile::tempdir().unwrap();
        let config = written(directory.path(), &weights());
        fs::write(directory.path().join(WEIGHTS_FILE), b"cut").unwrap();
        let error = read_weights(directory.path(), &config).unwrap_err().to_string();
        assert!(error.contains("model.safetensors") && error.contains("hint"), "{error}");
        let unnamed = Config { run: RunRecord { files: IndexMap::new(), ..config.run.clone() }, ..config };
        let error = unnamed.verify(directory.path(), WEIGHTS_FILE).unwrap_err().to_string();
        assert!(error.contains("names no checksum"), "{error}");
    }
}

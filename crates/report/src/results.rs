//! Reads what the first two stages wrote, and refuses what does not belong together.

use crate::metrics::Groups;
use preprocess::manifest::Manifest;
use preprocess::pipeline::{Pipeline, Split};
use preprocess::stage::fingerprint;
use preprocess::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;
use train::model::directory::Config;
use train::model::history::{self, EpochScores, EpochTiming, HISTORY_FILE};
use train::model::predictions::{Prediction, Predictions, predictions_file};
use train::training::succession::Succession;

/// Everything that a report is made from.
#[derive(Debug)]
pub struct Results {
    /// The pipeline file's content.
    pub pipeline: Pipeline,
    /// The data set.
    pub manifest: Manifest,
    /// In the order of the pipeline file.
    pub models: Vec<ModelResults>,
    /// What a reader of the report should know about how it came about.
    pub notes: Vec<String>,
}

/// What training left of one model.
#[derive(Debug)]
pub struct ModelResults {
    /// Its key in the pipeline file.
    pub name: String,
    /// Architecture, settings and parameters.
    pub config: Config,
    /// One an epoch.
    pub history: Vec<EpochScores>,
    /// One an epoch.
    pub timings: Vec<EpochTiming>,
    /// Validation and test, where the data set has them.
    pub predictions: BTreeMap<Split, SplitPredictions>,
}

/// One model's predictions on one split.
#[derive(Debug)]
pub struct SplitPredictions {
    /// Sorted by path, so that the rows of two models stand side by side.
    pub rows: Vec<Prediction>,
    /// BLAKE3 of the predictions file.
    pub blake3: String,
}

/// The splits that models are measured on.
pub(crate) const MEASURED: [Split; 2] = [Split::Validation, Split::Test];

impl Results {
    /// Reads the manifest and every model of the pipeline. Models that are not trained yet are an error, or with
    /// `allow_missing` a note.
    ///
    /// # Errors
    /// Files missing or malformed; results of another data set, other classes or other images.
    pub fn load(pipeline: &Pipeline, allow_missing: bool) -> Result<Self> {
        let manifest = Manifest::read(&pipeline.shards_dir())?;
        let mut results = Self { pipeline: pipeline.clone(), manifest, models: Vec::new(), notes: Vec::new() };
        for name in pipeline.train.models.keys() {
            let directory = pipeline.model_dir(name);
            if allow_missing && !directory.join("config.json").exists() {
                results.notes.push(format!("The model {name} is not trained yet and is left out."));
                continue;
            }
            let model = ModelResults::read(name, &directory, &results.manifest)?;
            results.note_other_settings(&model);
            if Succession::of(&directory).is_growing() {
                results.notes.push(format!(
                    "A newer run of the model {name} is not finished; the report shows the one before it."
                ));
            }
            results.models.push(model);
        }
        if results.models.is_empty() {
            return Err(Error::new(format!("no model of the pipeline `{}` is trained", pipeline.name))
                .hint("run `train` with the same pipeline file first"));
        }
        results.check_same_images()?;
        Ok(results)
    }

    /// The split that the models are judged by: test, or validation where there is no test split.
    pub(crate) fn judged_split(&self) -> Option<Split> {
        [Split::Test, Split::Validation]
            .into_iter()
            .find(|split| self.models.iter().all(|model| model.predictions.contains_key(split)))
    }

    /// A model may have been trained with `--set`, or before the pipeline file changed; its own settings are what
    /// counts.
    fn note_other_settings(&mut self, model: &ModelResults) {
        if self.pipeline.train.models.get(&model.name) != Some(&model.config.settings) {
            self.notes.push(format!(
                "The model {} was trained with other settings than the pipeline file gives now; \
                 the report shows what it was trained with.",
                model.name
            ));
        }
    }

    /// Every model must have been measured on the same images with the same labels.
    fn check_same_images(&self) -> Result<()> {
        for split in MEASURED {
            let mut measured = self.models.iter().filter_map(|model| Some((model, model.predictions.get(&split)?)));
            let Some((first, expected)) = measured.next() else { continue };
            let named = |row: &Prediction| (row.path.clone(), row.content.clone(), row.label, row.group);
            let expected: Vec<_> = expected.rows.iter().map(named).collect();
            for (model, predictions) in measured {
                if !predictions.rows.iter().map(named).eq(expected.iter().cloned()) {
                    return Err(Error::new(format!(
                        "the models `{}` and `{}` were measured on different images of the {} split",
                        first.name,
                        model.name,
                        split.name()
                    ))
                    .hint("run `train` again with the same pipeline file, so that both predict the same data set"));
                }
            }
        }
        Ok(())
    }
}

impl ModelResults {
    /// Reads a model's directory.
    ///
    /// # Errors
    /// Not trained yet; trained on another data set; files missing or malformed.
    fn read(name: &str, directory: &Path, manifest: &Manifest) -> Result<Self> {
        if !directory.join("config.json").exists() {
            return Err(Error::new(format!(
                "the model `{name}` is not trained: `{}` has no config.json",
                directory.display()
            ))
            .hint("run `train` with the same pipeline file first, or give `--allow-missing` to report on the others"));
        }
        let config = Config::read(directory)?;
        if config.label_names != manifest.classes {
            return Err(other_data(name, "its classes are not those of the data set"));
        }
        if config.dataset_fingerprint != manifest.fingerprint {
            return Err(other_data(name, "it was trained on an earlier version of the data set"));
        }
        let mut predictions = BTreeMap::new();
        for split in MEASURED {
            let images: usize = manifest.counts.get(&split).map_or(0, |counts| counts.iter().sum());
            if images > 0 {
                let file = predictions_file(directory, split);
                let read = SplitPredictions::read(&file, manifest, split)?;
                vouched_for(&config, directory, &file)?;
                predictions.insert(split, read);
            }
        }
        vouched_for(&config, directory, Path::new(HISTORY_FILE))?;
        Ok(Self {
            name: name.to_string(),
            config,
            history: history::read_scores(directory)?,
            timings: history::read_timings(directory)?,
            predictions,
        })
    }
}

/// Holds a file of the model's directory against the checksum in `config.json`, which must have one.
fn vouched_for(config: &Config, directory: &Path, file: &Path) -> Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    if !config.run.files.contains_key(name.as_ref()) {
        return Err(Error::new(format!("nothing vouches for `{}`", directory.join(name.as_ref()).display()))
            .because("`config.json` beside it names no checksum of it")
            .hint("run `train` again with the same pipeline file"));
    }
    config.verify(directory, &name)
}

fn other_data(model: &str, cause: &str) -> Error {
    Error::new(format!("the model `{model}` does not belong to the data set in the shards directory"))
        .because(cause)
        .hint("run `train` again with the same pipeline file")
}

impl SplitPredictions {
    /// Reads a predictions file and checks it against the data set.
    fn read(file: &Path, manifest: &Manifest, split: Split) -> Result<Self> {
        if !file.exists() {
            return Err(Error::new(format!("there are no predictions at `{}`", file.display()))
                .hint("run `train` with the same pipeline file: it predicts when training ends"));
        }
        let blake3 = fingerprint::of_file(file)?;
        let Predictions { classes, rows } = Predictions::read(file)?;
        let this = Self::new(rows, blake3);
        this.check(&classes, manifest, split)
            .map_err(|error| error.while_doing(format!("`{}` does not fit the data set", file.display())))?;
        Ok(this)
    }

    /// Sorts the rows by path.
    pub(crate) fn new(mut rows: Vec<Prediction>, blake3: String) -> Self {
        rows.sort_by(|a, b| (&a.path, a.label).cmp(&(&b.path, b.label)));
        Self { rows, blake3 }
    }

    /// Classes, counts and probabilities are what the manifest says they must be.
    fn check(&self, classes: &[String], manifest: &Manifest, split: Split) -> Result<()> {
        const HINT: &str = "run `train` again with the same pipeline file";
        if classes != manifest.classes {
            return Err(Error::new("it was made for other classes").hint(HINT));
        }
        if let Some(pair) = self.rows.windows(2).find(|pair| pair[0].path == pair[1].path) {
            return Err(Error::new(format!("it holds the image `{}` twice", pair[0].path)).hint(HINT));
        }
        let mut counts = vec![0usize; classes.len()];
        for row in &self.rows {
            let sound = row.label < classes.len()
                && row.prediction < classes.len()
                && row.probabilities.len() == classes.len()
                && row.probabilities.iter().all(|p| (0.0..=1.0001).contains(p))
                && (row.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-3
                && row.probabilities.iter().all(|&p| p <= row.probabilities[row.prediction]);
            if !sound {
                return Err(Error::new(format!(
                    "its row of the image `{}` is not a prediction over {} classes",
                    row.path,
                    classes.len()
                ))
                .hint(HINT));
            }
            counts[row.label] += 1;
        }
        if manifest.counts.get(&split) != Some(&counts) {
            let images: usize = manifest.counts.get(&split).map_or(0, |counts| counts.iter().sum());
            return Err(Error::new(format!(
                "it predicts {} images of the {} split, which has {images}, or counts the classes differently",
                self.rows.len(),
                split.name()
            ))
            .hint(HINT));
        }
        Ok(())
    }

    /// Whether each image is classified rightly.
    pub(crate) fn correct(&self) -> impl Iterator<Item = bool> + '_ {
        self.rows.iter().map(|row| row.prediction == row.label)
    }

    /// Which images belong together.
    pub(crate) fn groups(&self) -> Groups {
        Groups::new(self.rows.iter().map(|row| row.group))
    }

    /// BLAKE3 over paths and labels: names the images, whatever was predicted of them.
    pub(crate) fn images_blake3(&self, classes: &[String]) -> String {
        let mut hasher = blake3::Hasher::new();
        for row in &self.rows {
            for part in [row.path.as_bytes(), classes[row.label].as_bytes()] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
        }
        hasher.finalize().to_hex().to_string()
    }
}

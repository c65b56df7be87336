//! The shards of a run, opened once for all models.

use crate::data::images::Images;
use preprocess::dataset::{Dataset, Rows};
use preprocess::manifest::Manifest;
use preprocess::pipeline::{Pipeline, PreprocessSettings, Split};
use preprocess::{Error, Result};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// What the training loop reads.
pub trait Data {
    /// Labelled images.
    type Images: Images;

    /// One copy of the training images; copy 0 is the images themselves.
    ///
    /// # Errors
    /// They cannot be read.
    fn train(&self, copy: usize) -> Result<Arc<Self::Images>>;

    /// The images on which epochs are compared; there may be none.
    fn validation(&self) -> &Arc<Self::Images>;
}

/// The rows of each split. Those of a training copy are opened (and their shards verified) when an epoch first needs
/// them.
#[derive(Debug)]
pub struct TrainingData {
    dataset: Dataset,
    validation: Arc<Rows>,
    test: Arc<Rows>,
    train: RefCell<HashMap<usize, Arc<Rows>>>,
}

impl TrainingData {
    /// Opens the shards of a pipeline.
    ///
    /// # Errors
    /// No finished shards, shards made with other settings than the pipeline file's, a shard missing or altered.
    pub fn open(pipeline: &Pipeline) -> Result<Self> {
        let dataset = Dataset::open(&pipeline.shards_dir())?;
        check_settings(&dataset.manifest().settings, &pipeline.preprocess)?;
        let validation = Arc::new(dataset.rows(Split::Validation, 0)?);
        let test = Arc::new(dataset.rows(Split::Test, 0)?);
        Ok(Self { dataset, validation, test, train: RefCell::default() })
    }

    /// What the shards hold.
    pub(crate) fn manifest(&self) -> &Manifest {
        self.dataset.manifest()
    }

    /// The images on which the model is measured; there may be none.
    pub(crate) fn test(&self) -> &Arc<Rows> {
        &self.test
    }
}

impl Data for TrainingData {
    type Images = Rows;

    /// A shard missing or altered is found here.
    fn train(&self, copy: usize) -> Result<Arc<Rows>> {
        if let Some(rows) = self.train.borrow().get(&copy) {
            return Ok(Arc::clone(rows));
        }
        let rows = Arc::new(self.dataset.rows(Split::Train, copy)?);
        self.train.borrow_mut().insert(copy, Arc::clone(&rows));
        Ok(rows)
    }

    fn validation(&self) -> &Arc<Rows> {
        &self.validation
    }
}

/// Shards of other settings would train a model that is not the one that the pipeline file describes.
fn check_settings(made: &PreprocessSettings, wanted: &PreprocessSettings) -> Result<()> {
    if made == wanted {
        return Ok(());
    }
    let value = |settings: &PreprocessSettings| serde_json::to_value(settings).unwrap_or_default();
    let (made, wanted) = (value(made), value(wanted));
    let keys = wanted.as_object().into_iter().flatten().filter(|(key, value)| made.get(key) != Some(value));
    let keys: Vec<String> = keys.map(|(key, _)| format!("`preprocess.{key}`")).collect();
    Err(Error::new("the shards were made with other settings than the pipeline file's")
        .because(format!("{} changed", keys.join(", ")))
        .hint("run `preprocess` again with the same pipeline file and the same `--set`"))
}

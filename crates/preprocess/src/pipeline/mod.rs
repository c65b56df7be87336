//! The pipeline file: one YAML document that describes one pipeline, for all three stages.

mod settings;

pub use settings::*;

use crate::Result;
use std::path::Path;

impl Pipeline {
    /// Reads `file`, applies `overrides` (`key.path=value`, as given to `--set`) and refuses unknown keys, wrong types and
    /// impossible values with the key's path, its line and the nearest valid key.
    pub fn load(file: &Path, overrides: &[String]) -> Result<Self> {
        let _ = (file, overrides);
        unimplemented!()
    }

    /// `<output>/shards`: what `preprocess` writes.
    pub fn shards_dir(&self) -> std::path::PathBuf {
        self.output.join("shards")
    }

    /// `<output>/models/<name>`: what `train` writes for one model.
    pub fn model_dir(&self, model: &str) -> std::path::PathBuf {
        self.output.join("models").join(model)
    }

    /// `<output>/report`: what `report` writes.
    pub fn report_dir(&self) -> std::path::PathBuf {
        self.output.join("report")
    }
}

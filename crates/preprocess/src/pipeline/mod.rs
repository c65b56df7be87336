//! The pipeline file: one YAML document that describes one pipeline, for all three stages.

mod overrides;
mod settings;

pub use settings::*;

use crate::Result;
use crate::stage::error::Context;
use std::path::{Path, PathBuf};

impl Pipeline {
    /// Reads `file`, applies `overrides` (`key.path=value`, as given to `--set`) and refuses unknown keys, wrong types and
    /// impossible values with the key's path, its line and the nearest valid key.
    pub fn load(file: &Path, overrides: &[String]) -> Result<Self> {
        let about = || format!("cannot read the pipeline file `{}`", file.display());
        let text = std::fs::read_to_string(file).context(about)?;
        let mut document: serde_yaml::Value = serde_yaml::from_str(&text).context(about)?;
        document.apply_merge().context(about)?;
        for given in overrides {
            overrides::apply(&mut document, given)?;
        }
        let mut pipeline: Self = serde_path_to_error::deserialize(document).context(about)?;
        if pipeline.output.as_os_str().is_empty() {
            pipeline.output = PathBuf::from("runs").join(&pipeline.name);
        }
        Ok(pipeline)
    }

    /// `<output>/shards`: what `preprocess` writes.
    pub fn shards_dir(&self) -> PathBuf {
        self.output.join("shards")
    }

    /// `<output>/models/<name>`: what `train` writes for one model.
    pub fn model_dir(&self, model: &str) -> PathBuf {
        self.output.join("models").join(model)
    }

    /// `<output>/report`: what `report` writes.
    pub fn report_dir(&self) -> PathBuf {
        self.output.join("report")
    }
}

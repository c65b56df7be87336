//! stub until merged
use preprocess::{Error, Result};
use std::path::PathBuf;
pub(crate) struct HubFiles {
    pub weights: PathBuf,
    pub config: Option<PathBuf>,
}
pub(crate) fn is_hub_name(_: &str) -> bool {
    false
}
pub(crate) fn fetch(_: &str) -> Result<HubFiles> {
    Err(Error::new("stub"))
}

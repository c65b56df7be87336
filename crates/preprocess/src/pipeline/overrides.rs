//! `--set key.path=value`.

use crate::stage::error::Context;
use crate::{Error, Result};
use serde_yaml::{Mapping, Value};

/// Puts the value of `given` (`key.path=value`, the value in YAML) into the document; missing sections are made.
///
/// # Errors
/// No `=`, an empty key, a value that is not YAML, a path through something that is not a section.
pub fn apply(document: &mut Value, given: &str) -> Result<String> {
    let refused = || Error::new(format!("cannot apply `--set {given}`"));
    let (path, text) = given
        .split_once('=')
        .ok_or_else(|| refused().hint("write `--set key.path=value`, for example `--set train.batch_size=64`"))?;
    let path = path.trim();
    if path.split('.').any(str::is_empty) {
        return Err(refused().because("a part of the key's path is empty").hint("write `--set key.path=value`"));
    }
    let value: Value = serde_yaml::from_str(text).context(|| format!("cannot apply `--set {given}`"))?;
    *slot(document, path).ok_or_else(|| refused().because("the path leads through a key that is not a section"))? =
        value;
    Ok(path.to_owned())
}

/// The place of `path` in the document. At each section the longest existing key wins, so that names with dots can be reached.
fn slot<'a>(document: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    if document.is_null() {
        *document = Value::Mapping(Mapping::new());
    }
    let section = document.as_mapping_mut()?;
    let mut ends: Vec<usize> = path.match_indices('.').map(|(at, _)| at).chain([path.len()]).collect();
    let first = ends[0];
    ends.reverse();
    let end = ends.into_iter().find(|&end| section.contains_key(&path[..end])).unwrap_or(first);
    let place = section.entry(path[..end].into()).or_insert(Value::Null);
    if end == path.len() { Some(place) } else { slot(place, &path[end + 1..]) }
}

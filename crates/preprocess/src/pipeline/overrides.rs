//! `--set key.path=value`.

use super::lines::Lines;
use super::problem::KeyPath;
use crate::stage::error::Context;
use crate::{Error, Result};
use serde_yaml::{Mapping, Value};

/// One `--set`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Override {
    /// As on the command line: `key.path=value`.
    pub given: String,
    /// The key that it sets.
    pub key: KeyPath,
}

/// Bytes of a value that could be a flood of brackets or aliases.
const LONG: usize = 256;

/// Puts the value of `given` (`key.path=value`, the value in YAML) into the document. Missing sections are made:
/// whether there may be such a key is found out with the keys of the file. No value after `=` is YAML's null: the
/// default, or none.
///
/// # Errors
/// No `=`, an empty key, a value that is not YAML, a path through something that is not a section.
pub(crate) fn apply(document: &mut Value, given: &str) -> Result<Override> {
    let refused = || Error::new(format!("cannot apply `--set {given}`"));
    let Some((path, text)) = given.split_once('=') else {
        return Err(refused().because("there is no `=`").hint("write it as in `--set train.batch_size=64`"));
    };
    let path = path.trim();
    if path.split('.').any(str::is_empty) {
        return Err(refused().because("a part of the key is empty").hint("write it as in `--set train.batch_size=64`"));
    }
    if let Some((reason, _)) = Lines::index(text).refusal.filter(|_| text.len() > LONG) {
        return Err(refused().because(reason).hint("long settings belong into the pipeline file"));
    }
    let value = serde_yaml::from_str(text)
        .context(|| format!("cannot apply `--set {given}`"))
        .map_err(|error| error.hint("the value is read as YAML: put text with special characters in quotes"))?;
    let mut key = KeyPath::default();
    match slot(document, path, &mut key) {
        Some(place) => *place = value,
        None => return Err(refused().because(format!("`{key}` is not a section: there is no key inside it"))),
    }
    Ok(Override { given: given.to_owned(), key })
}

/// The place of `path` in the document, noting the way in `key`. In each section the longest key that is there wins, so
/// that names with dots can be reached.
fn slot<'a>(document: &'a mut Value, path: &str, key: &mut KeyPath) -> Option<&'a mut Value> {
    if document.is_null() {
        *document = Value::Mapping(Mapping::new());
    }
    let section = document.as_mapping_mut()?;
    let first = path.find('.').unwrap_or(path.len());
    let mut ends = std::iter::once(path.len()).chain(path.rmatch_indices('.').map(|(at, _)| at));
    let end = ends.find(|&end| section.contains_key(&path[..end])).unwrap_or(first);
    key.0.push(path[..end].to_owned());
    let place = section.entry(path[..end].into()).or_insert(Value::Null);
    match path.get(end + 1..) {
        None => Some(place),
        Some(rest) => slot(place, rest, key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_land_where_the_key_says() {
        let file = "a: {b: 1, v1.2: {c: 2}}\nempty:\n";
        for (name, given, expected) in [
            ("an existing key", "a.b=2", "a: {b: 2, v1.2: {c: 2}}\nempty:"),
            ("a name with a dot", "a.v1.2.c=3", "a: {b: 1, v1.2: {c: 3}}\nempty:"),
            ("a new section", "x.y.z=true", "a: {b: 1, v1.2: {c: 2}}\nempty:\nx: {y: {z: true}}"),
            ("into an empty section", "empty.k=[1, 2]", "a: {b: 1, v1.2: {c: 2}}\nempty: {k: [1, 2]}"),
            ("a section", "a={b: 'text'}", "a: {b: text}\nempty:"),
            ("an equals sign in the value", "a.b=x=y", "a: {b: x=y, v1.2: {c: 2}}\nempty:"),
            ("no value", "a.b=", "a: {b: null, v1.2: {c: 2}}\nempty:"),
        ] {
            let mut document = serde_yaml::from_str(file).expect("YAML");
            apply(&mut document, given).expect(name);
            assert_eq!(document, serde_yaml::from_str::<Value>(expected).expect("YAML"), "{name}");
        }
    }
}

//! JSON files that vouch for their own content: the last key, `checksum`, is the BLAKE3 of all text before it. What
//! one run writes and another reads is sealed, so that a change by a hand, a tool or a bad disk is noticed and never
//! believed.
//!
//! ```text
//! {
//!   "format": 2,
//!   …,
//!   "checksum": "64 hexadecimal digits"
//! }
//! ```
//! The checksum is over the bytes and not over the values: no parser and no printer of numbers has a part in it. It
//! guards against accidents, not against somebody who computes a new one: readers still check what they read.

use super::atomic_file::{write_atomically, write_error};
use crate::{Error, Result, note};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::io;
use std::path::Path;

/// What stands between the content and its checksum.
const KEY: &str = ",\n  \"checksum\": \"";

/// Why a sealed file gives no value. A caller redoes a cache and refuses a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsealed {
    /// There is no such file.
    Missing,
    /// It cannot be read: the system's reason.
    Unreadable(String),
    /// Its content is not what was written, or nothing that this version writes: in which way.
    Altered(String),
}

impl fmt::Display for Unsealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "there is no such file"),
            Self::Unreadable(reason) | Self::Altered(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Unsealed {}

impl Unsealed {
    /// Says on stderr that a cache is done without, where there is one, and what that costs.
    pub(crate) fn note_of_a_cache(&self, path: &Path, cost: &str) {
        if *self != Self::Missing {
            note!("note: `{}` cannot be used ({self}): {cost}", path.display());
        }
    }
}

/// Writes a value as a sealed JSON file, whole or not at all.
///
/// # Errors
/// The value is no JSON object with at least one key; the disk refuses.
pub fn write(path: &Path, value: &(impl Serialize + ?Sized)) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| write_error(path, error))?;
    let sealed = seal(&text).map_err(|error| error.while_doing(format!("cannot write `{}`", path.display())))?;
    write_atomically(path, |writer| writer.write_all(sealed.as_bytes()))
}

/// Reads a sealed JSON file.
///
/// # Errors
/// See [`Unsealed`].
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Unsealed> {
    let bytes = super::files::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Unsealed::Missing,
        _ => Unsealed::Unreadable(error.to_string()),
    })?;
    from_bytes(&bytes)
}

/// The value of a sealed text.
///
/// # Errors
/// [`Unsealed::Altered`].
pub(crate) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unsealed> {
    let text = std::str::from_utf8(bytes).map_err(|_| altered("it is not UTF-8 text"))?;
    serde_json::from_str(&unseal(text)?).map_err(|error| altered(error.to_string()))
}

/// Adds the checksum to a JSON object's text, however that is laid out.
///
/// # Errors
/// The text is no object with at least one key.
pub fn seal(text: &str) -> Result<String> {
    let body = text.trim_end().strip_suffix('}').map(str::trim_end);
    match body {
        Some(body) if body.len() > 1 && body.starts_with('{') => {
            Ok(format!("{body}{KEY}{}\"\n}}\n", blake3::hash(body.as_bytes()).to_hex()))
        }
        _ => Err(Error::new("only a JSON object with at least one key can carry a checksum")),
    }
}

/// The JSON text under a seal, without the checksum.
///
/// # Errors
/// [`Unsealed::Altered`]: there is no checksum, or it is another one.
pub fn unseal(text: &str) -> Result<String, Unsealed> {
    // A line break within a JSON string is escaped, so the last such line is a key of the object itself.
    let (body, rest) = text.rsplit_once(KEY).ok_or_else(|| altered("it carries no checksum"))?;
    let (stated, end) = rest.split_once('"').ok_or_else(|| altered("it is cut short"))?;
    if end.trim() != "}" {
        return Err(altered("text stands behind its checksum"));
    }
    let found = blake3::hash(body.as_bytes()).to_hex();
    if found.as_str() != stated {
        return Err(altered("its checksum is not that of its content"));
    }
    Ok(format!("{body}\n}}"))
}

fn altered(reason: impl Into<String>) -> Unsealed {
    Unsealed::Altered(reason.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn sample() -> BTreeMap<String, String> {
        BTreeMap::from([
            ("class".to_owned(), "cat,\n  \"checksum\": \"no".to_owned()),
            ("b".to_owned(), "é".to_owned()),
        ])
    }

    #[test]
    fn a_value_comes_back_and_the_file_is_json() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("state.json");
        write(&path, &sample()).expect("written");
        assert_eq!(read::<BTreeMap<String, String>>(&path).expect("read"), sample());
        let value: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).expect("there")).expect("JSON");
        assert_eq!(value["checksum"].as_str().map(str::len), Some(64));
        let missing = read::<serde_json::Value>(&directory.path().join("none.json"));
        assert_eq!(missing.expect_err("missing"), Unsealed::Missing);
        assert!(seal("{}").is_err() && seal("[1]").is_err() && seal("").is_err());
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let sealed = seal(&serde_json::to_string_pretty(&sample()).expect("JSON")).expect("sealed").into_bytes();
        assert!(from_bytes::<serde_json::Value>(&sealed).is_ok());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            // Only white space behind the end may differ: it says nothing.
            let at_end = at >= sealed.len() - 3;
            let read = from_bytes::<serde_json::Value>(&changed);
            assert!(matches!(read, Err(Unsealed::Altered(_))) || at_end, "byte {at}: {read:?}");
            let cut = from_bytes::<serde_json::Value>(&sealed[..at]);
            assert!(matches!(cut, Err(Unsealed::Altered(_))) || at == sealed.len() - 1, "cut to {at}: {cut:?}");
        }
    }
}

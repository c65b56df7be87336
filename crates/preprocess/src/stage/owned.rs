//! Which files of a directory this program wrote: those it may replace and, when they are no longer needed, remove.
//! Everything else that lies there is somebody's, and stays.
//!
//! What proves that a file is ours? Considered: (a) its name: a user's `manifest.json` or `chart.svg` has it too; (b)
//! a mark in each file: CSV, PNG and JSON of other programs' formats have no room for one; (c) a list beside the
//! files. We took (c). A name is noted before the file is first written, so that a killed run's files are known, and
//! its checksum when it is finished: a file is replaced if its name was noted, and removed only if it is still what
//! was written.

use super::error::Context;
use super::{files, fingerprint, names, sealed};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The list's name, where it lies in the directory itself.
pub const FILE_NAME: &str = ".written.json";

/// The list of a directory.
#[derive(Debug)]
pub struct Owned {
    directory: PathBuf,
    list: PathBuf,
    written: Written,
}

/// The list as it is saved.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Written {
    /// BLAKE3 of each finished file, by its path relative to the directory; none where it is in the making.
    files: BTreeMap<String, Option<String>>,
}

impl Owned {
    /// Reads the list at `list` of the files in `directory`. One that is missing or damaged is empty; then the
    /// `legacy` names are taken for ours, of which the caller knows by other signs.
    pub fn open(directory: &Path, list: PathBuf, legacy: &[&str]) -> Self {
        let mut written = sealed::read::<Written>(&list).unwrap_or_else(|_| {
            let files = legacy.iter().map(|&name| (name.to_owned(), None)).collect();
            Written { files }
        });
        written.files.retain(|name, _| is_inside(name));
        Self { directory: directory.to_owned(), list, written }
    }

    /// Notes the files that are about to be written. Each is new or known to be ours.
    ///
    /// # Errors
    /// Something else has one of the names; the disk refuses.
    pub fn claim<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let mut new = false;
        for name in names {
            let path = self.directory.join(name);
            files::refuse_unless_plain(&path)
                .context(|| format!("cannot write `{}`", names::path(&path)))
                .map_err(|error| error.hint(HINT))?;
            if self.written.files.contains_key(name) {
                continue;
            }
            if fs::symlink_metadata(&path).is_ok() {
                return Err(Error::new(format!("`{}` is there already", names::path(&path)))
                    .because("this program did not write it, and it does not replace others' files")
                    .hint(HINT));
            }
            self.written.files.insert(name.to_owned(), None);
            new = true;
        }
        if new { self.save() } else { Ok(()) }
    }

    /// Notes what the finished files hold, and removes those of earlier runs that are not among them and still as they
    /// were written. `current` are the names of all files that the directory holds now.
    ///
    /// # Errors
    /// A file cannot be read or removed; the disk refuses.
    pub fn settle(&mut self, current: &BTreeSet<String>) -> Result<()> {
        let (kept, stale): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.written.files).into_iter().partition(|(name, _)| current.contains(name));
        for (name, checksum) in stale {
            let path = self.directory.join(&name);
            let as_written = files::refuse_unless_plain(&path).is_ok()
                && fingerprint::of_file(&path).is_ok_and(|found| Some(found) == checksum);
            if as_written {
                fs::remove_file(&path).context(|| format!("cannot remove `{}`", names::path(&path)))?;
            }
        }
        for (name, _) in kept {
            let checksum = fingerprint::of_file(&self.directory.join(&name))?;
            self.written.files.insert(name, Some(checksum));
        }
        self.save()
    }

    fn save(&self) -> Result<()> {
        sealed::write(&self.list, &self.written)
    }
}

const HINT: &str = "move it away, or choose another directory with `--set output=DIR`";

/// Whether a name leads nowhere but to a file in the directory.
fn is_inside(name: &str) -> bool {
    !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_noted_is_replaced_and_only_what_is_unchanged_removed() {
        let root = tempfile::tempdir().expect("temporary directory");
        let directory = root.path();
        let open = || Owned::open(directory, directory.join(FILE_NAME), &[]);
        let write = |name: &str, content: &str| fs::write(directory.join(name), content).expect("written");
        write("foreign.svg", "theirs");

        let mut owned = open();
        let error = owned.claim(["foreign.svg"]).expect_err("foreign").to_string();
        assert!(error.contains("foreign.svg` is there already") && error.contains("hint: move it away"), "{error}");
        owned.claim(["a.svg", "b.svg", "c.svg"]).expect("free");
        // A run that is killed here has written some of them.
        for name in ["a.svg", "b.svg", "c.svg"] {
            write(name, "ours");
        }
        let mut owned = open();
        owned.claim(["a.svg", "b.svg", "c.svg"]).expect("noted");
        owned.settle(&["a.svg", "b.svg", "c.svg"].map(str::to_owned).into()).expect("settled");

        write("c.svg", "ours, edited by them");
        let mut owned = open();
        owned.claim(["a.svg"]).expect("noted");
        owned.settle(&["a.svg".to_owned()].into()).expect("settled");
        let left = |name: &str| directory.join(name).exists();
        assert_eq!(["a.svg", "b.svg", "c.svg", "foreign.svg"].map(left), [true, false, true, true]);
    }

    #[test]
    fn a_list_that_leads_outside_is_not_followed() {
        let root = tempfile::tempdir().expect("temporary directory");
        let directory = root.path().join("report");
        fs::create_dir(&directory).expect("directory");
        fs::write(root.path().join("theirs"), "").expect("written");
        let blake3 = fingerprint::of_bytes(b"");
        let list = serde_json::json!({"files": {"../theirs": blake3, "/etc/hosts": null}});
        sealed::write(&directory.join(FILE_NAME), &list).expect("written");
        Owned::open(&directory, directory.join(FILE_NAME), &[]).settle(&BTreeSet::new()).expect("settled");
        assert!(root.path().join("theirs").exists());
    }
}

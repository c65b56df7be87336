//! Tells class directories from split directories.

use super::natural_order;
use crate::manifest::Split;
use crate::stage::error::Context;
use crate::stage::names;
use crate::{Error, Result};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Names that a split's directory may have.
const SPLIT_NAMES: [(&str, Split); 5] = [
    ("train", Split::Train),
    ("validation", Split::Validation),
    ("valid", Split::Validation),
    ("val", Split::Validation),
    ("test", Split::Test),
];

/// One directory of images of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassDirectory {
    /// The class's name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// The split that holds it, if the directories are split.
    pub split: Option<Split>,
}

/// Which directories hold what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// All class directories; where the directories are split, one for each split and class.
    pub class_directories: Vec<ClassDirectory>,
    /// Whether the top level is `train/`, `validation/`, `test/`.
    pub is_split: bool,
    /// Hidden files and directories above the classes.
    pub hidden: usize,
    /// Files that lie in no class directory.
    pub loose_files: Vec<PathBuf>,
}

impl Layout {
    /// Looks at the directories of `root`. They are splits when `train` is among them, all of them have a split's name, and
    /// `train` holds directories; otherwise they are classes (a class may be called `test`).
    ///
    /// # Errors
    /// `root` is missing, no directory or unreadable; two directories claim to be the validation split.
    pub fn detect(root: &Path) -> Result<Self> {
        let top = list(root)?;
        let splits: Option<Vec<Split>> = top.directories.iter().map(|(name, _)| split_named(name)).collect();
        let train = top.directories.iter().find(|(name, _)| name == "train");
        let mut layout =
            Self { class_directories: Vec::new(), is_split: false, hidden: top.hidden, loose_files: top.files };
        match (splits, train) {
            (Some(splits), Some((_, train))) if !list(train)?.directories.is_empty() => {
                layout.is_split = true;
                if splits.iter().filter(|&&split| split == Split::Validation).count() > 1 {
                    return Err(Error::new(format!("`{}` holds more than one validation split", root.display()))
                        .hint("keep one of `validation`, `valid` and `val`"));
                }
                for ((_, path), split) in std::iter::zip(&top.directories, splits) {
                    let inside = list(path)?;
                    layout.hidden += inside.hidden;
                    layout.loose_files.extend(inside.files);
                    layout.add(inside.directories, Some(split));
                }
            }
            _ => layout.add(top.directories, None),
        }
        Ok(layout)
    }

    fn add(&mut self, directories: Vec<(String, PathBuf)>, split: Option<Split>) {
        self.class_directories.extend(directories.into_iter().map(|(name, path)| ClassDirectory { name, path, split }));
    }

    /// The classes' names in natural order, each once.
    pub fn classes(&self) -> Vec<String> {
        let mut classes: Vec<String> = self.class_directories.iter().map(|class| class.name.clone()).collect();
        classes.sort_by(|a, b| natural_order(a, b));
        classes.dedup();
        classes
    }
}

fn split_named(name: &str) -> Option<Split> {
    SPLIT_NAMES.iter().find(|(known, _)| *known == name).map(|&(_, split)| split)
}

/// What lies directly in a directory.
struct Listing {
    directories: Vec<(String, PathBuf)>,
    files: Vec<PathBuf>,
    hidden: usize,
}

fn list(directory: &Path) -> Result<Listing> {
    let cannot = || format!("cannot read the directory `{}`", names::path(directory));
    let entries = fs::read_dir(directory).context(cannot).map_err(|error| {
        let error = names::relative_to(directory).into_iter().fold(error, Error::because);
        error.hint("`preprocess.source` names the directory that holds one directory of images per class")
    })?;
    let mut listing = Listing { directories: Vec::new(), files: Vec::new(), hidden: 0 };
    for entry in entries {
        let entry = entry.context(cannot)?;
        let (path, name) = (entry.path(), entry.file_name());
        if is_hidden(&name) {
            listing.hidden += 1;
        } else if path.is_dir() {
            listing.directories.push((name_of(&name), path));
        } else if path.is_file() {
            listing.files.push(path);
        }
    }
    listing.directories.sort();
    Ok(listing)
}

/// Whether a file or directory is one that systems hide from their users or leave behind unasked. A leading dot hides a class
/// directory too.
pub fn is_hidden(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with('.')
        || ["__MACOSX", "Thumbs.db", "desktop.ini"].iter().any(|hidden| name.eq_ignore_ascii_case(hidden))
}

/// A file's name as text: bytes that are no UTF-8 become `\xE9`. Different names stay different.
pub fn name_of(name: &OsStr) -> String {
    names::of_file(name)
}

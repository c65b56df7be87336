//! Tells class directories from split directories.

use super::natural_order;
use crate::pipeline::Split;
use crate::stage::error::Context;
use crate::stage::names::{self, shown};
use crate::{Error, Result, note};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Names that a split's directory may have, in lower case and letters alone (`train2017` is `train`). `None`: one of
/// validation and test, nobody knows which.
const SPLIT_NAMES: [(&str, Option<Split>); 10] = [
    ("train", Some(Split::Train)),
    ("training", Some(Split::Train)),
    ("validation", Some(Split::Validation)),
    ("valid", Some(Split::Validation)),
    ("val", Some(Split::Validation)),
    ("dev", Some(Split::Validation)),
    ("test", Some(Split::Test)),
    ("testing", Some(Split::Test)),
    ("eval", None),
    ("holdout", None),
];

/// What may stand before or behind such a name: `train_set`, `images-test`.
const SPLIT_AFFIXES: [&str; 9] = ["", "set", "data", "dataset", "images", "imgs", "split", "folder", "dir"];

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
    /// Looks at the directories of `root`. They are splits when all of them have a split's name (`train`, `Training`,
    /// `val`, `test_set`) and hold directories; they are classes when none has, or one has and holds images like the
    /// others (a vehicle may be called `train`).
    ///
    /// # Errors
    /// `root` is missing, no directory or unreadable. The names speak of splits, and something else speaks against it:
    /// then nothing is guessed.
    pub(crate) fn detect(root: &Path) -> Result<Self> {
        let top = list(root)?;
        let mut layout =
            Self { class_directories: Vec::new(), is_split: false, hidden: top.hidden, loose_files: top.files };
        let mut splits = Vec::new();
        for (name, path) in &top.directories {
            if let Some(split) = split_named(name) {
                splits.push(SplitDirectory { name: name.clone(), split, inside: list(path)? });
            }
        }
        let others: Vec<&String> =
            top.directories.iter().map(|(name, _)| name).filter(|name| split_named(name).is_none()).collect();
        match splits.as_slice() {
            [] => layout.add(top.directories, None),
            [one] if !others.is_empty() && one.inside.directories.is_empty() => {
                note!("`{}` has a split's name; here it is taken for a class like the others", shown(&one.name));
                layout.add(top.directories, None);
            }
            _ => {
                check_splits(root, &splits, &others)?;
                layout.is_split = true;
                for directory in splits {
                    layout.hidden += directory.inside.hidden;
                    layout.loose_files.extend(directory.inside.files);
                    layout.add(directory.inside.directories, directory.split);
                }
            }
        }
        Ok(layout)
    }

    fn add(&mut self, directories: Vec<(String, PathBuf)>, split: Option<Split>) {
        self.class_directories.extend(directories.into_iter().map(|(name, path)| ClassDirectory { name, path, split }));
    }

    /// The classes' names in natural order, each once.
    pub(crate) fn classes(&self) -> Vec<String> {
        let mut classes: Vec<String> = self.class_directories.iter().map(|class| class.name.clone()).collect();
        classes.sort_by(|a, b| natural_order(a, b));
        classes.dedup();
        classes
    }
}

/// A directory with a split's name.
struct SplitDirectory {
    name: String,
    /// None where the name does not say which.
    split: Option<Split>,
    inside: Listing,
}

/// Refuses what is neither plainly splits nor plainly classes.
fn check_splits(root: &Path, splits: &[SplitDirectory], others: &[&String]) -> Result<()> {
    let list =
        |names: Vec<&String>| names.iter().map(|name| format!("`{}`", shown(name))).collect::<Vec<_>>().join(", ");
    let named = list(splits.iter().map(|directory| &directory.name).collect());
    let refuse = |because: String, hint: &str| {
        let error = Error::new(format!("`{}` holds {named}: splits, or classes?", shown(&root.to_string_lossy())));
        Err(error.because(because).hint(hint.to_owned()))
    };
    if !others.is_empty() {
        return refuse(
            format!(
                "they have the names of splits, but {} beside them have not",
                list(others.iter().copied().take(3).collect())
            ),
            AS_CLASSES,
        );
    }
    if let Some(flat) = splits.iter().find(|directory| directory.inside.directories.is_empty()) {
        return refuse(format!("`{}` holds no class directories", shown(&flat.name)), AS_CLASSES);
    }
    if let Some(unclear) = splits.iter().find(|directory| directory.split.is_none()) {
        return refuse(
            format!("`{}` may be the validation or the test split", shown(&unclear.name)),
            "call it `validation` (epochs are compared on it) or `test` (models are measured on it)",
        );
    }
    for split in Split::ALL {
        let same: Vec<&String> =
            splits.iter().filter(|directory| directory.split == Some(split)).map(|directory| &directory.name).collect();
        if same.len() > 1 {
            return refuse(format!("more than one {} split: {}", split.name(), list(same)), "keep one of them");
        }
    }
    if !splits.iter().any(|directory| directory.split == Some(Split::Train)) {
        return refuse(
            "there is no training split among them".to_owned(),
            "add `train`, with a directory for each class",
        );
    }
    Ok(())
}

/// The way out for classes with such names.
const AS_CLASSES: &str = "splits: put one directory a class into each, and nothing else beside them. Classes: put all class directories into \
                          one directory `train`; what lies in it are classes, whatever they are called, and validation and test are \
                          taken from it by their fractions";

/// The split that a directory's name speaks of; the inner `None` where it does not say which.
fn split_named(name: &str) -> Option<Option<Split>> {
    let letters: String = name.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase).collect();
    let is_affix = |rest: Option<&str>| rest.is_some_and(|rest| SPLIT_AFFIXES.contains(&rest));
    let speaks =
        |known: &&(&str, _)| is_affix(letters.strip_prefix(known.0)) || is_affix(letters.strip_suffix(known.0));
    SPLIT_NAMES.iter().find(speaks).map(|&(_, split)| split)
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

/// Whether a file or directory is one that systems hide from their users or leave behind unasked. A leading dot hides
/// a class directory too.
pub fn is_hidden(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with('.')
        || ["__MACOSX", "Thumbs.db", "desktop.ini"].iter().any(|hidden| name.eq_ignore_ascii_case(hidden))
}

/// A file's name as text: bytes that are no UTF-8 become `\xE9`. Different names stay different.
pub fn name_of(name: &OsStr) -> String {
    names::of_file(name)
}

//! Where a run grows, and how it takes the place of the model before it.
//!
//! A first run grows where the model will be, in `models/<name>`. Where that holds a finished model, a new run grows
//! beside it, in `models/.<name>.next`: the model stays usable until another one is finished. Then the two directories
//! change names in one step of the system, or, where the system has none, in two renames by way of
//! `models/.<name>.old`; at last the old model is removed.
//!
//! A kill may come at any moment. What lies there then says what is missing:
//!
//! | `<name>` | `.<name>.old` | `.<name>.next` | at the next start |
//! |---|---|---|---|
//! | missing | there | finished | the old model goes back to its name; then as in the third row |
//! | there | there | any | the old model is removed |
//! | there | missing | finished, as the pipeline file says | it takes its place |
//! | there | missing | finished, of other settings | it is the old one, or not wanted any more: removed |
//! | there | missing | unfinished | it goes on, or is begun anew |

use crate::model::directory::{self, CONFIG_FILE};
use crate::training::checkpoint::{self, CHECKPOINT_DIRECTORY, Checkpoint};
use preprocess::stage::atomic_file::write_error;
use preprocess::stage::error::Context;
use preprocess::{Error, Result, note};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A model's directory and those beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    model: PathBuf,
    next: PathBuf,
    old: PathBuf,
}

impl Succession {
    /// Of the model in `directory`, `models/<name>`.
    pub fn of(directory: &Path) -> Self {
        let beside = |ending: &str| {
            let mut name = OsString::from(".");
            name.push(directory.file_name().unwrap_or_default());
            name.push(ending);
            directory.with_file_name(name)
        };
        Self { model: directory.to_owned(), next: beside(".next"), old: beside(".old") }
    }

    /// Where a new run grows beside a finished model.
    pub(crate) fn next(&self) -> &Path {
        &self.next
    }

    /// Whether a new run has begun beside the model, and is not finished.
    pub fn is_growing(&self) -> bool {
        self.next.join(CHECKPOINT_DIRECTORY).is_dir() && !self.next.join(CONFIG_FILE).exists()
    }

    /// Brings into order what a kill left between two renames.
    ///
    /// # Errors
    /// The disk refuses, or the model's directory is a link.
    pub(crate) fn recover(&self) -> Result<()> {
        for directory in [&self.model, &self.next, &self.old] {
            if fs::symlink_metadata(directory).is_ok_and(|metadata| metadata.is_symlink()) {
                return Err(Error::new(format!("`{}` is a link", directory.display()))
                    .because("a model's directory is replaced as a whole when a new run is finished")
                    .hint("put the directory itself there, or choose another place with `--set output=DIR`"));
            }
        }
        match (self.model.join(CONFIG_FILE).exists(), self.old.exists()) {
            (_, false) => Ok(()),
            (true, true) => self.remove(&self.old),
            (false, true) => {
                // An empty directory gives way; one with files in it is not what a kill leaves.
                let _ = fs::remove_dir(&self.model);
                if self.model.exists() { Ok(()) } else { rename(&self.old, &self.model) }
            }
        }
    }

    /// Makes the directory in which a run grows, and says which it is. From here on it holds no finished model.
    ///
    /// # Errors
    /// The disk refuses; the model's directory holds files that training did not write, under the names that it would
    /// give.
    pub(crate) fn begin(&self) -> Result<&Path> {
        let growing = if self.model.join(CONFIG_FILE).exists() { &self.next } else { &self.model };
        directory::unfinish(growing)?;
        Ok(growing)
    }

    /// Where else than in `growing` there may be a checkpoint to go on from.
    pub(crate) fn other_than<'a>(&'a self, growing: &Path) -> &'a Path {
        if growing == self.next { &self.model } else { &self.next }
    }

    /// Gives a run that is finished the model's name, if it grew beside the model, and removes the old one.
    ///
    /// # Errors
    /// The disk refuses. Called again, it goes on where it stopped.
    pub(crate) fn take_place(&self) -> Result<()> {
        if self.next.join(CONFIG_FILE).exists() {
            if !self.model.exists() {
                rename(&self.next, &self.model)?;
            } else if !exchange(&self.next, &self.model)? {
                rename(&self.model, &self.old)?;
                rename(&self.next, &self.model)?;
            }
        } else if self.next.exists() {
            // The run grew in the model's directory: this is where it came from, or what it came instead of.
            self.remove(&self.next)?;
        }
        self.tidy()
    }

    /// Removes what lies beside a model that is finished and wanted: the one before it, finished as well. An
    /// unfinished run stays.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn tidy(&self) -> Result<()> {
        if self.old.exists() {
            self.remove(&self.old)?;
        }
        if self.next.exists() && !self.is_growing() {
            self.remove(&self.next)?;
        }
        Ok(())
    }

    /// Removes a directory with all that training wrote into it; what others put there moves to the model's directory.
    fn remove(&self, directory: &Path) -> Result<()> {
        // Checkpoints first: without a `config.json` they would pass for those of an unfinished run after a kill.
        Checkpoint::remove_all(directory)?;
        checkpoint::clear(directory)?;
        move_entries(directory, &self.model)?;
        match fs::remove_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                note!("warning: `{}` holds files that training did not write, and stays", directory.display());
                Ok(())
            }
            removed => removed.context(|| format!("cannot remove `{}`", directory.display())),
        }
    }
}

/// Moves what is in one directory into another, except what has a name there already; of two directories of one name,
/// what is in them.
fn move_entries(from: &Path, to: &Path) -> Result<()> {
    let cannot = || format!("cannot list `{}`", from.display());
    for entry in fs::read_dir(from).context(cannot)? {
        let entry = entry.context(cannot)?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let is_directory = |path: &Path| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
        if fs::symlink_metadata(&target).is_err() {
            rename(&path, &target)?;
        } else if is_directory(&path) && is_directory(&target) {
            move_entries(&path, &target)?;
            // One that is not empty stays, and is told.
            let _ = fs::remove_dir(&path);
        }
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to)
        .and_then(|()| sync_parent(to))
        .context(|| format!("cannot rename `{}` to `{}`", from.display(), to.display()))
}

/// Lets two directories change names in one step; false where the system or the file system cannot.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn exchange(one: &Path, other: &Path) -> Result<bool> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Ok(()) => sync_parent(other).map(|()| true).map_err(|error| write_error(other, error)),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Ok(false),
        Err(error) => Err(write_error(other, io::Error::from(error))),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn exchange(_one: &Path, _other: &Path) -> Result<bool> {
    Ok(false)
}

/// Makes the renaming itself survive a power cut. Only Unix can open a directory for that.
#[cfg(unix)]
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(parent)?.sync_all()
}

#[cfg(not(unix))]
fn sync_parent(_path: &Path) -> io::Result<()> {
    Ok(())
}

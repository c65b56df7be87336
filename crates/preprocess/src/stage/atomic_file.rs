//! Files that appear under their name whole or not at all: written beside it under a temporary name, flushed to the
//! disk, renamed.

use super::error::Context;
use super::files;
use crate::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// What the names of unfinished files begin with.
pub(crate) const TEMPORARY_PREFIX: &str = ".tmp-";

/// Tells apart files of one name that one process writes at the same time.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A file that is not there until [`commit`](Self::commit). Dropped before, it leaves nothing behind. Writes are not
/// buffered.
#[derive(Debug)]
pub(crate) struct AtomicFile {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    committed: bool,
}

impl AtomicFile {
    /// Opens a temporary file in the directory of `target`, which must exist.
    ///
    /// # Errors
    /// The directory is missing or refuses.
    pub(crate) fn create(target: &Path) -> Result<Self> {
        let name = target.file_name().ok_or_else(|| {
            Error::new(format!("cannot write `{}`", target.display())).because("this is no file name")
        })?;
        // Renaming would replace a link or a pipe as readily as a file.
        files::refuse_unless_plain(target).map_err(|error| write_error(target, error))?;
        let mut temporary = std::ffi::OsString::from(TEMPORARY_PREFIX);
        temporary.push(name);
        temporary.push(format!("-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let temporary = target.with_file_name(temporary);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(|error| write_error(target, error))?;
        Ok(Self { file, temporary, target: target.to_owned(), committed: false })
    }

    /// The open temporary file, for writing and reading back.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Brings the bytes to the disk and gives the file its name, replacing what had it.
    ///
    /// # Errors
    /// The disk is full or refuses; then the old file, if there was one, is as it was.
    pub(crate) fn commit(mut self) -> Result<()> {
        self.file
            .sync_all()
            .and_then(|()| fs::rename(&self.temporary, &self.target))
            .map_err(|error| write_error(&self.target, error))?;
        self.committed = true;
        sync_directory(&self.target).map_err(|error| write_error(&self.target, error))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.committed {
            // What cannot be removed now is swept by the next run.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Makes the renaming itself survive a power cut. Only Unix can open a directory for that.
#[cfg(unix)]
fn sync_directory(target: &Path) -> io::Result<()> {
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_target: &Path) -> io::Result<()> {
    Ok(())
}

/// Writes `path` with `write`, buffered. The directory of `path` must exist.
///
/// # Errors
/// What `write` returns, or the disk is full or refuses; then the old file, if there was one, is as it was.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let file = AtomicFile::create(path)?;
    let mut buffer = BufWriter::new(file.file());
    let written = write(&mut buffer).and_then(|()| buffer.flush());
    // Unwritten bytes are dropped with the file: `BufWriter` would try once more to write them.
    let _ = buffer.into_parts();
    written.map_err(|error| write_error(path, error))?;
    file.commit()
}

/// An error that names the file, with a hint where the reason is the disk's. Looks for it through the sources of
/// `cause`, so that it works for the errors of Parquet, PNG and JSON writers too.
pub fn write_error(path: &Path, cause: impl std::error::Error + 'static) -> Error {
    let hint = disk_hint(&cause);
    let error = Error::new(format!("cannot write `{}`", path.display())).caused_by(cause);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// What to do about the first input-output error in the chain.
fn disk_hint(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(error) = next {
        match error.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                return Some(
                    "free some space on that disk and run the same command again, or choose another directory with \
                     `--set output=DIR`",
                );
            }
            Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
                return Some("choose a directory that you may write to with `--set output=DIR`");
            }
            _ => next = error.source(),
        }
    }
    None
}

/// Removes what killed runs left unfinished in `directory` (not below it); returns how many files. Only for a process
/// that holds the lock of the output directory: others' files may be in the making.
///
/// # Errors
/// The directory cannot be listed, or a file cannot be removed. A directory that does not exist holds nothing to sweep.
pub fn sweep_leftovers(directory: &Path) -> Result<usize> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.context(|| format!("cannot list `{}`", directory.display()))?,
    };
    let mut swept = 0;
    for entry in entries {
        let entry = entry.context(|| format!("cannot list `{}`", directory.display()))?;
        let is_leftover = is_temporary(&entry.file_name().to_string_lossy());
        if is_leftover && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            fs::remove_file(entry.path()).context(|| format!("cannot remove `{}`", entry.path().display()))?;
            swept += 1;
        }
    }
    Ok(swept)
}

/// Whether a name is as [`AtomicFile`] makes them: `.tmp-NAME-PROCESS-NUMBER`. Others' files may begin like that.
fn is_temporary(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = name.strip_prefix(TEMPORARY_PREFIX).and_then(|rest| {
        let (rest, number) = rest.rsplit_once('-')?;
        let (target, process) = rest.rsplit_once('-')?;
        Some((target, process, number))
    });
    parts.is_some_and(|(target, process, number)| !target.is_empty() && is_number(process) && is_number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_our_making_are_swept() {
        for (name, ours) in [
            (".tmp-manifest.json-4711-0", true),
            (".tmp-train-00000-of-00001.parquet-4711-12", true),
            (".tmp-notes", false),
            (".tmp-notes-2024", false),
            (".tmp-4711-0", false),
            (".tmp--4711-0", false),
            (".tmp-a-4711-", false),
            ("tmp-a-4711-0", false),
        ] {
            assert_eq!(is_temporary(name), ours, "{name}");
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("listable");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("entry").file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_when_it_is_whole() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("manifest.json");
        write_atomically(&path, |writer| {
            writer.write_all(b"first half, ")?;
            assert!(!path.exists(), "a reader sees half a file");
            writer.write_all(b"second half")
        })
        .expect("written");
        assert_eq!(fs::read(&path).expect("readable"), b"first half, second half");
        assert_eq!(names(directory.path()), ["manifest.json"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("history.csv");
        fs::write(&path, "old").expect("written");
        let error = write_atomically(&path, |writer| {
            writer.write_all(b"new")?;
            Err(io::Error::other("the pen broke"))
        })
        .expect_err("refused");
        assert_eq!(error.to_string(), format!("error: cannot write `{}`\n  caused by: the pen broke", path.display()));
        assert_eq!(fs::read(&path).expect("readable"), b"old");
        assert_eq!(names(directory.path()), ["history.csv"]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_called_that() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("shard");
        let error = write_atomically(&path, |_| {
            let mut full = OpenOptions::new().write(true).open("/dev/full")?;
            full.write_all(b"bytes")
        })
        .expect_err("full")
        .to_string();
        assert!(error.contains("No space left on device") && error.contains("hint: free some space"), "{error}");
    }

    #[test]
    fn an_uncommitted_file_is_gone_and_a_killed_runs_is_swept() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("model.safetensors");
        drop(AtomicFile::create(&path).expect("created"));
        assert!(names(directory.path()).is_empty());

        fs::write(&path, "kept").expect("written");
        // As after `kill -9`: nobody drops the file.
        std::mem::forget(AtomicFile::create(&path).expect("created"));
        assert_eq!(sweep_leftovers(directory.path()).expect("swept"), 1);
        assert_eq!(names(directory.path()), ["model.safetensors"]);
        assert_eq!(sweep_leftovers(&directory.path().join("missing")).expect("nothing to do"), 0);
    }

    #[test]
    fn a_missing_directory_is_an_error_that_names_the_file() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("missing/config.json");
        let error = AtomicFile::create(&path).expect_err("no such directory").to_string();
        assert!(
            error.starts_with(&format!("error: cannot write `{}`\n  caused by: No such file", path.display())),
            "{error}"
        );
    }
}

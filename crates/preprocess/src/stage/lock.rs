//! One stage at a time on one output directory.

use super::error::Context;
use super::{files, names};
use crate::{Error, ErrorKind, Result};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// The lock's file inside the output directory. It stays when the lock is released: removing it would race with the
/// next process that opens it.
pub const FILE_NAME: &str = ".lock";

/// An exclusive lock on an output directory. The system releases it when this is dropped and when the process ends in
/// whatever way, `kill -9` included.
#[derive(Debug)]
pub struct OutputLock {
    file: File,
}

impl Drop for OutputLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a program that another thread is just starting holds a copy of it for a
        // moment. Should unlocking fail, the system does it when the last copy is closed.
        let _ = self.file.unlock();
    }
}

impl OutputLock {
    /// Creates the directory where it is missing, and locks it in the name of `stage`.
    ///
    /// # Errors
    /// Another process holds the lock (it is named), or the directory cannot be written to.
    pub fn acquire(output: &Path, stage: &str) -> Result<Self> {
        fs::create_dir_all(output).map_err(|error| {
            let error =
                Error::new(format!("cannot create the output directory `{}`", output.display())).caused_by(error);
            let error = names::relative_to(output).into_iter().fold(error, Error::because);
            error.hint("choose another directory with `--set output=DIR`")
        })?;
        let path = output.join(FILE_NAME);
        let mut options = OpenOptions::new();
        let mut file = files::open_for_writing(&path, options.read(true).write(true).create(true).truncate(false))
            .context(|| format!("cannot open the lock `{}`", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(output, &mut file)),
            Err(TryLockError::Error(error)) => {
                return Err(error).context(|| format!("cannot lock `{}`", path.display()));
            }
        }
        refuse_foreign(&path, &mut file)?;
        write_holder(&mut file, stage).context(|| format!("cannot write the lock `{}`", path.display()))?;
        Ok(Self { file })
    }
}

/// A lock holds nothing or the note of an earlier holder; anything else is somebody's file.
fn refuse_foreign(path: &Path, file: &mut File) -> Result<()> {
    let mut start = Vec::new();
    let read = file.rewind().and_then(|()| file.take(MOST_NOTE).read_to_end(&mut start));
    read.context(|| format!("cannot read the lock `{}`", path.display()))?;
    let note = String::from_utf8_lossy(&start);
    if note.is_empty() || note.starts_with('`') && note.contains("` (process ") {
        return Ok(());
    }
    Err(Error::new(format!("`{}` is there already and is no lock of this program", path.display()))
        .because("it does not replace others' files")
        .hint("move it away, or choose another directory with `--set output=DIR`"))
}

/// More than a holder's note has.
const MOST_NOTE: u64 = 256;

/// Leaves a note for whoever finds the directory locked.
fn write_holder(file: &mut File, stage: &str) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "`{stage}` (process {})", std::process::id())
}

/// The error that names the process which holds the lock.
fn held(output: &Path, file: &mut File) -> Error {
    let mut holder = String::new();
    // The note may be missing (the other process has only just started) or locked away from readers on some systems.
    if file.take(MOST_NOTE).read_to_string(&mut holder).is_err() || holder.is_empty() {
        holder = "another process".to_owned();
    }
    Error::new(format!("the output directory `{}` is in use by {holder}", output.display()))
        .of_kind(ErrorKind::Locked)
        .hint("wait until it has finished, stop it, or choose another directory with `--set output=DIR`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_refused_until_the_first_lets_go() -> Result<()> {
        let directory = tempfile::tempdir().context(|| "temporary directory".to_owned())?;
        let output = directory.path().join("runs/new");
        let first = OutputLock::acquire(&output, "train")?;
        let refusal = OutputLock::acquire(&output, "report").map(|_| ()).map_err(|error| error.to_string());
        let expected = format!(
            "error: the output directory `{}` is in use by `train` (process {})\n  \
             hint: wait until it has finished, stop it, or choose another directory with `--set output=DIR`",
            output.display(),
            std::process::id()
        );
        assert_eq!(refusal, Err(expected));
        drop(first);
        OutputLock::acquire(&output, "report").map(|_| ())
    }

    #[test]
    fn the_note_of_a_killed_holder_is_no_lock() -> Result<()> {
        let directory = tempfile::tempdir().context(|| "temporary directory".to_owned())?;
        fs::write(directory.path().join(FILE_NAME), "`train` (process 4194304999), a longer note than the next")
            .context(|| "note".to_owned())?;
        let _lock = OutputLock::acquire(directory.path(), "report")?;
        let note = fs::read_to_string(directory.path().join(FILE_NAME)).context(|| "note".to_owned())?;
        assert_eq!(note, format!("`report` (process {})", std::process::id()));
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_that_is_something_else_is_refused_and_left_alone() {
        for (name, says) in
            [("link", "it is a link"), ("pipe", "it is a named pipe"), ("foreign", "no lock of this program")]
        {
            let directory = tempfile::tempdir().expect("temporary directory");
            let (lock, theirs) = (directory.path().join(FILE_NAME), directory.path().join("theirs"));
            fs::write(&theirs, "precious").expect("written");
            match name {
                "link" => std::os::unix::fs::symlink(&theirs, &lock).expect("link"),
                "pipe" => _ = std::process::Command::new("mkfifo").arg(&lock).status().expect("mkfifo"),
                _ => fs::write(&lock, "precious").expect("written"),
            }
            let error = OutputLock::acquire(directory.path(), "train").expect_err(name).to_string();
            assert!(error.contains(says) && error.contains(FILE_NAME), "{name}: {error}");
            assert_eq!(fs::read(&theirs).expect("readable"), b"precious");
            assert!(name != "foreign" || fs::read(&lock).expect("readable") == b"precious");
        }
    }

    #[test]
    fn an_output_that_is_a_file_is_named() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        let error = OutputLock::acquire(file.path(), "train").expect_err("a file is no directory").to_string();
        assert!(error.contains(&format!("cannot create the output directory `{}`", file.path().display())), "{error}");
    }
}

//! Files and directories below the output directory, opened so that nothing that lies in a file's place does harm: a
//! named pipe does not block, a link does not lead the writing elsewhere, a device is not touched.

use super::error::Context;
use super::names;
use crate::{Error, Result};
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Opens a regular file for reading; a link to one will do.
///
/// # Errors
/// It is missing or cannot be read, or it is no regular file.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    refuse_special(fs::metadata(path)?.file_type())?;
    let mut options = OpenOptions::new();
    let file = without_waiting(options.read(true), false).open(path)?;
    // What lies there may have changed since.
    refuse_special(file.metadata()?.file_type())?;
    Ok(file)
}

/// The content of a regular file; a link to one will do.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open(path)?;
    let mut content = Vec::with_capacity(file.metadata()?.len().min(1 << 30) as usize);
    file.read_to_end(&mut content)?;
    Ok(content)
}

/// As [`read`], for text.
///
/// # Errors
/// As [`open`]; the content is not UTF-8.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Opens a file of this program for writing in place; `options` says how. A link is not followed.
///
/// # Errors
/// As `options`; what lies there is a link or no regular file.
pub(crate) fn open_for_writing(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    refuse_unless_plain(path)?;
    let file = without_waiting(options, true).open(path)?;
    refuse_special(file.metadata()?.file_type())?;
    Ok(file)
}

/// Refuses a path at which something other than a regular file lies: a link, a directory, a pipe, a socket, a device.
///
/// # Errors
/// That; or the path cannot be looked at.
pub fn refuse_unless_plain(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => {
            Err(special("it is a link, and what is written below the output directory stays there: remove the link"))
        }
        Ok(metadata) => refuse_special(metadata.file_type()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes `base/name/name/…`, of which `base` may be a link and what lies below it may not: what is written below the
/// output directory stays there.
///
/// # Errors
/// One of them is a link or a file, or cannot be made.
pub fn make_directories(base: &Path, names: &[&str]) -> Result<PathBuf> {
    let cannot = |path: &Path, cause: io::Error| {
        Error::new(format!("cannot create the directory `{}`", names::path(path))).caused_by(cause)
    };
    fs::create_dir_all(base).map_err(|error| cannot(base, error))?;
    let mut path = base.to_owned();
    for name in names {
        path.push(name);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(metadata) if metadata.is_symlink() => {
                return Err(Error::new(format!("`{}` is a link", names::path(&path)))
                    .because("what is written below the output directory stays there")
                    .hint("remove the link; to write elsewhere set `output`, which may be a link itself"));
            }
            Ok(metadata) => {
                let kind = kind(metadata.file_type());
                return Err(Error::new(format!("`{}` is {kind}, not a directory", names::path(&path)))
                    .hint("move it away, or choose another directory with `--set output=DIR`"));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(&path).map_err(|error| cannot(&path, error))?;
            }
            Err(error) => return Err(cannot(&path, error)),
        }
    }
    Ok(path)
}

fn refuse_special(kind: FileType) -> io::Result<()> {
    if kind.is_file() { Ok(()) } else { Err(special(&format!("it is {}, not a file", self::kind(kind)))) }
}

fn special(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.to_owned())
}

/// In words.
fn kind(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a named pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    match () {
        () if kind.is_dir() => "a directory",
        () if kind.is_symlink() => "a link",
        () => "a file",
    }
}

/// So that opening a pipe without another end returns at once, and where `own` a link fails.
#[cfg(unix)]
fn without_waiting(options: &mut OpenOptions, own: bool) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(libc::O_NONBLOCK | if own { libc::O_NOFOLLOW } else { 0 })
}

#[cfg(not(unix))]
fn without_waiting(options: &mut OpenOptions, _own: bool) -> &mut OpenOptions {
    options
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    #[test]
    fn nothing_blocks_and_no_link_is_followed_for_writing() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = |name: &str| directory.path().join(name);
        fs::write(path("file"), "content").expect("written");
        symlink(path("file"), path("link")).expect("link");
        symlink(path("nowhere"), path("dangling")).expect("link");
        fs::create_dir(path("directory")).expect("directory");
        assert!(Command::new("mkfifo").arg(path("pipe")).status().expect("mkfifo").success());
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).expect("socket");
        for (name, reading, writing) in [
            ("file", Ok(()), Ok(())),
            ("link", Ok(()), Err("it is a link")),
            ("dangling", Err("No such file"), Err("it is a link")),
            ("directory", Err("it is a directory"), Err("it is a directory")),
            ("pipe", Err("it is a named pipe, not a file"), Err("it is a named pipe, not a file")),
            ("socket", Err("it is a socket"), Err("it is a socket")),
        ] {
            let write = open_for_writing(&path(name), OpenOptions::new().write(true).create(true));
            for (outcome, expected) in [(open(&path(name)).map(drop), reading), (write.map(drop), writing)] {
                let outcome = outcome.map_err(|error| error.to_string());
                match (&outcome, expected) {
                    (Err(error), Err(expected)) => assert!(error.contains(expected), "{name}: {error}"),
                    _ => assert_eq!(outcome.is_ok(), expected.is_ok(), "{name}: {outcome:?}"),
                }
            }
        }
        assert!(!path("nowhere").exists());
    }

    #[test]
    fn directories_below_a_linked_base_are_made_and_links_below_it_refused() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = |name: &str| directory.path().join(name);
        fs::create_dir_all(path("disk/elsewhere")).expect("directory");
        symlink(path("disk"), path("runs")).expect("link");
        make_directories(&path("runs"), &["shards", "data"]).expect("made");
        assert!(path("disk/shards/data").is_dir());
        symlink(path("disk/elsewhere"), path("disk/report")).expect("link");
        let error = make_directories(&path("runs"), &["report", "figures"]).expect_err("a link").to_string();
        assert!(error.contains("runs/report` is a link") && error.contains("hint: remove the link"), "{error}");
        assert!(!path("disk/elsewhere/figures").exists());
    }
}

/// Removes a file, which may be absent.
///
/// # Errors
/// The disk refuses.
pub fn remove_if_present(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).context(|| format!("cannot remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

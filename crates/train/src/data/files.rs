//! Image files as they come.

use preprocess::folder::walk::{Found, Start, walk};
use preprocess::folder::{Content, inspect, is_hidden};
use preprocess::stage::{error::Context, interrupt, names};
use preprocess::{Error, Result};
use rayon::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

/// The images under `path` in the order of their names, told from other files by their content; `path` itself if it is
/// a file. Hidden files and directories are passed over.
///
/// # Errors
/// The path is missing, or a directory cannot be listed or lies too deep; an interruption.
pub(crate) fn find(path: &Path) -> Result<Vec<PathBuf>> {
    let about = || format!("cannot read `{}`", names::path(path));
    let metadata = fs::metadata(path).context(about);
    let metadata = metadata.map_err(|error| names::relative_to(path).into_iter().fold(error, Error::because))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let start = Start { path: path.to_owned(), prefix: String::new(), class: names::of_file(path.as_os_str()) };
    Ok(below(path, &[start])?.into_iter().map(|file| file.path).collect())
}

/// The images below directories of `root`, or below `root` itself, in the order of their paths. Each belongs to one of
/// `starts`.
///
/// # Errors
/// A directory cannot be listed or lies too deep; an interruption.
pub(crate) fn below(root: &Path, starts: &[Start]) -> Result<Vec<Found>> {
    let mut files = walk(root, starts, &[])?.files;
    // Links that lead nowhere are no images here: nobody has said that they belong to a class.
    let is_image =
        |file: &Found| interrupt::check().map(|()| file.path.is_file() && inspect(&file.path) == Content::Image);
    let images = files.par_iter().map(is_image).collect::<Result<Vec<bool>>>()?;
    let mut images = images.into_iter();
    files.retain(|_| images.next() == Some(true));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// What a directory holds, hidden names left out, in the order of the names.
///
/// # Errors
/// It cannot be listed.
pub(crate) fn sorted_entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let about = || format!("cannot list `{}`", names::path(directory));
    let entries = fs::read_dir(directory).context(about)?.collect::<std::io::Result<Vec<_>>>().context(about)?;
    let visible = entries.iter().filter(|entry| !is_hidden(&entry.file_name()));
    let mut paths: Vec<PathBuf> = visible.map(|entry| entry.path()).collect();
    paths.sort_unstable();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_order_and_hidden_ones_are_not() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b/2.png", "b/10.png", "a/deep/er/x.jpg", ".hidden/y.png", "b/.z.png", "c.png", "notes.txt"] {
            let file = directory.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let names = |files: Vec<PathBuf>| -> Vec<String> {
            let relative = files.iter().map(|file| file.strip_prefix(directory.path()).unwrap());
            relative.map(|file| file.display().to_string()).collect()
        };
        let all = ["a/deep/er/x.jpg", "b/10.png", "b/2.png", "c.png"];
        assert_eq!(names(find(directory.path()).unwrap()), all);
        assert_eq!(names(find(&directory.path().join("c.png")).unwrap()), ["c.png"]);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(directory.path(), directory.path().join("b/loop")).unwrap();
            std::os::unix::fs::symlink("nowhere", directory.path().join("b/dangling")).unwrap();
            assert_eq!(names(find(directory.path()).unwrap()), all);
        }
        let error = find(Path::new("no-such-file.png")).unwrap_err().to_string();
        assert!(error.contains("no-such-file.png"), "{error}");
    }
}

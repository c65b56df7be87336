//! Collects the files below class directories.

use super::layout::{ClassDirectory, is_hidden, name_of};
use crate::manifest::Split;
use crate::stage::error::Context;
use crate::{Result, note};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A file below a class directory.
pub struct Found {
    pub source: String,
    pub path: PathBuf,
    pub class: String,
    pub split: Option<Split>,
}

/// What has been found so far.
#[derive(Default)]
pub struct Walk {
    pub files: Vec<Found>,
    pub hidden: usize,
    /// Pipes, sockets and devices: never opened, for some of them block.
    pub special: usize,
}

impl Walk {
    /// Adds all that lies below a class directory.
    pub fn class_directory(&mut self, root: &Path, class: &ClassDirectory) -> Result<()> {
        let mut prefix = String::new();
        for part in class.path.strip_prefix(root).unwrap_or(&class.path) {
            prefix.push_str(&name_of(part));
            prefix.push('/');
        }
        self.directory(&class.path, &prefix, class, &mut HashSet::new())
    }

    /// `ancestors` holds the true paths of the directories above, so that a link to one of them ends the descent.
    fn directory(
        &mut self,
        directory: &Path,
        prefix: &str,
        class: &ClassDirectory,
        ancestors: &mut HashSet<PathBuf>,
    ) -> Result<()> {
        let cannot = || format!("cannot read the directory `{}`", directory.display());
        let identity = directory.canonicalize().context(cannot)?;
        if !ancestors.insert(identity.clone()) {
            note!("warning: `{}` links to a directory above it and is passed over", directory.display());
            return Ok(());
        }
        for entry in fs::read_dir(directory).context(cannot)? {
            let entry = entry.context(cannot)?;
            let (path, name) = (entry.path(), entry.file_name());
            if is_hidden(&name) {
                self.hidden += 1;
                continue;
            }
            let source = format!("{prefix}{}", name_of(&name));
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => {
                    self.directory(&path, &format!("{source}/"), class, ancestors)?;
                }
                Ok(metadata) if !metadata.is_file() => self.special += 1,
                // A link to nowhere is for decoding to reject by name, if it claims to be an image.
                _ => self.files.push(Found { source, path, class: class.name.clone(), split: class.split }),
            }
        }
        ancestors.remove(&identity);
        Ok(())
    }
}

//! Finds classes and images in a directory.
//!
//! What counts as an image is decided by the content ([`signature`]), which directories are classes and which are
//! splits by the layout ([`layout`]).

mod layout;
mod natural_order;
mod signature;
pub mod walk;

pub use layout::{Layout, is_hidden, name_of};
pub(crate) use natural_order::natural_order;
pub use signature::{Content, inspect};
pub(crate) use signature::{HEAD, format, name_of_other};

use crate::pipeline::Split;
use crate::stage::{interrupt, names};
use crate::{Error, Result, note};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// One image file and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// The path relative to the source directory, with `/` between its parts: the image's name in all outputs. Bytes
    /// that are no UTF-8 are written as `\xNN`.
    pub source: String,
    /// Where the file is.
    pub path: PathBuf,
    /// Index into [`Folder::classes`].
    pub label: usize,
    /// The split that the directory layout gives (`train/`, `validation/`, `test/`), if it gives any.
    pub split: Option<Split>,
}

/// The classes and images of a source directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Names of the class directories, sorted (digits by value: `1, 2, 10`).
    pub classes: Vec<String>,
    /// All images, sorted by `source`. Files that are called images but do not begin like one (empty ones, say) are
    /// among them, so that decoding can reject them by name.
    pub images: Vec<ImageFile>,
    /// Files and directories passed over because they are hidden.
    pub hidden: usize,
    /// Files passed over because their content is not an image's.
    pub not_images: usize,
    /// Image files passed over because they lie in no class directory.
    pub outside: usize,
}

impl Folder {
    /// Looks through `directory`: class directories, or `train/` (with `validation/` and `test/`) holding class
    /// directories. Images may lie in directories below their class. By content, not by extension.
    ///
    /// # Errors
    /// The directory is missing or unreadable, holds no class directories or only one, a class is empty, or the
    /// training split lacks a class.
    pub fn discover(directory: &Path) -> Result<Self> {
        Self::discover_beside(directory, &[])
    }

    /// As [`discover`](Self::discover); links into the directories `reserved` are not followed: the output's, of which
    /// a link would make classes.
    ///
    /// # Errors
    /// As [`discover`](Self::discover).
    pub(crate) fn discover_beside(directory: &Path, reserved: &[&Path]) -> Result<Self> {
        let layout = Layout::detect(directory)?;
        let starts: Vec<walk::Start> = layout.class_directories.iter().map(|class| start(directory, class)).collect();
        let walk = walk::walk(directory, &starts, reserved)?;
        let classes = layout.classes();
        warn_of_look_alikes(&classes);
        let content = |file: &walk::Found| interrupt::check().map(|()| inspect(&file.path));
        let kinds = walk.files.par_iter().map(content).collect::<Result<Vec<Content>>>()?;
        let not_images = kinds.iter().filter(|&&kind| kind == Content::Other).count() + walk.special;
        let mut images: Vec<ImageFile> = std::iter::zip(walk.files, kinds)
            .filter(|(_, kind)| *kind == Content::Image)
            .map(|(file, _)| {
                let class = &layout.class_directories[file.start];
                let label = classes.binary_search_by(|known| natural_order(known, &class.name));
                label.map(|label| ImageFile { source: file.source, path: file.path, label, split: class.split })
            })
            .collect::<Result<_, _>>()
            .map_err(|_| Error::new(format!("the classes of `{}` changed while it was read", directory.display())))?;
        images.sort_by(|a, b| a.source.cmp(&b.source));

        let outside = layout.loose_files.iter().filter(|path| inspect(path) == Content::Image).count();
        let folder = Self {
            hidden: layout.hidden + walk.hidden,
            not_images: not_images + layout.loose_files.len() - outside,
            outside,
            classes,
            images,
        };
        folder.check(directory, &layout)?;
        Ok(folder)
    }

    /// Refuses what no classifier can be trained on.
    fn check(&self, directory: &Path, layout: &Layout) -> Result<()> {
        let shown = directory.display();
        match self.classes.as_slice() {
            [] => {
                let because = if self.outside > 0 {
                    format!("{} images lie in it directly", self.outside)
                } else {
                    "it holds no directories that are not hidden".to_owned()
                };
                return Err(Error::new(format!("`{shown}` holds no class directories")).because(because).hint(
                    "make one directory per class in it, named after the class, and put the class's images there",
                ));
            }
            [class] => {
                return Err(Error::new(format!("`{shown}` holds only one class, `{class}`"))
                    .hint("a classifier needs two classes or more: one directory each"));
            }
            _ => {}
        }
        for (label, class) in self.classes.iter().enumerate() {
            let mut of_class = self.images.iter().filter(|image| image.label == label).peekable();
            if of_class.peek().is_none() {
                return Err(Error::new(format!("the class directory `{class}` in `{shown}` holds no images"))
                    .hint("put images there, or remove the directory"));
            }
            if layout.is_split && !of_class.any(|image| image.split == Some(Split::Train)) {
                return Err(Error::new(format!(
                    "the class `{class}` has no images in `{}`",
                    directory.join("train").display()
                ))
                .because("a class without a training image cannot be learnt")
                .hint(format!("put images into `train/{class}`, or remove the class from the other splits")));
            }
        }
        Ok(())
    }
}

/// A class directory as the beginning of a walk.
fn start(root: &Path, class: &layout::ClassDirectory) -> walk::Start {
    let parts = class.path.strip_prefix(root).unwrap_or(&class.path);
    let prefix = parts.iter().map(|part| name_of(part) + "/").collect();
    walk::Start { path: class.path.clone(), prefix, class: class.name.clone() }
}

/// Two directories that a person takes for one.
fn warn_of_look_alikes(classes: &[String]) {
    for (a, b, difference) in names::look_alikes(classes) {
        let (a, b) = (names::shown(a), names::shown(b));
        note!("warning: the classes `{a}` and `{b}` look alike and are two: their names differ by {difference}");
    }
}

#[cfg(test)]
mod tests;

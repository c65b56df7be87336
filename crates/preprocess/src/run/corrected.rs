//! The folder as the user's corrections make it.

use crate::corrections::{Action, Corrections, Entry};
use crate::folder::Folder;
use crate::pipeline::nearest_few;
use crate::stage::names::shown;
use crate::{Error, Result, note, say};
use std::borrow::Cow;
use std::path::Path;

/// Paths and classes that are named in one message.
const FEW: usize = 5;

/// A folder with corrections. Its images have the places that they have in the folder as it was found: what was
/// learnt of them, and which are copies of which, does not depend on corrections.
pub(crate) struct Corrected<'a> {
    /// The folder as it was found.
    pub found: &'a Folder,
    /// The same with the corrected labels.
    pub folder: Cow<'a, Folder>,
    /// For each image, whether it is left out.
    pub dropped: Vec<bool>,
}

impl<'a> Corrected<'a> {
    /// The folder with the corrections of a file, if there is one; says what they come to.
    ///
    /// # Errors
    /// The file cannot be used, names a class that the folder does not have, or leaves a class without an image.
    pub(crate) fn new(found: &'a Folder, file: Option<&Path>) -> Result<Self> {
        let mut corrected = Self { found, folder: Cow::Borrowed(found), dropped: vec![false; found.images.len()] };
        if let Some(file) = file {
            corrected.apply(&Corrections::read(file)?)?;
        }
        Ok(corrected)
    }

    fn apply(&mut self, corrections: &Corrections) -> Result<()> {
        refuse_unknown_classes(corrections, &self.found.classes)?;
        let (mut relabelled, mut dropped, mut kept, mut gone) = (0, 0, 0, Vec::new());
        for (path, action) in corrections.iter() {
            let Ok(index) = self.found.images.binary_search_by(|image| image.source.as_str().cmp(path)) else {
                gone.push(path);
                continue;
            };
            match action {
                Action::Keep => kept += 1,
                Action::Drop => {
                    self.dropped[index] = true;
                    dropped += 1;
                }
                Action::Relabel(class) => {
                    let label = self.found.classes.iter().position(|known| known == class);
                    if let Some(label) = label.filter(|label| *label != self.found.images[index].label) {
                        self.folder.to_mut().images[index].label = label;
                        relabelled += 1;
                    }
                }
            }
        }
        let file = corrections.file().display();
        say!("Corrected by `{file}`: {relabelled} images relabelled, {dropped} dropped, {kept} kept as they are.");
        warn_of_missing_images(corrections.file(), &gone);
        self.refuse_empty_classes(corrections.file())
    }

    /// A class of which nothing is left.
    fn refuse_empty_classes(&self, file: &Path) -> Result<()> {
        let mut images = vec![0; self.found.classes.len()];
        for (image, dropped) in std::iter::zip(&self.folder.images, &self.dropped) {
            images[image.label] += usize::from(!dropped);
        }
        let Some(label) = images.iter().position(|images| *images == 0) else { return Ok(()) };
        let class = shown(&self.found.classes[label]);
        Err(Error::new(format!("the corrections in `{}` leave the class `{class}` without an image", file.display()))
            .because("all its images are dropped or relabelled")
            .hint(
                "take lines of the class out of the file; or, if it shall be no class, move its directory out of the \
                 source",
            ))
    }

    /// What the corrections do: the images that have another class now, and those that have none. Where they come from
    /// is no part of it, nor what they leave as it is.
    pub(crate) fn effects(&self) -> Vec<(&str, Option<&str>)> {
        let images = std::iter::zip(&self.found.images, &self.folder.images);
        std::iter::zip(images, &self.dropped)
            .filter(|((found, image), dropped)| **dropped || found.label != image.label)
            .map(|((_, image), dropped)| {
                let class = self.folder.classes[image.label].as_str();
                (image.source.as_str(), (!dropped).then_some(class))
            })
            .collect()
    }
}

/// The first line, if any, whose class is none.
fn refuse_unknown_classes(corrections: &Corrections, classes: &[String]) -> Result<()> {
    let unknown = corrections.entries().filter_map(|(_, Entry { action, line })| match action {
        Action::Relabel(class) if !classes.contains(class) => Some((line, class)),
        _ => None,
    });
    let Some((line, class)) = unknown.min() else { return Ok(()) };
    let file = corrections.file().display();
    let nearest =
        nearest_few(class, classes, FEW).iter().map(|class| format!("`{}`", shown(class))).collect::<Vec<_>>();
    Err(Error::new(format!("`{file}`, line {line}: `{}` is none of the {} classes", shown(class), classes.len())).hint(
        format!(
            "the nearest are {}; a class is a directory, so an image can only be given one that is there",
            nearest.join(", ")
        ),
    ))
}

/// Images may have been deleted since the line was written.
fn warn_of_missing_images(file: &Path, paths: &[&str]) {
    if paths.is_empty() {
        return;
    }
    let named = paths.iter().take(FEW).map(|path| format!("`{}`", shown(path))).collect::<Vec<_>>().join(", ");
    let more = if paths.len() > FEW { ", …" } else { "" };
    note!("warning: {} lines of `{}` name no image of the source: {named}{more}", paths.len(), file.display());
}

//! Divides images into train, validation and test.
//!
//! Where an image goes follows from the seed and from what the files hold, never from names, from an order or from
//! history:
//! - Images that stay together are a *unit*. Its place is a hash of the smallest of its members' hashes, so that it
//!   changes when that member comes or goes, and with no other.
//! - Each class has a *quota* in validation and in test: its fraction, rounded.
//! - Units of two images or more, of all classes, in the order of their places: test is cut off at the low end,
//!   validation at the high end, each where it holds its fraction of all such images ([`groups`]). So every split has
//!   its share of them.
//! - Single images, class by class, fill what is left of the quotas, again from both ends. One image more therefore
//!   moves one image out of a split and not one from each into the next.
//!
//! What else was considered, and figures: `docs/duplicates.md`.

mod folds;
mod given;
mod groups;
mod keep;
mod placing;

pub use folds::{FoldItem, folds};
pub(crate) use given::given_groups;
pub(crate) use keep::Keep;
pub use placing::Item;

use crate::folder::Folder;
use crate::manifest::Unmet;
use crate::pipeline::{Split, SplitSettings};
use crate::{Error, Result};
use placing::{Placing, Unit, divided, fractions, is_divided};

/// Changes whenever some image's split does, so that data sets made before are made anew.
pub(crate) const SPLIT_VERSION: u32 = 2;

/// Assigns a split to each item: by `seed`, stratified by class, whatever the items' order and names.
///
/// Every class comes as close to the fractions as its groups allow, and keeps a training image where it has one to
/// spare: a class of one or two images is for training. Splits that directories give stand; a validation or test split
/// that has no directory is taken from the training directory, by its fraction of that directory's images. Splits of
/// earlier runs stand too and count in the quotas; a new image that is a near-copy of kept ones goes where they are:
/// to test, if one of them is there, otherwise to validation, otherwise to training.
///
/// # Errors
/// A class is left without a training image.
pub fn assign(items: &[Item], classes: &[String], settings: &SplitSettings) -> Result<Vec<Split>> {
    let mut placing = Placing::new(items, classes.len(), settings);
    let (single, grouped): (Vec<Unit>, Vec<Unit>) =
        placing.settle(items, settings).into_iter().partition(|unit| unit.members.len() == 1);
    groups::place(&mut placing, grouped, &single);
    placing.fill(single);
    let splits = placing.splits;
    for (label, class) in classes.iter().enumerate() {
        let mut of_class = std::iter::zip(items, &splits).filter(|(item, _)| item.label == label);
        if !of_class.any(|(_, split)| *split == Split::Train) {
            return Err(without_training_image(class, items.iter().any(|item| item.label == label)));
        }
    }
    Ok(splits)
}

fn without_training_image(class: &str, has_images: bool) -> Error {
    if !has_images {
        return Error::new(format!("the class `{class}` has no image that can be decoded")).hint(
            "`rejected.csv` or `--set preprocess.unreadable=fail` shows why; repair its images or remove its directory",
        );
    }
    Error::new(format!("the split leaves the class `{class}` without a training image"))
        .because("all its images are in other splits by their directories, by `preprocess.split.keep`, or as near-copies of such images")
        .hint("add images to the class; or take lines of the class out of the file that `preprocess.split.keep` names")
}

/// The fractions that were not met, by more than rounding: a class has no image of a split, or more than one image too
/// many or too few.
pub(crate) fn unmet(items: &[Item], splits: &[Split], classes: &[String], settings: &SplitSettings) -> Vec<Unmet> {
    let fractions = fractions(items, settings);
    let counts = divided(items, classes.len());
    let mut unmet = Vec::new();
    for (split, fraction) in [Split::Validation, Split::Test].map(|split| (split, fractions[split as usize])) {
        let mut has = vec![0; classes.len()];
        for (item, _) in std::iter::zip(items, splits).filter(|(item, is)| is_divided(item) && **is == split) {
            has[item.label] += 1;
        }
        for (label, class) in classes.iter().enumerate().filter(|_| fraction > 0.0) {
            let (wanted, images) = (fraction * counts[label] as f64, has[label]);
            if images == 0 || (images as f64 - wanted).abs() > 1.0 {
                unmet.push(Unmet { class: class.clone(), split, wanted, images });
            }
        }
    }
    unmet
}

/// Images of each class in each split.
pub(crate) fn counts(splits: &[(Split, usize)], folder: &Folder) -> indexmap::IndexMap<Split, Vec<usize>> {
    Split::ALL
        .into_iter()
        .map(|split| {
            let mut counts = vec![0; folder.classes.len()];
            for (_, label) in splits.iter().filter(|(of, _)| *of == split) {
                counts[*label] += 1;
            }
            (split, counts)
        })
        .collect()
}

#[cfg(test)]
mod tests;

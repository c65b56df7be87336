//! Divides images into train, validation and test.

use crate::folder::Folder;
use crate::manifest::Split;
use crate::pipeline::{NearDuplicates, SplitSettings};
use crate::stage::random;
use crate::{Error, Result};
use std::collections::HashMap;

/// Raised with every change that puts images of any set into other splits: part of every fingerprint of a data set.
pub const SPLIT_VERSION: u32 = 2;

/// One image to place.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// The image's name: it alone decides where chance puts the image.
    pub source: &'a str,
    /// Index of its class.
    pub label: usize,
    /// Its group of near-copies.
    pub group: usize,
    /// The split that its directory gives.
    pub given: Option<Split>,
}

/// Assigns a split to each item: by `seed`, stratified by class, whatever the items' order.
///
/// Without given splits, the largest groups are placed first and chance orders groups of one size; each goes where its classes lack
/// most images, training first where it is a tie. So every class comes as close to the fractions as its groups allow, and a class of
/// one or two images is for training. With given splits, these stand; a validation or test split that has no directory is
/// taken from the training directory, by its fraction of that directory's images.
///
/// # Errors
/// A class is left without a training image.
pub fn assign(items: &[Item], classes: &[String], settings: &SplitSettings) -> Result<Vec<Split>> {
    let fractions = fractions(items, settings);
    let mut splits: Vec<Split> = items.iter().map(|item| item.given.unwrap_or(Split::Train)).collect();
    let free = groups(items, settings);
    let mut missing = targets(items, classes.len(), &fractions);
    for group in &free {
        let split = place(group, items, &missing);
        for &index in &group.members {
            splits[index] = split;
            missing[split as usize][items[index].label] -= 1.0;
        }
    }
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
        .because("its images are near-copies of one another or of other classes' images, and those stay together")
        .hint(
            "add images to the class, lower `preprocess.split.validation` and `preprocess.split.test`, or set \
             `preprocess.split.near_duplicates: ignore`",
        )
}

/// The part of the free images that each split gets.
fn fractions(items: &[Item], settings: &SplitSettings) -> [f64; 3] {
    let given = |split| items.iter().any(|item| item.given == Some(split));
    let of = |split, fraction| if given(split) { 0.0 } else { fraction };
    let (validation, test) = (of(Split::Validation, settings.validation), of(Split::Test, settings.test));
    [1.0 - validation - test, validation, test]
}

/// How many images of each class each split should get.
fn targets(items: &[Item], classes: usize, fractions: &[f64; 3]) -> [Vec<f64>; 3] {
    let mut counts = vec![0.0; classes];
    for item in items.iter().filter(|item| is_free(item)) {
        counts[item.label] += 1.0;
    }
    fractions.map(|fraction| counts.iter().map(|count| count * fraction).collect())
}

/// Whether the item's split is open.
fn is_free(item: &Item) -> bool {
    matches!(item.given, None | Some(Split::Train))
}

/// Images that stay together.
struct Group {
    members: Vec<usize>,
    /// Decides among groups of one size.
    chance: u64,
}

/// The groups of the free images, in the order in which they are placed.
fn groups(items: &[Item], settings: &SplitSettings) -> Vec<Group> {
    let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, item) in items.iter().enumerate().filter(|(_, item)| is_free(item)) {
        let group = match settings.near_duplicates {
            NearDuplicates::Together => item.group,
            NearDuplicates::Ignore => index,
        };
        members.entry(group).or_default().push(index);
    }
    let mut groups: Vec<Group> = members
        .into_values()
        .map(|members| {
            let name = members.iter().map(|&index| items[index].source).min().unwrap_or_default();
            let chance = random::stream(settings.seed, "split", &[name.as_bytes()]).bits();
            Group { members, chance }
        })
        .collect();
    let name = |group: &Group| group.members.iter().map(|&index| items[index].source).min();
    groups.sort_by(|a, b| {
        b.members.len().cmp(&a.members.len()).then(a.chance.cmp(&b.chance)).then_with(|| name(a).cmp(&name(b)))
    });
    groups
}

/// The split that lacks most of the group's classes.
fn place(group: &Group, items: &[Item], missing: &[Vec<f64>; 3]) -> Split {
    let lack =
        |split: Split| group.members.iter().map(|&index| missing[split as usize][items[index].label]).sum::<f64>();
    // A tenth of a millionth hides what rounding did to fractions like 0.7.
    let better = |best: Split, split: Split| if lack(split) > lack(best) + 1e-7 { split } else { best };
    Split::ALL.into_iter().reduce(better).unwrap_or(Split::Train)
}

/// Images of each class in each split.
pub fn counts(splits: &[(Split, usize)], folder: &Folder) -> indexmap::IndexMap<Split, Vec<usize>> {
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

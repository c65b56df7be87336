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

mod given;
mod groups;
mod keep;

pub(crate) use given::given_groups;
pub(crate) use keep::Keep;

use crate::folder::Folder;
use crate::manifest::Unmet;
use crate::pipeline::{Split, SplitSettings};
use crate::stage::random;
use crate::{Error, Result};
use std::collections::HashMap;

/// Changes whenever some image's split does, so that data sets made before are made anew.
pub(crate) const SPLIT_VERSION: u32 = 2;

/// One image to place.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// What stands for the file's content: it alone decides where chance puts the image.
    pub content: &'a str,
    /// Index of its class.
    pub label: usize,
    /// What it stays together with: its group of near-copies, a group that the user gives.
    pub group: usize,
    /// The split that its directory gives.
    pub given: Option<Split>,
    /// The split that it had in an earlier run, where splits are kept.
    pub kept: Option<Split>,
}

/// Whether the image is part of what is divided: another directory's images than the training directory's stay where
/// they are.
fn is_divided(item: &Item) -> bool {
    item.given.is_none_or(|given| given == Split::Train)
}

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

/// Images that stay together.
struct Unit {
    members: Vec<usize>,
    /// Images of each of its classes.
    classes: Vec<(usize, usize)>,
    /// Decides in what order units are placed.
    place: u64,
}

/// Splits in the making.
struct Placing {
    splits: Vec<Split>,
    /// Of all images, those of validation and of test; zero where directories hold that split.
    fractions: [f64; 3],
    /// For each split and class, the images that it should get. Training gets the rest.
    quota: [Vec<usize>; 3],
    /// For each split and class, the images that it has. What is not placed yet counts as training.
    has: [Vec<usize>; 3],
    /// Images in groups of two or more that each split has.
    near: [usize; 3],
}

impl Placing {
    fn new(items: &[Item], classes: usize, settings: &SplitSettings) -> Self {
        let [train, validation, test] = fractions(items, settings);
        let counts = divided(items, classes);
        let quotas: Vec<[usize; 3]> = counts.iter().map(|&count| quota(count, validation, test)).collect();
        Self {
            splits: vec![Split::Train; items.len()],
            fractions: [train, validation, test],
            quota: [0, 1, 2].map(|split| quotas.iter().map(|quota| quota[split]).collect()),
            has: [vec![0; classes], vec![0; classes], vec![0; classes]],
            near: [0; 3],
        }
    }

    /// Places all that is settled, and what stays together with it; returns the rest.
    fn settle(&mut self, items: &[Item], settings: &SplitSettings) -> Vec<Unit> {
        let mut open = Vec::new();
        for members in units(items) {
            // Of a group that earlier runs tore apart, test draws more strongly than validation, and that more than
            // training.
            let kept = members.iter().filter_map(|&index| items[index].kept).max();
            let (own, others): (Vec<usize>, Vec<usize>) =
                members.into_iter().partition(|&index| is_divided(&items[index]));
            for &index in &own {
                let split = items[index].kept.or(kept).unwrap_or(Split::Train);
                self.splits[index] = split;
                self.has[split as usize][items[index].label] += 1;
                self.near[split as usize] += usize::from(own.len() > 1);
            }
            others.iter().for_each(|&index| self.splits[index] = items[index].given.unwrap_or(Split::Train));
            if kept.is_none() && !own.is_empty() {
                open.push(unit(own, items, settings.seed));
            }
        }
        open.sort_by(|a, b| {
            let least = |unit: &Unit| unit.members.iter().map(|&index| items[index].content).min();
            a.place.cmp(&b.place).then_with(|| least(a).cmp(&least(b)))
        });
        open
    }

    /// Moves a unit out of training.
    fn place(&mut self, unit: &Unit, split: Split) {
        unit.members.iter().for_each(|&index| self.splits[index] = split);
        for &(class, images) in &unit.classes {
            self.has[split as usize][class] += images;
            self.has[Split::Train as usize][class] -= images;
        }
        if unit.members.len() > 1 {
            self.near[split as usize] += unit.members.len();
            self.near[Split::Train as usize] -= unit.members.len();
        }
    }

    /// How many images of a class a split still lacks.
    fn lack(&self, split: Split, class: usize) -> usize {
        self.quota[split as usize][class].saturating_sub(self.has[split as usize][class])
    }

    /// Fills the quotas with single images; `single` is in the order of places.
    fn fill(&mut self, single: Vec<Unit>) {
        let mut of_class: Vec<Vec<Unit>> = self.quota[0].iter().map(|_| Vec::new()).collect();
        for unit in single {
            of_class[unit.classes[0].0].push(unit);
        }
        for (class, units) in of_class.iter().enumerate() {
            // Training keeps one.
            let spare = units.len().min(self.has[Split::Train as usize][class].saturating_sub(1));
            let test = self.lack(Split::Test, class).min(spare);
            let validation = self.lack(Split::Validation, class).min(spare - test);
            units[..test].iter().for_each(|unit| self.place(unit, Split::Test));
            units[units.len() - validation..].iter().for_each(|unit| self.place(unit, Split::Validation));
        }
    }
}

/// Of the images that are divided, what part each split gets: none, where a directory holds it.
fn fractions(items: &[Item], settings: &SplitSettings) -> [f64; 3] {
    let given = |split| items.iter().any(|item| item.given == Some(split));
    let of = |split, fraction| if given(split) { 0.0 } else { fraction };
    let (validation, test) = (of(Split::Validation, settings.validation), of(Split::Test, settings.test));
    [1.0 - validation - test, validation, test]
}

/// Images of each class that are divided.
fn divided(items: &[Item], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for item in items.iter().filter(|item| is_divided(item)) {
        counts[item.label] += 1;
    }
    counts
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

/// How many of `count` images each split should get: halves are rounded to the advantage of training, which gets one
/// in any case.
fn quota(count: usize, validation: f64, test: f64) -> [usize; 3] {
    // A tenth of a millionth hides what rounding did to fractions like 0.7.
    let rounded = |fraction: f64| (count as f64 * fraction - 0.5 - 1e-7).ceil().max(0.0) as usize;
    let test = rounded(test).min(count.saturating_sub(1));
    let validation = rounded(validation).min(count.saturating_sub(1 + test));
    [count - validation - test, validation, test]
}

/// The images in units, in no particular order.
fn units(items: &[Item]) -> Vec<Vec<usize>> {
    let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        members.entry(item.group).or_default().push(index);
    }
    members.into_values().collect()
}

fn unit(members: Vec<usize>, items: &[Item], seed: u64) -> Unit {
    let chance = |&index: &usize| random::stream(seed, "split", &[items[index].content.as_bytes()]).bits();
    let least = members.iter().map(chance).min().unwrap_or_default();
    // Hashed again: the smallest of many is small, and large groups would come first.
    let place = random::stream(seed, "place", &[&least.to_le_bytes()]).bits();
    let mut classes: Vec<(usize, usize)> = Vec::new();
    for &index in &members {
        match classes.iter_mut().find(|(class, _)| *class == items[index].label) {
            Some((_, images)) => *images += 1,
            None => classes.push((items[index].label, 1)),
        }
    }
    Unit { members, classes, place }
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

//! Divides images into folds, each of which is held back once while models are fitted to the others.
//!
//! What stays together is a *unit*. Units are placed one after another, the largest first, each in the fold that has
//! the fewest images of its classes; single images, which come last, even out what the larger units left uneven.
//! Chance (the seed and the contents) decides in what order units of one size come.
//!
//! A class is spread evenly before anything else. So one image more or less may give many images another fold: unlike
//! train, validation and test, folds are made for one measurement, and nobody compares one fold with its successor.

use crate::duplicates::Groups;
use crate::stage::random;
use std::cmp::Reverse;
use std::collections::HashMap;

/// One image to put into a fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoldItem<'a> {
    /// Index of its class: any number that is the same for the images of a class.
    pub label: usize,
    /// What it stays together with: near-copies, a group that the user gives.
    pub group: usize,
    /// BLAKE3 of the image's file, in hexadecimal.
    pub content: &'a str,
}

/// The fold of each image, `0..folds`; fewer than two folds are one.
///
/// The images of a group, and equal files, have one fold. The folds' numbers of images of each class differ by no more
/// than the class's largest group where groups hold one class each; by one, where all images are single, and then the
/// folds' sizes differ by one at most, too. A class of fewer images than folds has none in some.
///
/// What comes out depends on the contents, on which images share a class or a group, and on the seed; not on the
/// images' order, nor on the numbers of classes and groups.
pub fn folds(items: &[FoldItem<'_>], folds: usize, seed: u64) -> Vec<usize> {
    let mut units = units(items, seed);
    // Among units of one size one class after another: then the remainder of a class meets the folds that those before
    // it left out.
    units.sort_by_cached_key(|unit| (Reverse(unit.members.len()), unit.classes.clone(), unit.place, unit.least));
    let mut filling = Filling::new(&units, folds.max(1));
    let mut fold_of = vec![0; items.len()];
    for unit in &units {
        let fold = filling.best(unit);
        filling.add(unit, fold);
        unit.members.iter().for_each(|&index| fold_of[index] = fold);
    }
    fold_of
}

/// Images that stay together.
struct Unit<'a> {
    members: Vec<usize>,
    /// Its classes in their order (see [`class_order`]), each with the images that the unit has of it.
    classes: Vec<(usize, usize)>,
    /// Decides in what order units are placed.
    place: u64,
    /// The smallest of its members' contents, should two units have one place.
    least: &'a str,
}

/// The images in units, in no particular order.
fn units<'a>(items: &[FoldItem<'a>], seed: u64) -> Vec<Unit<'a>> {
    let mut groups = Groups::new(items.len());
    // Equal files are one image, whatever the groups say; then no two units share a content, and nothing but contents
    // is needed to tell them apart.
    let (mut with_group, mut with_content) = (HashMap::new(), HashMap::new());
    for (index, item) in items.iter().enumerate() {
        groups.join(*with_group.entry(item.group).or_insert(index), index);
        groups.join(*with_content.entry(item.content).or_insert(index), index);
    }
    let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, group) in groups.numbered().into_iter().enumerate() {
        members.entry(group).or_default().push(index);
    }
    let order = class_order(items);
    members.into_values().map(|members| unit(members, items, &order, seed)).collect()
}

fn unit<'a>(members: Vec<usize>, items: &[FoldItem<'a>], order: &HashMap<usize, usize>, seed: u64) -> Unit<'a> {
    let least = members.iter().map(|&index| items[index].content).min().unwrap_or_default();
    let place = random::stream(seed, "fold", &[least.as_bytes()]).bits();
    let mut labels: Vec<usize> = members.iter().map(|&index| order[&items[index].label]).collect();
    labels.sort_unstable();
    let classes = labels.chunk_by(|a, b| a == b).map(|same| (same[0], same.len())).collect();
    Unit { members, classes, place, least }
}

/// Each class's place in an order that follows from what its images hold: labels come from names, and renaming a class
/// must change nothing.
fn class_order(items: &[FoldItem<'_>]) -> HashMap<usize, usize> {
    let mut contents: HashMap<usize, Vec<&str>> = HashMap::new();
    for item in items {
        contents.entry(item.label).or_default().push(item.content);
    }
    let mut classes: Vec<(Vec<&str>, usize)> = contents.into_iter().map(|(label, of)| (of, label)).collect();
    classes.iter_mut().for_each(|(contents, _)| contents.sort_unstable());
    classes.sort();
    classes.into_iter().enumerate().map(|(place, (_, label))| (label, place)).collect()
}

/// Folds in the making.
struct Filling {
    /// Images of each class, in all folds together.
    images: Vec<usize>,
    /// For each fold, its images of each class.
    has: Vec<Vec<usize>>,
    /// For each fold, its images.
    size: Vec<usize>,
}

impl Filling {
    fn new(units: &[Unit], folds: usize) -> Self {
        let classes = units.iter().flat_map(|unit| &unit.classes).map(|&(class, _)| class + 1).max().unwrap_or(0);
        let mut images = vec![0; classes];
        units.iter().flat_map(|unit| &unit.classes).for_each(|&(class, of)| images[class] += of);
        Self { images, has: vec![vec![0; classes]; folds], size: vec![0; folds] }
    }

    /// The fold in which the unit makes its classes least uneven; of several, the smallest.
    ///
    /// Uneven is the sum over folds and classes of `has² / images`: a class counts as much as another, however many
    /// images it has. A unit of `of` images adds `(2 has of + of²) / images`, of which only `has of` tells folds apart.
    fn best(&self, unit: &Unit) -> usize {
        let uneven = |fold: usize| -> f64 {
            let class = |&(class, of): &(usize, usize)| (self.has[fold][class] * of) as f64 / self.images[class] as f64;
            unit.classes.iter().map(class).sum()
        };
        let folds = (0..self.size.len()).map(|fold| (uneven(fold), self.size[fold], fold));
        let best = folds.min_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        best.map_or(0, |(_, _, fold)| fold)
    }

    fn add(&mut self, unit: &Unit, fold: usize) {
        self.size[fold] += unit.members.len();
        unit.classes.iter().for_each(|&(class, of)| self.has[fold][class] += of);
    }
}

#[cfg(test)]
#[path = "folds_tests.rs"]
mod tests;

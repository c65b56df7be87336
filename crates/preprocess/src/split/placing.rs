//! Images in units that stay together, and the splits that they fill.

use crate::pipeline::{Split, SplitSettings};
use crate::stage::random;
use std::collections::HashMap;

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
pub(super) fn is_divided(item: &Item) -> bool {
    item.given.is_none_or(|given| given == Split::Train)
}

/// Images that stay together.
pub(super) struct Unit {
    pub(super) members: Vec<usize>,
    /// Images of each of its classes.
    pub(super) classes: Vec<(usize, usize)>,
    /// Decides in what order units are placed.
    pub(super) place: u64,
}

/// Splits in the making.
pub(super) struct Placing {
    pub(super) splits: Vec<Split>,
    /// Of all images, those of validation and of test; zero where directories hold that split.
    pub(super) fractions: [f64; 3],
    /// For each split and class, the images that it should get. Training gets the rest.
    pub(super) quota: [Vec<usize>; 3],
    /// For each split and class, the images that it has. What is not placed yet counts as training.
    pub(super) has: [Vec<usize>; 3],
    /// Images in groups of two or more that each split has.
    pub(super) near: [usize; 3],
}

impl Placing {
    pub(super) fn new(items: &[Item], classes: usize, settings: &SplitSettings) -> Self {
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
    pub(super) fn settle(&mut self, items: &[Item], settings: &SplitSettings) -> Vec<Unit> {
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
    pub(super) fn place(&mut self, unit: &Unit, split: Split) {
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
    pub(super) fn lack(&self, split: Split, class: usize) -> usize {
        self.quota[split as usize][class].saturating_sub(self.has[split as usize][class])
    }

    /// Fills the quotas with single images; `single` is in the order of places.
    pub(super) fn fill(&mut self, single: Vec<Unit>) {
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
pub(super) fn fractions(items: &[Item], settings: &SplitSettings) -> [f64; 3] {
    let given = |split| items.iter().any(|item| item.given == Some(split));
    let of = |split, fraction| if given(split) { 0.0 } else { fraction };
    let (validation, test) = (of(Split::Validation, settings.validation), of(Split::Test, settings.test));
    [1.0 - validation - test, validation, test]
}

/// Images of each class that are divided.
pub(super) fn divided(items: &[Item], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for item in items.iter().filter(|item| is_divided(item)) {
        counts[item.label] += 1;
    }
    counts
}

/// How many of `count` images each split should get: halves are rounded to the advantage of training, which gets one
/// in any case.
pub(super) fn quota(count: usize, validation: f64, test: f64) -> [usize; 3] {
    // A tenth of a millionth hides what rounding did to fractions like 0.7.
    let rounded = |fraction: f64| (count as f64 * fraction - 0.5 - 1e-7).ceil().max(0.0) as usize;
    let test = rounded(test).min(count.saturating_sub(1));
    let validation = rounded(validation).min(count.saturating_sub(1 + test));
    [count - validation - test, validation, test]
}

/// The images in units, in no particular order.
pub(super) fn units(items: &[Item]) -> Vec<Vec<usize>> {
    let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        members.entry(item.group).or_default().push(index);
    }
    members.into_values().collect()
}

pub(super) fn unit(members: Vec<usize>, items: &[Item], seed: u64) -> Unit {
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

//! What stays together: near-copies, and what the user gives as groups.

use super::examined::Examined;
use super::inputs::Inputs;
use crate::duplicates::{Groups, Kind};
use crate::pipeline::NearDuplicates;
use std::collections::HashMap;
use std::hash::Hash;

/// Groups of the folder's images. Images that are left out are in none, but what they connect stays connected.
#[derive(Debug)]
pub(crate) struct Grouping {
    /// Near-copies and given groups joined: the column `group` of the shards. None for images that cannot be decoded
    /// or are left out.
    pub group: Vec<Option<usize>>,
    /// What no split tears apart: with `near_duplicates: ignore` equal files and given groups alone.
    pub bound: Vec<Option<usize>>,
    /// By what each image hangs together with its group; none for an image that stands alone.
    pub kind: Vec<Option<Kind>>,
}

impl Grouping {
    /// Of what was found and `given`.
    pub(crate) fn new(examined: &Examined, inputs: &Inputs, given: &[Option<String>], near: NearDuplicates) -> Self {
        let found: Vec<Option<usize>> = examined.found().map(|image| Some(image?.group)).collect();
        let readable: Vec<usize> = (0..found.len()).filter(|&index| found[index].is_some()).collect();
        let given_of = |&index: &usize| given.get(index).and_then(Option::as_ref);
        let mut joined = Groups::new(found.len());
        join(&mut joined, readable.iter().map(|&index| (index, found[index])));
        join(&mut joined, readable.iter().map(|index| (*index, given_of(index))));
        let mut bound = Groups::new(found.len());
        if near == NearDuplicates::Ignore {
            join(&mut bound, readable.iter().map(|&index| (index, Some(inputs.content(index)))));
            join(&mut bound, readable.iter().map(|index| (*index, given_of(index))));
        } else {
            bound = joined.clone();
        }
        let only_readable = |groups: Groups| -> Vec<Option<usize>> {
            // Numbered in the order of the images that can be decoded, whatever lies between; those that are left out
            // have numbers too, so that others keep theirs.
            let mut numbers = HashMap::new();
            let all = groups.numbered();
            let mut of = vec![None; all.len()];
            for &index in &readable {
                let next = numbers.len();
                let number = *numbers.entry(all[index]).or_insert(next);
                of[index] = (!examined.is_dropped(index)).then_some(number);
            }
            of
        };
        let group = only_readable(joined);
        let mut sizes: HashMap<usize, usize> = HashMap::new();
        group.iter().flatten().for_each(|group| *sizes.entry(*group).or_default() += 1);
        let kind = std::iter::zip(&group, examined.found())
            .map(|(group, image)| image?.kind.or_else(|| (sizes.get(&(*group)?)? > &1).then_some(Kind::Given)))
            .collect();
        Self { group, bound: only_readable(bound), kind }
    }
}

/// Joins all items with one key; items without a key stay as they are.
fn join<K: Eq + Hash>(groups: &mut Groups, items: impl Iterator<Item = (usize, Option<K>)>) {
    let mut first_with: HashMap<K, usize> = HashMap::new();
    for (index, key) in items {
        if let Some(key) = key {
            let first = *first_with.entry(key).or_insert(index);
            groups.join(first, index);
        }
    }
}

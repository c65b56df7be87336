//! Finds copies and near-copies, so that they can be kept in one split.
//!
//! Exact copies have equal pixels after decoding. Near-copies are found in two steps, each measured on real images in
//! `docs/duplicates.md`: a perceptual hash ([`Signature`]) whose Hamming distance is at most [`MAX_DISTANCE`] (less where that
//! matches images of different classes), then a correlation of the thumbnails of at least [`MIN_CORRELATION`]. Groups are what these pairs connect.

mod groups;
mod signature;

pub use groups::Groups;
pub use signature::Signature;

use rayon::prelude::*;
use std::collections::HashMap;

/// Raised with every change that puts images of any set into other groups: part of every fingerprint of a data set.
pub const DUPLICATES_VERSION: u32 = 2;

/// The most bits, of 255, in which the hashes of near-copies differ, where the images of different classes look different.
pub const MAX_DISTANCE: u32 = 48;

/// The limit below which it is not lowered, see [`find`].
pub const MIN_DISTANCE: u32 = 32;

/// Up to this distance two images are copies whatever their classes are: such pairs say nothing about the limit.
const CERTAIN_DISTANCE: u32 = 16;

/// By how much the limit is lowered at a time.
const STEP: u32 = 4;

/// Images that are compared with all others at a time.
const BLOCK: usize = 256;

/// The share of images that may seem to have a near-copy in another class.
const FALSE_MATCHES: f64 = 0.0025;

/// The least correlation of the brightness of near-copies' 32x32 thumbnails.
pub const MIN_CORRELATION: f64 = 0.90;

/// Which images are copies of which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicates {
    /// The group of each image: numbered from 0 in the order of their first images. Most groups hold one image.
    pub group: Vec<usize>,
    /// Images whose decoded pixels equal an earlier image's.
    pub exact: usize,
    /// The limit that was used.
    pub max_distance: u32,
}

/// Two images that may be near-copies.
#[derive(Debug, Clone, Copy)]
struct Pair {
    first: usize,
    second: usize,
    distance: u32,
}

/// Compares every image with every other: n (n - 1) / 2 comparisons of 32 bytes, on all cores.
///
/// Small images of one kind of thing, all framed alike, resemble one another without being copies, so one limit does not fit all
/// sets. Images of different classes are hardly ever copies: as long as more than 0.25 % of the images seem to be, the limit is
/// lowered, from [`MAX_DISTANCE`] to [`MIN_DISTANCE`].
pub fn find(signatures: &[Signature], labels: &[usize]) -> Duplicates {
    let mut groups = Groups::new(signatures.len());
    let mut nearest = NearestOfAnotherClass::new(labels);
    // Pairs whose fate hangs on the limit. The others are used up block by block: of many frames of one still every pair is one.
    let mut undecided = Vec::new();
    for start in (0..signatures.len()).step_by(BLOCK) {
        let block = start..signatures.len().min(start + BLOCK);
        let pairs: Vec<Pair> = block.into_par_iter().flat_map_iter(|first| near_after(signatures, first)).collect();
        for pair in pairs {
            nearest.see(&pair);
            if pair.distance <= MIN_DISTANCE {
                groups.join(pair.first, pair.second);
            } else {
                undecided.push(pair);
            }
        }
    }
    let max_distance = nearest.choose_limit();
    for pair in undecided.iter().filter(|pair| pair.distance <= max_distance) {
        groups.join(pair.first, pair.second);
    }
    let exact = join_exact(signatures, &mut groups);
    Duplicates { group: groups.numbered(), exact, max_distance }
}

/// Joins images of equal pixels; returns how many equal an earlier one.
fn join_exact(signatures: &[Signature], groups: &mut Groups) -> usize {
    let mut first_with = HashMap::new();
    let mut exact = 0;
    for (index, signature) in signatures.iter().enumerate() {
        let first = *first_with.entry(signature.pixels).or_insert(index);
        if first != index {
            groups.join(first, index);
            exact += 1;
        }
    }
    exact
}

/// The near-copies of `first` among the images after it, by the widest limit.
fn near_after(signatures: &[Signature], first: usize) -> Vec<Pair> {
    let one = &signatures[first];
    let rest = &signatures[first + 1..];
    signature::within(one, rest, MAX_DISTANCE)
        .into_iter()
        .filter(|&offset| one.correlation(&rest[offset]) >= MIN_CORRELATION)
        .map(|offset| Pair { first, second: first + 1 + offset, distance: one.distance(&rest[offset]) })
        .collect()
}

/// For each image, the distance to the nearest image of another class that is not plainly a copy.
struct NearestOfAnotherClass<'a> {
    labels: &'a [usize],
    distances: Vec<u32>,
}

impl<'a> NearestOfAnotherClass<'a> {
    fn new(labels: &'a [usize]) -> Self {
        Self { labels, distances: vec![u32::MAX; labels.len()] }
    }

    fn see(&mut self, pair: &Pair) {
        if self.labels[pair.first] != self.labels[pair.second] && pair.distance > CERTAIN_DISTANCE {
            for image in [pair.first, pair.second] {
                self.distances[image] = self.distances[image].min(pair.distance);
            }
        }
    }

    /// The widest limit with few enough matches between classes.
    fn choose_limit(&self) -> u32 {
        let allowed = (FALSE_MATCHES * self.labels.len() as f64) as usize;
        let matches = |limit| self.distances.iter().filter(|&&distance| distance <= limit).count();
        let mut limit = MAX_DISTANCE;
        while limit > MIN_DISTANCE && matches(limit) > allowed {
            limit -= STEP;
        }
        limit
    }
}

#[cfg(test)]
mod tests;

//! Finds copies and near-copies, so that they can be kept in one split.
//!
//! Exact copies have equal pixels after decoding. Near-copies are found in two steps, each measured on real images in
//! `docs/duplicates.md`: a perceptual hash ([`Signature`]) whose Hamming distance is at most [`MAX_DISTANCE`], then a
//! correlation of the thumbnails of at least [`MIN_CORRELATION`]. Groups are what these pairs connect.

mod groups;
mod signature;

pub use groups::Groups;
pub use signature::Signature;

use rayon::prelude::*;
use std::collections::HashMap;

/// The most bits, of 255, in which the hashes of near-copies differ.
pub const MAX_DISTANCE: u32 = 44;

/// The least correlation of the brightness of near-copies' 32x32 thumbnails.
pub const MIN_CORRELATION: f64 = 0.90;

/// Which images are copies of which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicates {
    /// The group of each image: numbered from 0 in the order of their first images. Most groups hold one image.
    pub group: Vec<usize>,
    /// Images whose decoded pixels equal an earlier image's.
    pub exact: usize,
}

/// Compares every image with every other: n (n - 1) / 2 comparisons of 32 bytes, on all cores.
pub fn find(signatures: &[Signature]) -> Duplicates {
    let mut groups = Groups::new(signatures.len());
    let mut first_with = HashMap::new();
    let mut exact = 0;
    for (index, signature) in signatures.iter().enumerate() {
        let first = *first_with.entry(signature.pixels).or_insert(index);
        if first != index {
            groups.join(first, index);
            exact += 1;
        }
    }
    let pairs: Vec<(usize, usize)> = (0..signatures.len())
        .into_par_iter()
        .flat_map_iter(|a| near_after(signatures, a).into_iter().map(move |b| (a, b)))
        .collect();
    for (a, b) in pairs {
        groups.join(a, b);
    }
    Duplicates { group: groups.numbered(), exact }
}

/// The images after `a` that are near-copies of it.
fn near_after(signatures: &[Signature], a: usize) -> Vec<usize> {
    let first = &signatures[a];
    let rest = &signatures[a + 1..];
    signature::within(first, rest, MAX_DISTANCE)
        .into_iter()
        .filter(|&offset| first.correlation(&rest[offset]) >= MIN_CORRELATION)
        .map(|offset| a + 1 + offset)
        .collect()
}

#[cfg(test)]
mod tests;

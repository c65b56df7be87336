//! Finds copies and near-copies, so that they can be kept in one split.
//!
//! Exact copies have equal pixels after decoding. Near-copies are found in two steps, each measured on real images in
//! `docs/duplicates.md`: a perceptual hash ([`Signature`]) whose Hamming distance is at most [`MAX_DISTANCE`] (less
//! where that matches images of different classes), then a correlation of the thumbnails of at least
//! [`MIN_CORRELATION`]; both also with one of the two images mirrored. Groups are what these pairs connect.

mod groups;
mod kind;
mod limits;
mod search;
mod signature;

pub(crate) use groups::Groups;
pub(crate) use kind::Kind;
pub use limits::{MAX_DISTANCE, MIN_CORRELATION, MIN_DISTANCE};
pub use signature::{Signature, Way};

use crate::Result;
use search::Search;
use std::collections::HashMap;

/// Changes whenever some set's groups do, so that data sets made before are made anew.
pub(crate) const DUPLICATES_VERSION: u32 = 2;

/// Which images are copies of which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicates {
    /// The group of each image: numbered from 0 in the order of their first images. Most groups hold one image.
    pub group: Vec<usize>,
    /// By what each image hangs together with others; none for an image that stands alone.
    pub kind: Vec<Option<Kind>>,
    /// For each image, the first one of equal decoded pixels: itself, unless it is an exact copy of an earlier one.
    pub first: Vec<usize>,
    /// The limit that was used.
    pub max_distance: u32,
}

/// Compares every image with every other: n (n - 1) / 2 comparisons of 32 bytes, on all cores. What it keeps meanwhile
/// grows with the images, not with the pairs.
///
/// Small images of one kind of thing, all framed alike, resemble one another without being copies, so one limit does
/// not fit all sets. Images of different classes are hardly ever copies: as long as more than 0.25 % of the images
/// seem to be, the limit is lowered, from [`MAX_DISTANCE`] to [`MIN_DISTANCE`].
///
/// # Errors
/// The process was asked to stop.
pub fn find(signatures: &[Signature], labels: &[usize]) -> Result<Duplicates> {
    let found = Search::new(signatures, labels).run()?;
    let (mut groups, mut kind, max_distance) = (found.groups, found.kind, found.limit);
    let first = join_exact(signatures, &mut groups, &mut kind);
    Ok(Duplicates { group: groups.numbered(), kind, first, max_distance })
}

impl Duplicates {
    /// Images whose decoded pixels equal an earlier image's.
    pub fn exact(&self) -> usize {
        self.first.iter().enumerate().filter(|(index, first)| index != *first).count()
    }
}

/// Joins images of equal pixels; returns each one's first.
fn join_exact(signatures: &[Signature], groups: &mut Groups, kind: &mut [Option<Kind>]) -> Vec<usize> {
    let mut first_with = HashMap::new();
    let mut firsts = Vec::with_capacity(signatures.len());
    for (index, signature) in signatures.iter().enumerate() {
        let first = *first_with.entry(signature.pixels).or_insert(index);
        if first != index {
            groups.join(first, index);
            kind[first] = Some(Kind::Exact);
            kind[index] = Some(Kind::Exact);
        }
        firsts.push(first);
    }
    firsts
}

#[cfg(test)]
mod tests;

//! Compares all images with all others.

use super::groups::Groups;
use super::kind::Kind;
use super::limits::{LIMITS, MAX_DISTANCE, MIN_CORRELATION, MIN_DISTANCE, STEP};
use super::signature::{Signature, Way, within};
use crate::Result;
use crate::stage::interrupt;
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Images that are compared with all others at a time.
const BLOCK: usize = 256;

/// Up to this distance two images are copies whatever their classes are: such pairs say nothing about the limit.
const CERTAIN_DISTANCE: u32 = 16;

/// The share of images that may seem to have a near-copy in another class.
const FALSE_MATCHES: f64 = 0.0025;

/// Two images that may be near-copies.
#[derive(Debug, Clone, Copy)]
struct Pair {
    first: usize,
    second: usize,
    distance: u32,
    way: Way,
}

/// What the pairs came to.
pub(crate) struct Found {
    pub groups: Groups,
    pub kind: Vec<Option<Kind>>,
    pub limit: u32,
}

/// The search and its state. Which limit holds is known at the end only, so there are groups for each; pairs
/// themselves are not kept: of many noisy frames of one scene, every pair is one.
pub(crate) struct Search<'a> {
    signatures: &'a [Signature],
    labels: &'a [usize],
    state: Mutex<State>,
}

struct State {
    /// What is connected at each of [`LIMITS`].
    groups: Vec<Groups>,
    /// For each way, each image's least distance to another.
    nearest: [Vec<u32>; 2],
    /// For each image, the distance to the nearest image of another class that is not plainly a copy.
    another_class: Vec<u32>,
}

/// What was known at the start of a block.
struct Known {
    /// For each of [`LIMITS`], the root of each image's group.
    roots: Vec<Vec<usize>>,
    nearest: [Vec<u32>; 2],
}

impl<'a> Search<'a> {
    pub(crate) fn new(signatures: &'a [Signature], labels: &'a [usize]) -> Self {
        let images = signatures.len();
        let far = || vec![u32::MAX; images];
        let state = State {
            groups: LIMITS.iter().map(|_| Groups::new(images)).collect(),
            nearest: [far(), far()],
            another_class: far(),
        };
        Self { signatures, labels, state: Mutex::new(state) }
    }

    pub(crate) fn run(self) -> Result<Found> {
        for start in (0..self.signatures.len()).step_by(BLOCK) {
            interrupt::check()?;
            let known = self.lock().known();
            let block = start..self.signatures.len().min(start + BLOCK);
            block.into_par_iter().for_each(|first| {
                // One image's pairs at a time: what they say does not depend on their order.
                let pairs: Vec<Pair> = self.near_after(first, &known).collect();
                if !pairs.is_empty() {
                    let mut state = self.lock();
                    pairs.iter().for_each(|pair| state.see(pair, self.labels));
                }
            });
        }
        Ok(self.state.into_inner().unwrap_or_else(PoisonError::into_inner).settle())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The near-copies of `first` among the images after it, by the widest limit; but not those that would say nothing
    /// new.
    fn near_after<'b>(&'b self, first: usize, known: &'b Known) -> impl Iterator<Item = Pair> + 'b {
        let one = &self.signatures[first];
        let rest = &self.signatures[first + 1..];
        within(one, rest, [MAX_DISTANCE; 2]).into_iter().filter_map(move |offset| {
            let (second, other) = (first + 1 + offset, &rest[offset]);
            let ways = [Way::Plain, Way::Mirrored].map(|way| (one.distance(other, way), way));
            let near = |&(distance, way): &(u32, Way)| {
                distance <= MAX_DISTANCE
                    && !(self.labels[first] == self.labels[second] && known.has(first, second, distance, way))
                    && one.correlation(other, way) >= MIN_CORRELATION
            };
            ways.into_iter().filter(near).min_by_key(|(distance, _)| *distance).map(|(distance, way)| Pair {
                first,
                second,
                distance,
                way,
            })
        })
    }
}

impl Known {
    /// Whether a pair at this distance would change neither the groups nor what is known of its images.
    fn has(&self, first: usize, second: usize, distance: u32, way: Way) -> bool {
        let step = step(distance);
        let roots = &self.roots[step];
        let nearest = &self.nearest[way as usize];
        roots[first] == roots[second] && nearest[first].max(nearest[second]) <= LIMITS[step]
    }
}

/// The index of the strictest limit that a distance keeps.
fn step(distance: u32) -> usize {
    distance.saturating_sub(MIN_DISTANCE).div_ceil(STEP) as usize
}

impl State {
    fn known(&mut self) -> Known {
        let roots = self.groups.iter_mut().map(Groups::roots).collect();
        Known { roots, nearest: self.nearest.clone() }
    }

    fn see(&mut self, pair: &Pair, labels: &[usize]) {
        let images = [pair.first, pair.second];
        self.groups[step(pair.distance)..].iter_mut().for_each(|groups| groups.join(pair.first, pair.second));
        let nearest = &mut self.nearest[pair.way as usize];
        images.into_iter().for_each(|image| nearest[image] = nearest[image].min(pair.distance));
        if labels[pair.first] != labels[pair.second] && pair.distance > CERTAIN_DISTANCE {
            for image in images {
                self.another_class[image] = self.another_class[image].min(pair.distance);
            }
        }
    }

    /// The widest limit with few enough matches between classes.
    fn choose_limit(&self) -> u32 {
        let allowed = (FALSE_MATCHES * self.another_class.len() as f64) as usize;
        let matches = |limit| self.another_class.iter().filter(|&&distance| distance <= limit).count();
        let few = |limit: &&u32| matches(**limit) <= allowed;
        LIMITS.iter().rev().find(few).copied().unwrap_or(MIN_DISTANCE)
    }

    fn settle(mut self) -> Found {
        let limit = self.choose_limit();
        let kind = std::iter::zip(&self.nearest[0], &self.nearest[1])
            .map(|(&plain, &mirrored)| {
                let mirrored = (mirrored <= limit).then_some(Kind::Mirrored);
                if plain <= limit { Some(Kind::Near) } else { mirrored }
            })
            .collect();
        Found { groups: self.groups.swap_remove(step(limit)), kind, limit }
    }
}

#[cfg(test)]
mod tests;

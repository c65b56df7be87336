//! Copies that the search by hashes has not found: neighbours by features of which the pixels are compared.

use super::neighbours::Similar;
use super::pictures::{self, Picture};
use super::registration::{self, FINE, Parts, Placement};
use super::thumbnail::Thumbnail;
use preprocess::dataset::Rows;
use preprocess::stage::interrupt;
use preprocess::stage::progress::Progress;
use preprocess::{Error, Result};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Of each image's neighbours, those whose pixels are looked at.
const LOOKED_AT: usize = 5;

/// Cosine below which an image is no copy: planted ones lie above 0.79, 99 of 100, whatever was done to them.
const LEAST_SIMILARITY: f32 = 0.7;

/// Images that are searched, or pairs that are compared, at a time.
const BATCH: usize = 256;

/// The rows of the copies of each image; those of its own group are not looked for. `size` is the model's, width and
/// height.
///
/// # Errors
/// An image cannot be read, or the run is interrupted.
pub(super) fn find(
    similar: &[Similar],
    pictures: &[Picture],
    splits: &[&Rows],
    size: [usize; 2],
) -> Result<Vec<Vec<usize>>> {
    let placed = place(&candidates(similar), pictures)?;
    let mut copies = vec![BTreeSet::new(); pictures.len()];
    let progress = Progress::new("comparing pictures", placed.len() as u64, "pairs");
    for batch in placed.chunks(BATCH) {
        interrupt::check()?;
        let compare = |&(whole, part, found): &(usize, usize, Placement)| {
            let [whole, part] = [whole, part].map(|row| thumbnail(row, splits, size));
            Ok(registration::is_copy(&whole?, &part?, &found))
        };
        let same = batch.par_iter().map(compare).collect::<Result<Vec<bool>>>()?;
        for (&(whole, part, _), _) in batch.iter().zip(same).filter(|(_, same)| *same) {
            copies[whole].insert(part);
            copies[part].insert(whole);
        }
        progress.advance(batch.len() as u64);
    }
    Ok(copies.into_iter().map(|rows| rows.into_iter().collect()).collect())
}

/// Of each pair the better placement of one image, which comes first, with the other as a part of it.
fn place(pairs: &[(usize, usize)], pictures: &[Picture]) -> Result<Vec<(usize, usize, Placement)>> {
    let mut parts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &(first, second) in pairs {
        parts.entry(first).or_default().push(second);
        parts.entry(second).or_default().push(first);
    }
    let wholes: Vec<(usize, Vec<usize>)> = parts.into_iter().collect();
    let progress = Progress::new("laying pictures over each other", wholes.len() as u64, "images");
    let mut best: BTreeMap<(usize, usize), (usize, usize, Placement)> = BTreeMap::new();
    for batch in wholes.chunks(BATCH) {
        interrupt::check()?;
        let search = |(whole, parts): &(usize, Vec<usize>)| {
            let views = Parts::of(&pictures[*whole].thumbnail());
            let placed =
                parts.iter().filter_map(|&part| Some((*whole, part, views.place(&pictures[part].thumbnail())?)));
            placed.collect::<Vec<_>>()
        };
        for found in batch.par_iter().map(search).collect::<Vec<_>>().into_iter().flatten() {
            let (whole, part, placement) = found;
            let kept = best.entry((whole.min(part), whole.max(part))).or_insert(found);
            if placement.correlation > kept.2.correlation {
                *kept = found;
            }
        }
        progress.advance(batch.len() as u64);
    }
    Ok(best.into_values().collect())
}

/// Pairs of images that may be copies of each other, each once.
fn candidates(similar: &[Similar]) -> Vec<(usize, usize)> {
    let pairs = similar.iter().enumerate().flat_map(|(row, similar)| {
        let near = similar.neighbours.iter().take(LOOKED_AT).filter(|near| near.similarity >= LEAST_SIMILARITY);
        near.map(move |near| (row.min(near.row), row.max(near.row)))
    });
    pairs.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The thumbnail of a row, for the fine search.
fn thumbnail(mut row: usize, splits: &[&Rows], size: [usize; 2]) -> Result<Thumbnail> {
    for rows in splits {
        if row < rows.len() {
            return Ok(Thumbnail::of(&pictures::pixels(rows, row, size)?, size, FINE));
        }
        row -= rows.len();
    }
    Err(Error::new("the audit lost an image").because(format!("there is none {row} rows behind the last")))
}

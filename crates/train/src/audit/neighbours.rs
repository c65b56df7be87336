//! The most similar images of each, by the cosine of the angle between their features.
//!
//! Exact: every image is compared with every other, a tile of images at a time, on the device. Images of one group of
//! near-copies are no neighbours of each other: of them nothing can be learnt about a label.

use super::evidence::Neighbour;
use crate::ops::Backend;
use crate::ops::dense::dense;
use crate::tensor::failure::device_error;
use crate::tensor::feature_map::FeatureMap;
use crate::tensor::parameter::Parameter;
use crate::tensor::pass::Pass;
use crate::training::features::Features;
use preprocess::Result;
use preprocess::stage::interrupt;
use preprocess::stage::progress::Progress;
use rayon::prelude::*;

/// Neighbours of an image that have a vote on its label.
pub(super) const NEIGHBOURS: usize = 30;

/// Images of its class that decide how typical an image is.
const OF_CLASS: usize = 5;

/// Images that are compared with all others at a time: 512 × 17,000 cosines are 35 MB.
const TILE: usize = 512;

/// Images that the device compares with a tile at once.
const ROWS: usize = 4096;

/// What is similar to one image.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Similar {
    /// The most similar first.
    pub neighbours: Vec<Neighbour>,
    /// Mean cosine to the most similar of its class; none where there is none.
    pub typicality: Option<f32>,
}

/// Finds what is similar to each image.
///
/// # Errors
/// The device fails, or the run is interrupted.
pub(super) fn similar<B: Backend>(features: &Features, device: &B) -> Result<Vec<Similar>> {
    let (dim, count) = (features.dim, features.labels.len());
    let directions: Vec<f32> = features.values.chunks_exact(dim.max(1)).flat_map(direction).collect();
    let pool = device.pool().map_err(device_error("compare images"))?;
    let pass = Pass::infer(device, &pool);
    let chunks = directions.chunks(ROWS * dim.max(1));
    let chunks = chunks.map(|rows| FeatureMap::from_nchw(rows, [rows.len() / dim, dim, 1, 1], &pass));
    let chunks: Vec<FeatureMap<B>> = chunks.collect::<Result<_>>()?;
    let bias = |tile| Parameter::new("bias".into(), &[tile], vec![0.0; tile], false, device);
    let progress = Progress::new("comparing images", count as u64, "images");
    let mut all = Vec::with_capacity(count);
    for (tile, first) in directions.chunks(TILE * dim.max(1)).zip((0..).step_by(TILE)) {
        interrupt::check()?;
        let images = tile.len() / dim;
        let others = Parameter::new("tile".into(), &[images, dim], tile.to_vec(), false, device)?;
        let bias = bias(images)?;
        // `[count, images]`, a row an image of the set.
        let mut cosines = Vec::with_capacity(count * images);
        for rows in &chunks {
            let mut pass = Pass::infer(device, &pool);
            cosines.extend(dense(rows, &others, &bias, false, &mut pass)?.to_nchw(device)?);
        }
        let of_tile = (0..images).into_par_iter().map(|at| {
            let cosines = cosines.iter().skip(at).step_by(images).copied();
            most_similar(features, first + at, cosines)
        });
        all.extend(of_tile.collect::<Vec<_>>());
        progress.advance(images as u64);
    }
    Ok(all)
}

/// Of length 1; nothing but zeros stays so.
fn direction(row: &[f32]) -> impl Iterator<Item = f32> {
    let length = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    row.iter().map(move |&value| (f64::from(value) * scale) as f32)
}

/// What is similar to `image`, given its cosine to each image of the set.
fn most_similar(features: &Features, image: usize, cosines: impl Iterator<Item = f32>) -> Similar {
    let mut nearest = Nearest::new(NEIGHBOURS);
    let mut of_class = Nearest::new(OF_CLASS);
    for (row, similarity) in cosines.enumerate() {
        if features.groups[row] == features.groups[image] {
            continue;
        }
        let neighbour = Neighbour { row, similarity };
        nearest.take(neighbour);
        if features.labels[row] == features.labels[image] {
            of_class.take(neighbour);
        }
    }
    let of_class = of_class.kept;
    let mean = of_class.iter().map(|neighbour| neighbour.similarity).sum::<f32>() / of_class.len().max(1) as f32;
    Similar { neighbours: nearest.kept, typicality: (!of_class.is_empty()).then_some(mean) }
}

/// The most similar of those that were seen, the most similar first; of equally similar ones the first row.
struct Nearest {
    most: usize,
    kept: Vec<Neighbour>,
}

impl Nearest {
    fn new(most: usize) -> Self {
        Self { most, kept: Vec::with_capacity(most + 1) }
    }

    fn take(&mut self, neighbour: Neighbour) {
        if self.kept.len() == self.most && self.kept.last().is_some_and(|last| last.similarity >= neighbour.similarity)
        {
            return;
        }
        let at = self.kept.partition_point(|kept| kept.similarity >= neighbour.similarity);
        self.kept.insert(at, neighbour);
        self.kept.truncate(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dfdx::tensor::Cpu;
    use proptest::prelude::*;

    /// Every pair by itself, sorted.
    fn plain(features: &Features) -> Vec<Vec<(usize, f64)>> {
        let row = |at: usize| features.row(at).iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
        let length = |row: &[f64]| row.iter().map(|value| value * value).sum::<f64>().sqrt().max(1e-30);
        let cosine = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / (length(a) * length(b));
        (0..features.labels.len())
            .map(|image| {
                let others =
                    (0..features.labels.len()).filter(|&other| features.groups[other] != features.groups[image]);
                let mut others: Vec<_> = others.map(|other| (other, cosine(&row(image), &row(other)))).collect();
                others.sort_by(|a, b| b.1.total_cmp(&a.1));
                others
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_nearest_are_those_of_all_pairs(
            (dim, count) in (1usize..40, 0usize..60),
            seed in any::<u64>(),
        ) {
            let mut stream = preprocess::stage::random::stream(seed, "features", &[]);
            let values = (0..dim * count).map(|_| stream.below(1000) as f32 / 500.0 - 1.0).collect();
            let labels = (0..count).map(|_| stream.below(3)).collect();
            let groups = (0..count).map(|_| stream.below(30) as u64).collect();
            let features = Features { dim, values, labels, groups };
            let found = similar(&features, &Cpu::default()).unwrap();
            prop_assert_eq!(found.len(), count);
            for (image, (found, expected)) in found.iter().zip(plain(&features)).enumerate() {
                prop_assert_eq!(found.neighbours.len(), expected.len().min(NEIGHBOURS));
                for (neighbour, (_, cosine)) in found.neighbours.iter().zip(&expected) {
                    prop_assert!((f64::from(neighbour.similarity) - cosine).abs() < 1e-5);
                    prop_assert!(features.groups[neighbour.row] != features.groups[image]);
                }
                let of_class = expected.iter().filter(|(row, _)| features.labels[*row] == features.labels[image]);
                let of_class: Vec<f64> = of_class.map(|(_, cosine)| *cosine).take(OF_CLASS).collect();
                prop_assert_eq!(found.typicality.is_some(), !of_class.is_empty());
                if let Some(typicality) = found.typicality {
                    let mean = of_class.iter().sum::<f64>() / of_class.len() as f64;
                    prop_assert!((f64::from(typicality) - mean).abs() < 1e-5);
                }
            }
        }
    }
}

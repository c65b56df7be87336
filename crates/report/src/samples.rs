//! Which images the report shows, and their pixels.

use crate::results::{ModelResults, Results};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use preprocess::dataset::Dataset;
use preprocess::pipeline::Split;
use preprocess::stage::error::Context;
use preprocess::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use train::model::predictions::Prediction;

/// Images in the panel.
const SAMPLES: usize = 6;
/// Mistakes shown of each model.
const MISTAKES: usize = 6;

/// An image as the model sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// The PNG file.
    pub base64: String,
}

/// The images that the report shows, as row numbers into the judged split's predictions.
#[derive(Debug)]
pub struct Picks {
    /// The split.
    pub split: Split,
    /// For the panel.
    pub samples: Vec<usize>,
    /// For each model, its mistakes.
    pub mistakes: Vec<Vec<usize>>,
}

impl Picks {
    /// Picks from the judged split; `None` where there is none.
    pub fn choose(results: &Results) -> Option<Self> {
        let split = results.judged_split()?;
        let rows = |model: &ModelResults| {
            model.predictions.get(&split).map_or_else(Vec::new, |all| confident_mistakes(&all.rows))
        };
        Some(Self {
            split,
            samples: results.models.first()?.predictions.get(&split).map(|all| spread(&all.rows))?,
            mistakes: results.models.iter().map(rows).collect(),
        })
    }

    /// Paths of all picked images.
    pub fn paths<'a>(&self, results: &'a Results) -> BTreeSet<&'a str> {
        let rows = results.models.iter().filter_map(|model| model.predictions.get(&self.split));
        rows.zip(&self.mistakes)
            .flat_map(|(all, mistakes)| mistakes.iter().chain(&self.samples).map(|&row| all.rows[row].path.as_str()))
            .collect()
    }
}

/// Images of different classes, in an order that depends on their names alone: neither a person nor a score has chosen
/// them.
fn spread(rows: &[Prediction]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_cached_key(|&row| *blake3::hash(rows[row].path.as_bytes()).as_bytes());
    let mut shown: BTreeMap<usize, usize> = BTreeMap::new();
    // The n-th image of a class comes after the first n-1 of every other.
    order.sort_by_cached_key(|&row| {
        let turn = shown.entry(rows[row].label).or_default();
        *turn += 1;
        *turn
    });
    order.truncate(SAMPLES);
    order
}

/// Wrong answers, the most confident first.
fn confident_mistakes(rows: &[Prediction]) -> Vec<usize> {
    let mut wrong: Vec<usize> = (0..rows.len()).filter(|&row| rows[row].prediction != rows[row].label).collect();
    let confidence = |row: usize| rows[row].probabilities[rows[row].prediction];
    wrong.sort_by(|&a, &b| confidence(b).total_cmp(&confidence(a)).then(a.cmp(&b)));
    wrong.truncate(MISTAKES);
    wrong
}

/// Reads images out of the shards: of each split those with these paths.
///
/// # Errors
/// Shards missing or altered; an image that is not in them.
pub(crate) fn read_pictures(
    shards: &Path,
    mut wanted: BTreeMap<Split, BTreeSet<&str>>,
) -> Result<BTreeMap<String, Picture>> {
    let dataset = Dataset::open(shards)?;
    let image = &dataset.manifest().settings.image;
    let mut pictures = BTreeMap::new();
    let mut pixels = vec![0; image.width * image.height * 3];
    for (&split, wanted) in wanted.iter_mut().filter(|(_, wanted)| !wanted.is_empty()) {
        let rows = dataset.rows(split, 0)?;
        for row in 0..rows.len() {
            let path = rows.source(row);
            if wanted.remove(path) {
                rows.read_pixels(row, &mut pixels)?;
                pictures.insert(path.to_string(), Picture::encode(&pixels, image.width, image.height)?);
            }
        }
    }
    match wanted.values().flatten().next() {
        Some(path) => Err(Error::new(format!("the image `{path}` is not in the shards at `{}`", shards.display()))
            .hint("run `train` again: its predictions are of another data set")),
        None => Ok(pictures),
    }
}

impl Picture {
    /// A picture of 8-bit RGB pixels, `[height, width, 3]`.
    ///
    /// # Errors
    /// `pixels` is not of that size.
    pub fn encode(pixels: &[u8], width: usize, height: usize) -> Result<Self> {
        let mut png = Vec::new();
        PngEncoder::new(&mut png)
            .write_image(pixels, width as u32, height as u32, ExtendedColorType::Rgb8)
            .context(|| format!("cannot encode an image of {width}x{height} pixels"))?;
        Ok(Self { width, height, base64: STANDARD.encode(png) })
    }
}

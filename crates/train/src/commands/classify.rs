//! Image files read with the model's preprocessing, and classified in batches.

use crate::model::inference::Inference;
use crate::model::no_numbers;
use crate::ops::Backend;
use preprocess::image::{self, ImageError};
use preprocess::stage::{interrupt, progress::Progress};
use preprocess::{Error, Result};
use rayon::prelude::*;
use std::path::PathBuf;

/// Images that are decoded and classified at a time.
const BATCH_SIZE: usize = 32;

/// Classifies the files, handing each one's logits, or why it could not be read, to `take` in the order of the files.
///
/// # Errors
/// The device fails, the network's output is not finite, or the run is interrupted. A file that cannot be read is no
/// error here.
pub(crate) fn classify<B: Backend>(
    inference: &mut Inference<'_, B>,
    files: &[PathBuf],
    mut take: impl FnMut(usize, std::result::Result<&[f32], ImageError>) -> Result<()>,
) -> Result<()> {
    let progress = Progress::new("classifying", files.len() as u64, "images");
    for (batch, first) in files.chunks(BATCH_SIZE).zip((0..).step_by(BATCH_SIZE)) {
        interrupt::check()?;
        let settings = &inference.model.image;
        let images: Vec<_> = batch.par_iter().map(|file| image::load(file, settings)).collect();
        let pixels = images.iter().flatten().map(|pixels| pixels.data.as_slice()).collect::<Vec<_>>().concat();
        let logits = if pixels.is_empty() { Vec::new() } else { inference.logits(&pixels)? };
        let mut logits = logits.chunks_exact(inference.model.classes);
        for (image, at) in images.into_iter().zip(first..) {
            match image {
                Ok(_) => {
                    let logits = logits.next().ok_or_else(|| Error::new("the network lost an image of a batch"))?;
                    if !logits.iter().all(|logit| logit.is_finite()) {
                        return Err(no_numbers(&files[at].display().to_string()));
                    }
                    take(at, Ok(logits))?;
                }
                Err(error) => take(at, Err(error))?,
            }
        }
        progress.advance(batch.len() as u64);
    }
    Ok(())
}

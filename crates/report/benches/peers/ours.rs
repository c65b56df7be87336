//! What ours does in a race: images a second.

use crate::shared::BATCH;
use crate::shared::timing::median;
use dfdx::tensor::Cpu;
use preprocess::augment::augment;
use preprocess::image::load;
use preprocess::pipeline::PreprocessSettings;
use preprocess::{Error, Result};
use rayon::prelude::*;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use train::commands::profile;
use train::data::shards::TrainingData;
use train::model::Model;
use train::model::inference::Inference;
use train::training::plan::ModelPlan;

/// Whole training steps: the batches are read from the shards meanwhile, loss and accuracy are counted. The median of
/// `steps`.
pub fn training(plan: &ModelPlan, data: &TrainingData, steps: usize) -> Result<f64> {
    let profile = profile::measure(plan, data, steps, &Cpu::default())?;
    Ok(profile.images as f64 / median(profile.steps.iter().map(Duration::as_secs_f64).collect()))
}

/// Inference of `runs` batches.
pub fn inference(model: &Model<Cpu>, runs: usize) -> Result<f64> {
    let pixels: Vec<u8> = (0..BATCH * model.image_bytes()).map(|at| ((at * 2_654_435_761) >> 13) as u8).collect();
    let mut inference = Inference::of(model)?;
    inference.logits(&pixels)?;
    let started = Instant::now();
    for _ in 0..runs {
        black_box(inference.logits(&pixels)?);
    }
    Ok((BATCH * runs) as f64 / started.elapsed().as_secs_f64())
}

/// Files to one augmented copy each, in memory.
pub fn augmented(files: &[PathBuf], settings: &PreprocessSettings) -> Result<f64> {
    let started = Instant::now();
    let failed = files.par_iter().enumerate().find_map_any(|(at, file)| match load(file, &settings.image) {
        Ok(pixels) => {
            black_box(augment(&pixels, &settings.augment, 1, "photograph", at + 1));
            None
        }
        Err(error) => Some(Error::new(format!("cannot decode `{}`", file.display())).because(error.to_string())),
    });
    failed.map_or(Ok(files.len() as f64 / started.elapsed().as_secs_f64()), Err)
}

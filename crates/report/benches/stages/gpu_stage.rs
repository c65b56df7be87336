//! The networks on a GPU: every op, whole steps and inference, in both precisions.
//!
//! A kernel's time shows only where it is waited for, so an op's row holds what a wait takes (the heading says how
//! much). Whole steps and inference are measured without: many in a row, and one wait at the end.

use crate::rows::{Rows, Work};
use crate::shared::gpu::{self, Gpu};
use crate::shared::programs::Programs;
use crate::train_stage::{self, ops};
use preprocess::Result;
use train::commands::profile::{MeanTime, StepProfile, inference_time, step_time};
use train::data::shards::TrainingData;
use train::model::Model;
use train::training::plan::{self, ModelPlan};

/// The most steps, or batches of inference, in one measurement.
const MOST_STEPS: usize = 1000;

/// Adds the rows of the stage, on the shards of `programs`.
pub fn measure(gpu: &Gpu, programs: &Programs, rows: &mut Rows) -> Result<()> {
    let pipeline = programs.pipeline()?;
    let data = TrainingData::open(&pipeline)?;
    for precision in gpu::PRECISIONS {
        rows.set_peak(gpu.select(precision));
        for plan in plan::plan(&pipeline, &[], &data)? {
            let stage = format!("{}, {}", train_stage::name(plan.settings.architecture), gpu::name(precision));
            let profile = ops(&plan, &data, &stage, gpu.sizes.budget, &gpu.device, rows)?;
            for batch in gpu.sizes.batches {
                whole(gpu, &plan.with_batch_size(batch), &data, &stage, &profile, rows)?;
            }
        }
    }
    Ok(())
}

/// Steps and inference at the plan's batch size.
fn whole(
    gpu: &Gpu,
    plan: &ModelPlan,
    data: &TrainingData,
    stage: &str,
    profile: &StepProfile,
    rows: &mut Rows,
) -> Result<()> {
    let count = |time: MeanTime| {
        let wanted = gpu.sizes.budget.as_secs_f64() / time.time.as_secs_f64();
        wanted.clamp(1.0, MOST_STEPS as f64) as usize
    };
    let probe = step_time(plan, data, 2, &gpu.device)?;
    let step = step_time(plan, data, count(probe), &gpu.device)?;
    let work = |time: MeanTime, flops: usize| Work {
        seconds: time.time.as_secs_f64(),
        images: time.images,
        flops: flops * time.images / profile.images,
        bytes: 0,
    };
    let name = format!("the whole step, {} images", step.images);
    rows.add(stage, &name, work(step, profile.flops()));

    let model = Model::new(plan.settings.architecture, plan.classes.len(), &plan.image, plan.seed, &gpu.device)?;
    let probe = inference_time(&model, plan.batch_size, 1)?;
    let inference = inference_time(&model, plan.batch_size, count(probe))?;
    let name = format!("inference, {} images", inference.images);
    rows.add(stage, &name, work(inference, train_stage::forward_flops(profile)));
    Ok(())
}

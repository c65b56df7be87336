//! How fast the networks train here.

use crate::Setup;
use crate::findings::Findings;
use crate::networks::{BASELINE, Network, RESNET};
use crate::shared::gpu::{PRECISIONS, name};
use crate::shared::photos::Photos;
use crate::shared::programs::Programs;
use crate::shared::table::number;
use preprocess::{Error, Result};
use train::commands::profile::step_time;
use train::data::shards::TrainingData;
use train::training::plan;

/// Training images of the notebook's data set, which is what the goals are about.
const EPOCH: f64 = 12_411.0;
/// Steps that are long enough to measure.
const STEPS: usize = 400;

/// Seconds that an epoch may take at the smaller batch size in TF32, and what is aimed at.
const GOALS: [(&Network, f64, f64); 2] = [(&RESNET, 2.0, 1.0), (&BASELINE, 4.0, 1.0)];

/// Whole training steps on drawn photographs.
pub fn training(setup: &Setup, findings: &mut Findings) -> Result<()> {
    let sizes = setup.gpu.sizes;
    let photos = Photos::gather(sizes.photos)?;
    let programs = Programs::of_size(photos.directory(), sizes.side, sizes.batches[0])?;
    programs.run("preprocess", &[])?;
    let pipeline = programs.pipeline()?;
    let data = TrainingData::open(&pipeline)?;
    for (network, most, aim) in GOALS {
        let plans = plan::plan(&pipeline, &[network.model.to_owned()], &data)?;
        let plan = plans.first().ok_or_else(|| Error::new("a model is missing"))?;
        for precision in PRECISIONS {
            setup.gpu.select(precision);
            for batch in sizes.batches {
                let plan = plan.with_batch_size(batch);
                let steps = if setup.gpu.is_emulated() { 1 } else { STEPS };
                let step = step_time(&plan, &data, steps, &setup.gpu.device)?;
                let what = format!("{}, training, {} images a step, {}", network.title, step.images, name(precision));
                let rate = format!("{} images/s", number(step.rate()));
                if precision != PRECISIONS[0] || batch != sizes.batches[0] {
                    findings.note(what, rate);
                    continue;
                }
                let seconds = EPOCH / step.rate();
                let measured = format!("{rate}: {seconds:.2} s for {} images", number(EPOCH));
                let goal = format!("at most {most:.0} s, aim {aim:.0} s");
                match setup.gpu.is_emulated() {
                    true => findings.not_run(what, format!("emulated ({measured}); the goal is {goal}")),
                    false => findings.judge(seconds <= most, what, measured, goal),
                }
            }
        }
    }
    Ok(())
}

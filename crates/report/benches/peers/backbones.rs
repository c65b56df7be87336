//! The networks that pretrained weights are for, beside timm's in PyTorch.

use crate::contest::{Goal, Outcome, Peers};
use crate::ours;
use crate::shared::BATCH;
use crate::shared::programs::Programs;
use dfdx::tensor::Cpu;
use preprocess::pipeline::Architecture;
use preprocess::{Error, Result};
use std::path::Path;
use train::data::shards::TrainingData;
use train::model::Model;
use train::training::plan::{self, ModelPlan};

/// Ours, and timm's name.
const NETWORKS: [(Architecture, &str); 4] = [
    (Architecture::EfficientnetLite0, "tf_efficientnet_lite0"),
    (Architecture::Mobilenetv4ConvSmall, "mobilenetv4_conv_small"),
    (Architecture::Resnet18, "resnet18"),
    (Architecture::Resnet50, "resnet50"),
];

/// Pixels.
const SIDES: [usize; 2] = [128, 224];

/// Training steps, or batches of inference, in a turn.
const STEPS: usize = 2;

/// Each network at each size: a training step and inference.
///
/// # Errors
/// Ours or a peer fails.
pub fn race(photos: &Path, rounds: usize, mut add: impl FnMut(&Goal, &Outcome)) -> Result<()> {
    for side in SIDES {
        let programs = Programs::of_size(photos, side, BATCH)?;
        programs.run("preprocess", &[])?;
        let pipeline = programs.pipeline()?;
        let data = TrainingData::open(&pipeline)?;
        let plans = plan::plan(&pipeline, &["resnet".to_owned()], &data)?;
        let like = plans.first().ok_or_else(|| Error::new("the benchmark has no model"))?;
        for (architecture, name) in NETWORKS {
            let mut plan: ModelPlan = like.clone();
            plan.settings.architecture = architecture;
            let mut peers = Peers::start(&[
                ("PyTorch contiguous", "torch_networks.py", &["contiguous"]),
                ("PyTorch channels-last", "torch_networks.py", &["channels-last"]),
            ])?;
            let request = |what: &str| format!("{name} {what} {STEPS} {BATCH} {side}");
            let training = peers.race(rounds, &request("train"), || ours::training(&plan, &data, STEPS))?;
            add(&Goal::more(format!("{} at {side}, training step", architecture.name()), 1.0, 1.5), &training);
            let model = Model::new(architecture, plan.classes.len(), &plan.image, plan.seed, &Cpu::default())?;
            let inference = peers.race(rounds, &request("infer"), || ours::inference(&model, STEPS))?;
            add(&Goal::more(format!("{} at {side}, inference", architecture.name()), 1.0, 1.25), &inference);
        }
    }
    Ok(())
}

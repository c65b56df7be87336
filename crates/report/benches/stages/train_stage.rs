//! Every op of a training step, the whole step with all that belongs to it, and inference; for both models.

use crate::rows::{Rows, Work};
use crate::shared::programs::Programs;
use crate::shared::{BATCH, timing};
use dfdx::tensor::Cpu;
use preprocess::Result;
use preprocess::pipeline::Architecture;
use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;
use train::commands::profile::{Part, StepProfile, measure as measure_steps};
use train::data::shards::TrainingData;
use train::model::Model;
use train::model::inference::Inference;
use train::network::summary::ParameterCounts;
use train::ops::Backend;
use train::tensor::op_times::Direction;
use train::training::plan::{self, ModelPlan};

/// Of training to measure, of each model.
const TRAINING: Duration = Duration::from_secs(8);
/// For inference.
const BUDGET: Duration = Duration::from_millis(1500);
const FLOAT: usize = size_of::<f32>();

/// Adds the rows of the stage, on the shards of `programs`.
pub fn measure(programs: &Programs, rows: &mut Rows) -> Result<()> {
    let pipeline = programs.pipeline()?;
    let data = TrainingData::open(&pipeline)?;
    for plan in plan::plan(&pipeline, &[], &data)? {
        let stage = name(plan.settings.architecture);
        let profile = ops(&plan, &data, stage, TRAINING, &Cpu::default(), rows)?;
        rows.add(stage, "the whole step, all of the above and what lies between", whole_step(&profile));
        rows.add(stage, "inference", inference(&plan, &profile)?);
    }
    Ok(())
}

/// The stage's name for an architecture.
pub fn name(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Resnet => "train, ResNet",
        Architecture::BaselineCnn => "train, baseline CNN",
        Architecture::Resnet18 | Architecture::Resnet34 | Architecture::Resnet50 => "train, torchvision's ResNet",
        Architecture::EfficientnetLite0 => "train, EfficientNet-Lite0",
        Architecture::Mobilenetv4ConvSmall => "train, MobileNetV4-Conv-S",
    }
}

/// Adds a row for every op of a training step, after about as much training as `budget` has time for.
pub fn ops<B: Backend>(
    plan: &ModelPlan,
    data: &TrainingData,
    stage: &str,
    budget: Duration,
    device: &B,
    rows: &mut Rows,
) -> Result<StepProfile> {
    let probe = measure_steps(plan, data, 2, device)?;
    let steps = (budget.as_secs_f64() / (probe.time().as_secs_f64() / 2.0)).clamp(3.0, 200.0) as usize;
    let profile = measure_steps(plan, data, steps, device)?;
    let model = Model::new(plan.settings.architecture, plan.classes.len(), &plan.image, plan.seed, device)?;
    let traffic = Traffic::of(&model, profile.images);
    for part in &profile.parts {
        let work = Work {
            seconds: part.fastest.as_secs_f64(),
            images: profile.images,
            flops: part.flops / steps,
            bytes: if part.flops > 0 { 0 } else { traffic.bytes(part) },
        };
        // What lies between the ops has no fastest run of its own.
        if !part.fastest.is_zero() {
            rows.add(stage, &name_of(part), work);
        }
    }
    Ok(profile)
}

fn name_of(part: &Part) -> String {
    match part.direction {
        Some(direction) => format!("{} {direction}", part.name),
        None => part.name.clone(),
    }
}

fn whole_step(profile: &StepProfile) -> Work {
    let seconds = timing::median(profile.steps.iter().map(Duration::as_secs_f64).collect());
    Work { seconds, images: profile.images, flops: profile.flops(), bytes: 0 }
}

fn inference(plan: &ModelPlan, profile: &StepProfile) -> Result<Work> {
    let device = Cpu::default();
    let model = Model::new(plan.settings.architecture, plan.classes.len(), &plan.image, plan.seed, &device)?;
    let pixels: Vec<u8> = (0..BATCH * model.image_bytes()).map(|at| ((at * 2_654_435_761) >> 13) as u8).collect();
    let mut inference = Inference::of(&model)?;
    inference.logits(&pixels)?;
    let seconds = timing::seconds(BUDGET, || drop(black_box(inference.logits(&pixels))));
    let flops = forward_flops(profile) * BATCH / profile.images;
    Ok(Work { seconds, images: BATCH, flops, bytes: 0 })
}

/// Floating-point operations of a step's forward pass, as the direct algorithms have them.
pub fn forward_flops(profile: &StepProfile) -> usize {
    let forward = profile.parts.iter().filter(|part| part.direction == Some(Direction::Forward));
    forward.map(|part| part.flops).sum::<usize>() / profile.steps.len()
}

/// The least that ops without much arithmetic must move between memory and processor.
struct Traffic {
    /// For each layer, its kind and the values of its output for a batch.
    layers: HashMap<String, (&'static str, usize)>,
    image_values: usize,
    trainable: usize,
    /// Whether a flattened image is a copy: in plain `[n, c, h, w]` order it lies as it lay.
    copies_flattened: bool,
}

impl Traffic {
    fn of<B: Backend>(model: &Model<B>, images: usize) -> Self {
        let nodes = model.network.graph().nodes().iter();
        let layers = nodes.map(|node| (node.name.clone(), (node.layer.kind(), images * node.output.values())));
        Self {
            layers: layers.collect(),
            image_values: images * model.image_bytes(),
            trainable: ParameterCounts::of(model.network.graph()).trainable,
            copies_flattened: !B::ASYNCHRONOUS,
        }
    }

    /// Bytes of one run; 0 where they are not the bound, or not known.
    fn bytes(&self, part: &Part) -> usize {
        match part.name.as_str() {
            "bytes to floats" => return self.image_values * (1 + FLOAT),
            // Reads weight, gradient and two moments; writes all but the gradient.
            "optimiser" => return self.trainable * 7 * FLOAT,
            // Reads average and weight, writes the average.
            "moving average" => return self.trainable * 3 * FLOAT,
            _ => {}
        }
        let Some(&(kind, values)) = self.layers.get(&part.name) else { return 0 };
        let moved = match (kind, part.direction) {
            // Sums over input and output's gradient. All else that it does happens within the convolutions around it.
            ("BatchNorm2d", Some(Direction::Backward)) => 2 * values,
            // Four inputs an output, whichever way.
            ("MaxPool2d", _) => 5 * values,
            ("Flatten", _) if self.copies_flattened => 2 * values,
            _ => 0,
        };
        moved * FLOAT
    }
}

//! A training step: what happens to a network with one batch, and how long each part of that takes.

use crate::data::feed::Batch;
use crate::data::store::Pixels;
use crate::model::Model;
use crate::model::input::{batch_to_feature_map, images_to_feature_map};
use crate::model::score::Score;
use crate::ops::Backend;
use crate::ops::cross_entropy::{ImageScore, Targets, cross_entropy};
use crate::ops::mix::mix;
use crate::tensor::failure::device_error;
use crate::tensor::feature_map::FeatureMap;
use crate::tensor::memory::MemoryUse;
use crate::tensor::op_times::Profile;
use crate::tensor::pass::Pass;
use crate::training::average::Average;
use crate::training::mixing::Mixing;
use crate::training::optimizer::Optimizer;
use crate::training::plan::ModelPlan;
use crate::training::rare_classes::RareClasses;
use dfdx::tensor::Synchronize;
use dfdx::tensor_ops::Backward;
use preprocess::pipeline::{ImageSettings, Tune};
use preprocess::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A network in training, and all that a step changes.
pub(crate) struct Learner<B: Backend> {
    /// The network.
    pub model: Model<B>,
    /// What moves its parameters.
    pub optimizer: Optimizer<B>,
    /// What is validated and kept instead of the parameters, where the settings ask for it.
    pub average: Option<Average<B>>,
    /// Over all steps so far.
    pub clocks: StepClocks,
    /// Where each op's time is recorded, if it is.
    pub ops: Option<Profile>,
    seed: u64,
    label_smoothing: f64,
    rare: RareClasses,
    mixing: Option<Mixing>,
    /// Images of the last step.
    images: usize,
}

impl<B: Backend> Learner<B> {
    /// A new network, ready for its first step.
    ///
    /// # Errors
    /// Images too small for the architecture; the device has no memory left.
    pub(crate) fn new(plan: &ModelPlan, device: &B) -> Result<Self> {
        let settings = &plan.settings;
        let model = first_model(plan, device)?;
        let (parameters, head) = (model.network.parameters(), model.network.graph().stages());
        let stages: HashMap<&str, usize> =
            model.network.parameter_stages().map(|(parameter, stage)| (parameter.name.as_str(), stage)).collect();
        let below = |name: &str| head - stages.get(name).map_or(head, |&stage| stage.min(head));
        let optimizer = Optimizer::of(settings, &parameters, device)?.with_rates(|name| settings.rate_at(below(name)));
        let average = (settings.ema_decay > 0.0).then(|| Average::new(settings.ema_decay, &parameters, device));
        let average = average.transpose()?;
        drop(parameters);
        Ok(Self {
            model,
            optimizer,
            average,
            clocks: StepClocks::default(),
            ops: None,
            seed: plan.seed,
            label_smoothing: settings.label_smoothing,
            rare: plan.rare.clone(),
            mixing: Mixing::new(settings, &plan.image, plan.seed),
            images: 0,
        })
    }

    /// Gives back the memory that is kept from step to step.
    ///
    /// # Errors
    /// The device failed.
    pub(crate) fn release_memory(&mut self) -> Result<()> {
        self.images = 0;
        self.model.release_memory()
    }

    /// Forward, backward, one step of the optimiser and of the moving average. `score` counts against the labels
    /// themselves, of mixed images that with the larger share, whatever the targets. Returns the margin of each image
    /// that was not mixed.
    ///
    /// # Errors
    /// The device failed. If it had not enough memory, the error says how much the step needs and which batch size
    /// fits.
    pub(crate) fn step(&mut self, batch: &Batch<Pixels<B>>, score: &mut Score) -> Result<Vec<Option<f32>>> {
        let images = batch.labels.len();
        if self.images != images {
            // Buffers of the last batch of an epoch, which is smaller, would come on top of all others.
            self.model.release_memory()?;
            self.images = images;
        }
        let ImageSettings { width, height, .. } = self.model.image;
        let of = self.model.network.graph().standardization();
        let mixed = self.mixing.map(|mixing| mixing.batch(&batch.labels, u64::from(self.optimizer.step())));
        let (labels, of_others) = match &mixed {
            Some(mixed) => (&mixed.labels, Some((&mixed.others[..], &mixed.shares[..]))),
            None => (&batch.labels, None),
        };
        let upload = |pass: &mut Pass<B>| {
            let images = batch_to_feature_map(batch, height, width, of, pass)?;
            mixed.as_ref().map_or(Ok(images.clone()), |mixed| mix(&images, &mixed.mixes, of.grey(), pass))
        };
        let stepped = self.learn(upload, labels, of_others, score);
        let scores = stepped.map_err(|error| {
            if error.kind() == ErrorKind::OutOfMemory { self.out_of_memory(images, error) } else { error }
        })?;
        let is_whole = |image: usize| mixed.as_ref().is_none_or(|mixed| mixed.shares[image] == 1.0);
        Ok(scores.iter().enumerate().map(|(image, score)| is_whole(image).then_some(score.margin)).collect())
    }

    /// The step itself, from `upload` on, which brings the images. Mixed ones are of other classes too, in part.
    fn learn(
        &mut self,
        upload: impl FnOnce(&mut Pass<B>) -> Result<FeatureMap<B>>,
        labels: &[usize],
        mixed: Option<(&[usize], &[f32])>,
        score: &mut Score,
    ) -> Result<Vec<ImageScore>> {
        let StepClocks { input, forward, metrics, loss, backward, optimizer, average } = &mut self.clocks;
        let Model { network, device, pool, .. } = &mut self.model;
        let mut pass = Pass::train(device, pool, self.seed, u64::from(self.optimizer.step()));
        if let Some(ops) = &self.ops {
            pass = pass.with_profile(ops);
        }
        // With a profile, a part ends when the device is done with it, not when it has been asked for.
        let wait_for = self.ops.is_some().then(|| device.clone());
        let wait_for = wait_for.as_ref();
        let x = part(input, wait_for, || upload(&mut pass))?;
        let logits = part(forward, wait_for, || network.forward(x, &mut pass))?;
        let targets = Targets { mixed, ..self.rare.targets(labels, self.label_smoothing) };
        let (loss, scores) = part(loss, wait_for, || cross_entropy(&logits, &targets, &mut pass))?;
        drop(logits);
        let mut gradients = part(backward, wait_for, || loss.try_backward().map_err(device_error("backward")))?;
        part(optimizer, wait_for, || self.optimizer.update(network.parameters_mut(), &mut gradients))?;
        if let Some(moving) = &mut self.average {
            part(average, wait_for, || moving.update(&network.parameters(), self.optimizer.step()))?;
        }
        // Last, so that the device has all of the step to do before anybody waits for it.
        metrics.time(|| {
            let scores = scores.read(labels, device)?;
            score.add_images(&scores, labels);
            Ok(scores)
        })
    }

    /// What to do about a step that the device had too little memory for. Finds the batch size that fits by trying
    /// smaller steps; the network has no use any more.
    fn out_of_memory(&mut self, images: usize, error: Error) -> Error {
        let gib = |bytes: u64| format!("{:.3} GiB", bytes as f64 / (1u64 << 30) as f64);
        let mut halves =
            std::iter::successors(Some(images / 2), |&images| Some(images / 2)).take_while(|&images| images > 0);
        match halves.find_map(|images| Some((images, self.memory_of_step(images)?))) {
            Some((fitting, MemoryUse { taken, free })) => {
                let needed = gib(taken * images as u64 / fitting as u64);
                error
                    .while_doing(format!(
                        "a step of {images} images needs about {needed} for activations and gradients; there are {}",
                        gib(taken + free)
                    ))
                    .hint(format!("a step of {fitting} images fits: `--set train.batch_size={fitting}`"))
            }
            None => error.while_doing("a step of one image is too much too"),
        }
    }

    /// What a step of so many images takes; none if it fails.
    fn memory_of_step(&mut self, images: usize) -> Option<MemoryUse> {
        self.model.release_memory().ok()?;
        let ImageSettings { width, height, .. } = self.model.image;
        let (pixels, labels) = (vec![0; images * self.model.image_bytes()], vec![0; images]);
        let of = self.model.network.graph().standardization();
        let upload = |pass: &mut Pass<B>| images_to_feature_map(&pixels, images, height, width, of, pass);
        self.learn(upload, &labels, None, &mut Score::default()).ok()?;
        self.model.device.memory_use(&self.model.pool).ok()
    }
}

/// The network before its first step. Of a pretrained one the backbone is as it came; the stages that are not tuned
/// stand still.
pub(crate) fn first_model<B: Backend>(plan: &ModelPlan, device: &B) -> Result<Model<B>> {
    let graph = plan.graph()?;
    let (stages, head) = (graph.stages(), graph.head().map(|head| head.name.clone()).unwrap_or_default());
    let mut model = Model::of(graph, plan.classes.len(), &plan.image, plan.seed, device)?;
    if let Some(weights) = &plan.pretrained {
        model.set_some_weights(weights.backbone(&model.shapes(), &head)?)?;
        match plan.settings.tuned() {
            Tune::All => {}
            Tune::Head => model.network.freeze(stages),
            Tune::Last(tuned) => model.network.freeze(stages.saturating_sub(tuned)),
        }
    }
    Ok(model)
}

/// Runs a part of a step and adds its time, until the device is done with it if it is to be waited for.
fn part<B: Backend, R>(clock: &mut Clock, wait_for: Option<&B>, run: impl FnOnce() -> Result<R>) -> Result<R> {
    clock.time(|| {
        let result = run()?;
        wait_for.map_or(Ok(()), Synchronize::try_synchronize).map_err(device_error("the wait for a part of a step"))?;
        Ok(result)
    })
}

/// The parts of a step, in their order.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct StepClocks {
    /// From bytes to floats on the device.
    pub input: Clock,
    /// Images to logits.
    pub forward: Clock,
    /// The loss on the tape.
    pub loss: Clock,
    /// Gradients of all parameters.
    pub backward: Clock,
    /// The optimiser.
    pub optimizer: Clock,
    /// The moving average.
    pub average: Clock,
    /// Loss and accuracy for the history.
    pub metrics: Clock,
}

/// Time spent in one part of a step.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Clock {
    /// Over all steps.
    pub time: Duration,
    /// Of the fastest step; none before the first.
    pub fastest: Option<Duration>,
}

impl Clock {
    /// Runs it and adds the time that it took.
    pub(crate) fn time<R>(&mut self, run: impl FnOnce() -> R) -> R {
        let started = Instant::now();
        let result = run();
        let time = started.elapsed();
        self.time += time;
        self.fastest = Some(self.fastest.map_or(time, |fastest| fastest.min(time)));
        result
    }
}

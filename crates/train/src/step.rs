//! A training step: what happens to a network with one batch, and how long each part of that takes.

use crate::average::Average;
use crate::backend::{Backend, Pixels};
use crate::feature_map::batch_to_feature_map;
use crate::feed::Batch;
use crate::metrics::Score;
use crate::model::Model;
use crate::optimizer::Adam;
use crate::pass::{Pass, Profile, device_error};
use crate::plan::ModelPlan;
use dfdx::losses::cross_entropy_with_logits_loss;
use dfdx::tensor::PutTape;
use dfdx::tensor_ops::Backward;
use preprocess::Result;
use std::time::{Duration, Instant};

/// A network in training, and all that a step changes.
pub struct Learner<B: Backend> {
    /// The network.
    pub model: Model<B>,
    /// What moves its parameters.
    pub optimizer: Adam<B>,
    /// What is validated and kept instead of the parameters, where the settings ask for it.
    pub average: Option<Average<B>>,
    /// Over all steps so far.
    pub clocks: StepClocks,
    /// Where each op's time is recorded, if it is.
    pub ops: Option<Profile>,
    seed: u64,
    label_smoothing: f64,
    /// Images of the last step.
    images: usize,
}

impl<B: Backend> Learner<B> {
    /// A new network, ready for its first step.
    ///
    /// # Errors
    /// Images too small for the architecture; the device has no memory left.
    pub fn new(plan: &ModelPlan, device: &B) -> Result<Self> {
        let settings = &plan.settings;
        let model = Model::new(settings.architecture, plan.classes.len(), &plan.image, plan.seed, device)
            .map_err(|error| error.while_doing(format!("`train.models.{}` cannot be built", plan.name)))?;
        let parameters = model.network.parameters();
        let optimizer = Adam::new(settings.learning_rate, &parameters, device)?;
        let optimizer = optimizer.with_weight_decay(settings.weight_decay);
        let average = (settings.ema_decay > 0.0).then(|| Average::new(settings.ema_decay, &parameters, device));
        let average = average.transpose()?;
        drop(parameters);
        let (clocks, seed, label_smoothing) = (StepClocks::default(), plan.seed, settings.label_smoothing);
        Ok(Self { model, optimizer, average, clocks, ops: None, seed, label_smoothing, images: 0 })
    }

    /// Gives back the memory that is kept from step to step.
    ///
    /// # Errors
    /// The device failed.
    pub fn release_memory(&mut self) -> Result<()> {
        self.images = 0;
        self.model.release_memory()
    }

    /// Forward, backward, one step of Adam and of the moving average. `score` counts against the labels themselves, whatever the
    /// targets.
    ///
    /// # Errors
    /// The device failed.
    pub fn step(&mut self, batch: &Batch<Pixels<B>>, score: &mut Score) -> Result<()> {
        if self.images != batch.labels.len() {
            // Buffers of the last batch of an epoch, which is smaller, would come on top of all others.
            self.model.release_memory()?;
            self.images = batch.labels.len();
        }
        let StepClocks { input, forward, metrics, loss, backward, optimizer, average } = &mut self.clocks;
        let Model { network, device, pool, image, classes } = &mut self.model;
        let (images, classes) = (batch.labels.len(), *classes);
        let mut pass = Pass::train(device, pool, self.seed, u64::from(self.optimizer.step()));
        if let Some(ops) = &self.ops {
            pass = pass.with_profile(ops);
        }
        let x = input.time(|| batch_to_feature_map(batch, image.height, image.width, &pass))?;
        let logits = forward.time(|| network.forward(x, &mut pass))?;
        metrics.time(|| score.add(&logits.as_vec(), &batch.labels));
        let loss = loss.time(|| {
            let targets = targets(&batch.labels, classes, self.label_smoothing);
            let targets =
                device.try_tensor_from_vec(targets, (images, classes)).map_err(device_error("upload labels"))?;
            Ok::<_, preprocess::Error>(cross_entropy_with_logits_loss(logits.put_tape(pass.take_tape()), targets))
        })?;
        let mut gradients = backward.time(|| loss.try_backward()).map_err(device_error("backward"))?;
        optimizer.time(|| self.optimizer.update(network.parameters_mut(), &mut gradients))?;
        let Some(moving) = &mut self.average else { return Ok(()) };
        average.time(|| moving.update(&network.parameters(), self.optimizer.step()))
    }
}

/// Target probabilities `[images, classes]`: `smoothing` spread evenly over all classes, the rest for the label.
fn targets(labels: &[usize], classes: usize, smoothing: f64) -> Vec<f32> {
    let share = smoothing / classes as f64;
    let mut targets = vec![share as f32; labels.len() * classes];
    for (row, &label) in targets.chunks_exact_mut(classes).zip(labels) {
        row[label] = (share + 1.0 - smoothing) as f32;
    }
    targets
}

/// The parts of a step, in their order.
#[derive(Debug, Default, Clone, Copy)]
pub struct StepClocks {
    /// From bytes to floats on the device.
    pub input: Clock,
    /// Images to logits.
    pub forward: Clock,
    /// Loss and accuracy for the history.
    pub metrics: Clock,
    /// The loss on the tape.
    pub loss: Clock,
    /// Gradients of all parameters.
    pub backward: Clock,
    /// Adam.
    pub optimizer: Clock,
    /// The moving average.
    pub average: Clock,
}

/// Time spent in one part of a step.
#[derive(Debug, Default, Clone, Copy)]
pub struct Clock {
    /// Over all steps.
    pub time: Duration,
    /// Of the fastest step; none before the first.
    pub fastest: Option<Duration>,
}

impl Clock {
    /// Runs it and adds the time that it took.
    pub fn time<R>(&mut self, run: impl FnOnce() -> R) -> R {
        let started = Instant::now();
        let result = run();
        let time = started.elapsed();
        self.time += time;
        self.fastest = Some(self.fastest.map_or(time, |fastest| fastest.min(time)));
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_probabilities() {
        assert_eq!(targets(&[1, 0], 2, 0.0), [0.0, 1.0, 1.0, 0.0]);
        assert_eq!(targets(&[3], 4, 0.5), [0.125, 0.125, 0.125, 0.625]);
    }
}

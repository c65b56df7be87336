//! The training loop: epochs of steps, a validation and a checkpoint after each, the best epoch's weights at the end.

use crate::data::copies::EpochImages;
use crate::data::feed::Feed;
use crate::data::images::Images;
use crate::data::order;
use crate::data::shards::Data;
use crate::model::directory;
use crate::model::history::{self, EpochScores, EpochTiming};
use crate::model::inference::Inference;
use crate::model::score::Score;
use crate::network::summary::ParameterCounts;
use crate::ops::Backend;
use crate::tensor::arrays::Array;
use crate::training::checkpoint::{self, CHECKPOINT_DIRECTORY, Checkpoint, Found};
use crate::training::early_stopping::{self, Stop, best_epoch, kept_epoch};
use crate::training::events::{Event, Listener};
use crate::training::fitted::Fitted;
use crate::training::margins::Margins;
use crate::training::optimizer::SavedMoments;
use crate::training::plan::ModelPlan;
use crate::training::schedule::LearningRates;
use crate::training::step::Learner;
use crate::training::tuning;
use preprocess::pipeline::{Sampler, Schedule};
use preprocess::stage::interrupt;
use preprocess::{Error, Result};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Trains a model in the plan's directory, or goes on where a run of the same plan stopped, there or in the directory
/// `earlier`. After every epoch the plan's directory holds a checkpoint, `history.csv` and `timings.csv`; `earlier` is
/// only read.
///
/// # Errors
/// A loss that is not finite, a shard altered or missing, a full disk, an interruption. Checkpoints stay.
pub(crate) fn fit<B: Backend, D: Data>(
    plan: &ModelPlan,
    earlier: &Path,
    data: &D,
    device: &B,
    listener: &mut dyn Listener,
) -> Result<Fitted<B>> {
    let mut trainer = Trainer::new(plan, data, device, listener)?;
    trainer.resume(earlier)?;
    trainer.begin()?;
    let images = EpochImages::of(data, plan.copies(), plan.seed, trainer.scores.len())?;
    trainer.describe(&images);
    let mut feeds = trainer.feeds(&images)?;
    drop(images);
    let stop = loop {
        match early_stopping::stop(&trainer.scores, &plan.settings) {
            Some(stop) => break stop,
            None => trainer.epoch(&mut feeds)?,
        }
    };
    trainer.finish(stop)
}

/// What brings the images to the device.
struct Feeds<B: Backend> {
    training: Feed<B::Store>,
    validation: Feed<B::Store>,
}

/// A run between two epochs.
struct Trainer<'a, B: Backend, D: Data> {
    plan: &'a ModelPlan,
    data: &'a D,
    listener: &'a mut dyn Listener,
    fingerprint: String,
    learner: Learner<B>,
    scores: Vec<EpochScores>,
    timings: Vec<EpochTiming>,
    margins: Margins,
    /// The weights (or their average) after the best epoch so far.
    best: Vec<Array>,
}

impl<'a, B: Backend, D: Data> Trainer<'a, B, D> {
    fn new(plan: &'a ModelPlan, data: &'a D, device: &B, listener: &'a mut dyn Listener) -> Result<Self> {
        let learner = Learner::new(plan, device)?;
        let fingerprint = plan.fingerprint()?;
        let (scores, timings, best) = (Vec::new(), Vec::new(), Vec::new());
        let margins = Margins::new(data.train(0)?.count());
        Ok(Self { plan, data, listener, fingerprint, learner, scores, timings, margins, best })
    }

    /// Takes up the newest checkpoint of this very run; without one, clears the plan's directory for a new run.
    fn resume(&mut self, earlier: &Path) -> Result<()> {
        let directory = &self.plan.directory;
        let is_ours = |checkpoint: &Checkpoint| {
            checkpoint.fingerprint == self.fingerprint
                && early_stopping::leads_through(&checkpoint.scores, &self.plan.settings)
        };
        match Checkpoint::find(&[directory, earlier], is_ours)? {
            Found::Nothing => checkpoint::clear(directory),
            Found::OfOthers => {
                let epochs_count = self.plan.settings.schedule != Schedule::Constant;
                self.listener.hear(Event::StartedOver { epochs_count });
                checkpoint::clear(directory)
            }
            Found::In(at, checkpoint) => {
                self.listener.hear(Event::Resumed { epochs: checkpoint.scores.len() });
                if at == 0 {
                    Checkpoint::remove_after(directory, checkpoint.scores.len())?;
                } else {
                    checkpoint::clear(directory)?;
                    checkpoint.write(directory)?;
                }
                self.restore(*checkpoint)
            }
        }
    }

    fn restore(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let shapes = self.learner.model.shapes();
        let directory = self.plan.directory.join(CHECKPOINT_DIRECTORY);
        let misfit = |reason: String| {
            Error::new(format!("a checkpoint in `{}` is of another network", directory.display()))
                .because(reason)
                .hint("remove that directory to train the model from the start")
        };
        self.learner.model.set_weights(&directory::pick(checkpoint.weights, &shapes).map_err(misfit)?)?;
        self.best = directory::pick(checkpoint.best, &shapes).map_err(misfit)?;
        if let Some(average) = &mut self.learner.average {
            average.restore(&directory::pick(checkpoint.average, &shapes).map_err(misfit)?)?;
        }
        let expected = self.learner.optimizer.save()?;
        let shapes_of = |moments: &dyn Fn(&SavedMoments) -> Option<usize>| -> Vec<_> {
            expected.iter().filter_map(|m| Some((m.name.clone(), vec![moments(m)?]))).collect()
        };
        let firsts = shapes_of(&|m| Some(m.first.len()));
        let seconds = shapes_of(&|m| m.second.as_ref().map(Vec::len));
        let first = directory::pick(checkpoint.first_moments, &firsts).map_err(misfit)?;
        let second = directory::pick(checkpoint.second_moments, &seconds).map_err(misfit)?;
        let mut second = second.into_iter().map(|array| array.values);
        let saved = first.into_iter().zip(&expected).map(|(array, expected)| SavedMoments {
            name: array.name,
            first: array.values,
            second: expected.second.as_ref().and_then(|_| second.next()),
        });
        let saved: Vec<_> = saved.collect();
        self.learner.optimizer.restore(checkpoint.step, &saved)?;
        (self.scores, self.timings) = (checkpoint.scores, checkpoint.timings);
        // Checkpoints of earlier versions have none: then the mean is over the epochs that follow.
        let images = self.data.train(0)?.count();
        let kept = checkpoint.margins.first().and_then(|array| Margins::from_array(array, images));
        self.margins = kept.unwrap_or_else(|| Margins::new(images));
        Ok(())
    }

    /// A run that does not go on from a checkpoint begins with the head, if the weights are pretrained.
    fn begin(&mut self) -> Result<()> {
        match &self.plan.pretrained {
            Some(_) if self.scores.is_empty() => {
                tuning::fit_first_head(self.plan, self.data, &mut self.learner.model, self.listener)
            }
            _ => Ok(()),
        }
    }

    fn describe(&mut self, images: &EpochImages<D::Images>) {
        self.listener.hear(Event::Began {
            parameters: ParameterCounts::of(self.learner.model.network.graph()).total(),
            images: images.count(),
            batch_size: self.plan.batch_size,
            validation_images: self.data.validation().count(),
        });
    }

    /// The device keeps what it can of the images of both splits; the training images come first.
    fn feeds(&mut self, images: &EpochImages<D::Images>) -> Result<Feeds<B>> {
        let feed = |keep| self.learner.model.feed(keep, self.plan.batch_size);
        let (training, validation) = (feed(images.keys())?, feed(self.data.validation().count())?);
        let (kept, all) = (training.slots(), images.keys());
        if kept > 0 {
            self.listener.hear(Event::ImagesKept { kept, all, bytes: kept * training.image_bytes() });
        }
        Ok(Feeds { training, validation })
    }

    fn epoch(&mut self, feeds: &mut Feeds<B>) -> Result<()> {
        let started = Instant::now();
        let training = self.train_epoch(&mut feeds.training)?;
        let training_seconds = started.elapsed().as_secs_f64();
        let weights = self.learner.model.weights();
        let scored = self.averages().unwrap_or_else(|| weights.clone());
        let validation = self.validate(&mut feeds.validation, &weights, &scored)?;
        let epoch = self.scores.len() + 1;
        if validation.images > 0 && !validation.loss().is_finite() {
            return Err(self.diverged(&format!("the validation loss is {} after epoch {epoch}", validation.loss())));
        }
        // A rectifier turns NaN into zero, so that the loss alone may hide that the weights are lost.
        if let Some(lost) = weights.iter().find(|array| !array.values.iter().all(|value| value.is_finite())) {
            return Err(self.diverged(&format!("`{}` is not finite after epoch {epoch}", lost.name)));
        }
        self.scores.push(EpochScores {
            epoch,
            loss: training.loss(),
            accuracy: training.accuracy(),
            validation_loss: validation.loss(),
            validation_accuracy: validation.accuracy(),
            learning_rate: self.learner.optimizer.learning_rate(),
        });
        self.timings.push(EpochTiming {
            epoch,
            seconds: started.elapsed().as_secs_f64(),
            images_per_second: training.images as f64 / training_seconds,
        });
        if best_epoch(&self.scores) == Some(epoch) {
            self.best = scored;
        }
        self.announce_epoch();
        self.save(weights)
    }

    fn averages(&self) -> Option<Vec<Array>> {
        self.learner.average.as_ref().map(|average| average.arrays(&self.learner.model.network.parameters()))
    }

    /// The score of `scored` on the validation split; the network goes on with `weights`.
    fn validate(&mut self, feed: &mut Feed<B::Store>, weights: &[Array], scored: &[Array]) -> Result<Score> {
        if self.learner.average.is_none() {
            return Inference::of(&self.learner.model)?.score(self.data.validation(), feed);
        }
        self.learner.model.set_weights(scored)?;
        let score = Inference::of(&self.learner.model)?.score(self.data.validation(), feed)?;
        self.learner.model.set_weights(weights)?;
        Ok(score)
    }

    /// One pass over as many images as there are to train on: each once, or of every class as many.
    fn train_epoch(&mut self, feed: &mut Feed<B::Store>) -> Result<Score> {
        let epoch = self.scores.len();
        let rows = Arc::new(EpochImages::of(self.data, self.plan.copies(), self.plan.seed, epoch)?);
        let order = match self.plan.settings.sampler {
            Sampler::Shuffled => order::shuffled(rows.count(), self.plan.seed, epoch),
            Sampler::Balanced => {
                let labels: Vec<usize> = (0..rows.count()).map(|image| rows.label(image)).collect();
                order::balanced(&labels, self.plan.seed, epoch)
            }
        };
        let steps = order.len().div_ceil(self.plan.batch_size);
        let epochs = self.plan.settings.epochs;
        self.listener.hear(Event::EpochBegan { epoch: epoch + 1, epochs, images: order.len() });
        let mut score = Score::default();
        let rates = LearningRates::new(&self.plan.settings, steps);
        let mut seen = 0;
        for (batch, step) in feed.epoch(&rows, order.clone())?.zip(1..) {
            interrupt::check()?;
            let batch = batch?;
            let before = score.loss_sum;
            self.learner.optimizer.set_learning_rate(rates.at(self.learner.optimizer.step() as usize));
            let margins = self.learner.step(&batch, &mut score)?;
            self.margins.add(&order[seen..seen + margins.len()], &margins);
            seen += margins.len();
            let loss = (score.loss_sum - before) / batch.labels.len() as f64;
            if !loss.is_finite() {
                return Err(
                    self.diverged(&format!("the loss is {loss} in epoch {}, step {step} of {steps}", epoch + 1))
                );
            }
            let (images, loss, accuracy) = (batch.labels.len(), score.loss(), score.accuracy());
            self.listener.hear(Event::Stepped { images, loss, accuracy });
        }
        self.listener.hear(Event::EpochTrained);
        // Validation and the checkpoint need memory of their own.
        self.learner.release_memory()?;
        Ok(score)
    }

    /// `what` says which value is not finite, and where.
    fn diverged(&self, what: &str) -> Error {
        let kept = match self.scores.len() {
            0 => "no epoch was completed, so there is no checkpoint".to_owned(),
            epochs => format!("the checkpoint of epoch {epochs} is kept in `{}`", self.plan.directory.display()),
        };
        let model = format!("train.models.{}", self.plan.name);
        let rate = self.plan.settings.learning_rate;
        let lower = format!(
            "lower `{model}.learning_rate`, which is {rate}, for example to a tenth: `--set {model}.learning_rate={:.1e}`",
            rate / 10.0
        );
        // Under a schedule another number of epochs would be another run.
        let hint = match self.scores.len() {
            epochs if epochs > 0 && self.plan.settings.schedule == Schedule::Constant => {
                format!("{lower}; or take the best of the epochs before: `--set {model}.epochs={epochs}`")
            }
            _ => lower,
        };
        Error::new(format!("training of `{}` diverged: {what}", self.plan.name)).because(kept).hint(hint)
    }

    fn announce_epoch(&mut self) {
        let (Some(scores), Some(timing)) = (self.scores.last(), self.timings.last()) else { return };
        let (epochs, validation_images) = (self.plan.settings.epochs, self.data.validation().count());
        self.listener.hear(Event::EpochEnded { scores, timing, epochs, validation_images });
    }

    /// Writes the checkpoint of the last epoch and the tables.
    fn save(&self, weights: Vec<Array>) -> Result<()> {
        let (first, second): (Vec<_>, Vec<_>) = self.learner.optimizer.save()?.into_iter().map(arrays_of).unzip();
        let checkpoint = Checkpoint {
            fingerprint: self.fingerprint.clone(),
            step: self.learner.optimizer.step(),
            scores: self.scores.clone(),
            timings: self.timings.clone(),
            weights,
            average: self.averages().unwrap_or_default(),
            best: self.best.clone(),
            margins: vec![self.margins.to_array()],
            first_moments: first,
            second_moments: second.into_iter().flatten().collect(),
        };
        checkpoint.write(&self.plan.directory)?;
        history::write_scores(&self.plan.directory, &self.scores)?;
        history::write_timings(&self.plan.directory, &self.timings)
    }

    fn finish(mut self, stop: Stop) -> Result<Fitted<B>> {
        let best_epoch = kept_epoch(&self.scores, &self.plan.settings).unwrap_or_default();
        let last = self.averages().unwrap_or_else(|| self.learner.model.weights());
        self.learner.model.set_weights(if best_epoch == self.scores.len() { &last } else { &self.best })?;
        let Self { learner, scores, timings, margins, .. } = self;
        Ok(Fitted { model: learner.model, scores, timings, margins, best_epoch, stop })
    }
}

fn arrays_of(moments: SavedMoments) -> (Array, Option<Array>) {
    let SavedMoments { name, first, second } = moments;
    let array = |values: Vec<f32>| Array { name: name.clone(), shape: vec![values.len()], values };
    (array(first), second.map(array))
}

#[cfg(test)]
mod tests;

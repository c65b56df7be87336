//! The training loop: epochs of steps, a validation and a checkpoint after each, the best epoch's weights at the end.

use crate::arrays::Array;
use crate::backend::Backend;
use crate::batches::{Images, shuffled};
use crate::checkpoint::Checkpoint;
use crate::copies::EpochImages;
use crate::early_stopping::{self, Stop, best_epoch};
use crate::feed::Feed;
use crate::history::{self, EpochScores, EpochTiming};
use crate::metrics::Score;
use crate::model::Model;
use crate::model_directory;
use crate::optimizer::SavedMoments;
use crate::plan::ModelPlan;
use crate::schedule::LearningRates;
use crate::step::Learner;
use crate::training_data::Data;
use preprocess::pipeline::Schedule;
use preprocess::stage::{interrupt, progress::Progress};
use preprocess::{Error, Result, note, say};
use std::sync::Arc;
use std::time::Instant;

/// A model that has been trained to the end.
pub struct Fitted<B: Backend> {
    /// The weights of the best epoch.
    pub model: Model<B>,
    /// One row an epoch.
    pub scores: Vec<EpochScores>,
    /// One row an epoch.
    pub timings: Vec<EpochTiming>,
    /// From 1.
    pub best_epoch: usize,
    /// Why training ended.
    pub stop: Stop,
}

/// Trains a model, or goes on where an interrupted run of the same plan stopped. After every epoch the model's directory holds a
/// checkpoint, `history.csv` and `timings.csv`.
///
/// # Errors
/// A loss that is not finite, a shard altered or missing, a full disk, an interruption. Checkpoints stay.
pub fn fit<B: Backend, D: Data>(plan: &ModelPlan, data: &D, device: &B) -> Result<Fitted<B>> {
    let mut trainer = Trainer::new(plan, data, device)?;
    trainer.resume()?;
    let images = EpochImages::of(data, plan, trainer.scores.len())?;
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
    fingerprint: String,
    learner: Learner<B>,
    scores: Vec<EpochScores>,
    timings: Vec<EpochTiming>,
    /// The weights (or their average) after the best epoch so far.
    best: Vec<Array>,
}

impl<'a, B: Backend, D: Data> Trainer<'a, B, D> {
    fn new(plan: &'a ModelPlan, data: &'a D, device: &B) -> Result<Self> {
        let learner = Learner::new(plan, device)?;
        let fingerprint = plan.fingerprint()?;
        let (scores, timings, best) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { plan, data, fingerprint, learner, scores, timings, best })
    }

    /// Takes up the newest checkpoint if it is of this very run; otherwise clears the model's directory for a new run.
    fn resume(&mut self) -> Result<()> {
        let Some(checkpoint) = Checkpoint::newest(&self.plan.directory)? else {
            return model_directory::clear(&self.plan.directory);
        };
        let is_ours = checkpoint.fingerprint == self.fingerprint;
        if is_ours && early_stopping::leads_through(&checkpoint.scores, &self.plan.settings) {
            say!("{}: resuming after epoch {}", self.plan.name, checkpoint.scores.len());
            return self.restore(checkpoint);
        }
        say!(
            "{}: the data, the settings{} or the version changed since its last run: training from the start",
            self.plan.name,
            if self.plan.settings.schedule == Schedule::Constant { "" } else { " (under a schedule, `epochs` too)" }
        );
        model_directory::clear(&self.plan.directory)
    }

    fn restore(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let shapes = self.learner.model.shapes();
        let misfit = |reason: String| Error::new("the checkpoint is of another network").because(reason);
        self.learner.model.set_weights(&model_directory::pick(checkpoint.weights, &shapes).map_err(misfit)?)?;
        self.best = model_directory::pick(checkpoint.best, &shapes).map_err(misfit)?;
        if let Some(average) = &mut self.learner.average {
            average.restore(&model_directory::pick(checkpoint.average, &shapes).map_err(misfit)?)?;
        }
        let moments: Vec<_> =
            self.learner.optimizer.save()?.into_iter().map(|m| (m.name, vec![m.first.len()])).collect();
        let first = model_directory::pick(checkpoint.first_moments, &moments).map_err(misfit)?;
        let second = model_directory::pick(checkpoint.second_moments, &moments).map_err(misfit)?;
        let saved = first.into_iter().zip(second);
        let saved: Vec<_> =
            saved.map(|(a, b)| SavedMoments { name: a.name, first: a.values, second: b.values }).collect();
        self.learner.optimizer.restore(checkpoint.step, &saved)?;
        (self.scores, self.timings) = (checkpoint.scores, checkpoint.timings);
        Ok(())
    }

    fn describe(&self, images: &EpochImages<D::Images>) {
        let counts = crate::summary::ParameterCounts::of(&self.learner.model.network.parameters());
        let images = images.count();
        say!(
            "{}: {} parameters, {images} training images in {} steps of at most {}, {} validation images",
            self.plan.name,
            counts.total(),
            images.div_ceil(self.plan.batch_size),
            self.plan.batch_size,
            self.data.validation().count(),
        );
    }

    /// The device keeps what it can of the images of both splits; the training images come first.
    fn feeds(&self, images: &EpochImages<D::Images>) -> Result<Feeds<B>> {
        let feed = |keep| self.learner.model.feed(keep, self.plan.batch_size);
        let (training, validation) = (feed(images.keys())?, feed(self.data.validation().count())?);
        let (kept, all) = (training.slots(), images.keys());
        if kept > 0 {
            let gib = (kept * training.image_bytes()) as f64 / (1u64 << 30) as f64;
            let which = if kept == all { format!("all {all}") } else { format!("{kept} of {all}") };
            note!("{}: {which} training images, copies included, will stay on the GPU: {gib:.2} GiB", self.plan.name);
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
        self.print_epoch();
        self.save(weights)
    }

    fn averages(&self) -> Option<Vec<Array>> {
        self.learner.average.as_ref().map(|average| average.arrays(&self.learner.model.network.parameters()))
    }

    /// The score of `scored` on the validation split; the network goes on with `weights`.
    fn validate(&mut self, feed: &mut Feed<B::Store>, weights: &[Array], scored: &[Array]) -> Result<Score> {
        if self.learner.average.is_none() {
            return self.learner.model.score(self.data.validation(), feed);
        }
        self.learner.model.set_weights(scored)?;
        let score = self.learner.model.score(self.data.validation(), feed)?;
        self.learner.model.set_weights(weights)?;
        Ok(score)
    }

    /// One pass over the training images, each seen once.
    fn train_epoch(&mut self, feed: &mut Feed<B::Store>) -> Result<Score> {
        let epoch = self.scores.len();
        let rows = Arc::new(EpochImages::of(self.data, self.plan, epoch)?);
        let order = shuffled(rows.count(), self.plan.seed, epoch);
        let steps = order.len().div_ceil(self.plan.batch_size);
        let label = format!("{} epoch {}/{}", self.plan.name, epoch + 1, self.plan.settings.epochs);
        let progress = Progress::new(label, order.len() as u64, "images");
        let mut score = Score::default();
        let rates = LearningRates::new(&self.plan.settings, steps);
        for (batch, step) in feed.epoch(&rows, order)?.zip(1..) {
            interrupt::check()?;
            let batch = batch?;
            let before = score.loss_sum;
            self.learner.optimizer.set_learning_rate(rates.at(self.learner.optimizer.step() as usize));
            self.learner.step(&batch, &mut score)?;
            let loss = (score.loss_sum - before) / batch.labels.len() as f64;
            if !loss.is_finite() {
                return Err(
                    self.diverged(&format!("the loss is {loss} in epoch {}, step {step} of {steps}", epoch + 1))
                );
            }
            progress.message(format!("loss {:.4}, accuracy {:.1} %", score.loss(), 100.0 * score.accuracy()));
            progress.advance(batch.labels.len() as u64);
        }
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
        let (key, rate) = (format!("train.models.{}.learning_rate", self.plan.name), self.plan.settings.learning_rate);
        Error::new(format!("training of `{}` diverged: {what}", self.plan.name))
            .because(kept)
            .hint(format!("lower `{key}`, which is {rate}, for example to a tenth: `--set {key}={:.1e}`", rate / 10.0))
    }

    fn print_epoch(&self) {
        let (Some(scores), Some(timing)) = (self.scores.last(), self.timings.last()) else { return };
        let validation = match self.data.validation().count() {
            0 => String::new(),
            _ => format!(
                "  val_loss {:.4}  val_accuracy {:.1} %",
                scores.validation_loss,
                100.0 * scores.validation_accuracy
            ),
        };
        say!(
            "epoch {}/{}  loss {:.4}  accuracy {:.1} %{validation}  {:.0} images/s  {:.1} s",
            scores.epoch,
            self.plan.settings.epochs,
            scores.loss,
            100.0 * scores.accuracy,
            timing.images_per_second,
            timing.seconds,
        );
    }

    /// Writes the checkpoint of the last epoch and the tables.
    fn save(&self, weights: Vec<Array>) -> Result<()> {
        let (first, second) = self.learner.optimizer.save()?.into_iter().map(arrays_of).unzip();
        let checkpoint = Checkpoint {
            fingerprint: self.fingerprint.clone(),
            step: self.learner.optimizer.step(),
            scores: self.scores.clone(),
            timings: self.timings.clone(),
            weights,
            average: self.averages().unwrap_or_default(),
            best: self.best.clone(),
            first_moments: first,
            second_moments: second,
        };
        checkpoint.write(&self.plan.directory)?;
        history::write_scores(&self.plan.directory, &self.scores)?;
        history::write_timings(&self.plan.directory, &self.timings)
    }

    fn finish(mut self, stop: Stop) -> Result<Fitted<B>> {
        self.learner.model.set_weights(&self.best)?;
        let best_epoch = best_epoch(&self.scores).unwrap_or_default();
        Ok(Fitted { model: self.learner.model, scores: self.scores, timings: self.timings, best_epoch, stop })
    }
}

fn arrays_of(moments: SavedMoments) -> (Array, Array) {
    let SavedMoments { name, first, second } = moments;
    let array = |values: Vec<f32>| Array { name: name.clone(), shape: vec![values.len()], values };
    (array(first), array(second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::CHECKPOINT_DIRECTORY;
    use crate::history::HISTORY_FILE;
    use dfdx::tensor::Cpu;
    use preprocess::pipeline::{Architecture, CopyOrder, EarlyStopping, ImageSettings, ModelSettings};
    use preprocess::stage::random;
    use std::collections::{HashMap, HashSet};
    use std::fs;
    use std::path::Path;

    /// Pixels. The least that both architectures admit is a little smaller.
    const SIDE: usize = 24;

    /// Noise, brighter in the left half for class 0 and in the right half for class 1.
    struct Halves {
        count: usize,
        copy: usize,
        /// Image 0 has the wrong label, so that ever surer predictions end up with an ever greater loss.
        is_mislabelled: bool,
    }

    fn halves(validation: usize) -> HalvesData {
        HalvesData { validation: Arc::new(Halves { count: validation, copy: 99, is_mislabelled: true }) }
    }

    impl Images for Halves {
        fn count(&self) -> usize {
            self.count
        }

        fn label(&self, image: usize) -> usize {
            if image == 0 && self.is_mislabelled { 1 } else { image % 2 }
        }

        fn read_pixels(&self, image: usize, pixels: &mut [u8]) -> Result<()> {
            let mut noise = random::stream(image as u64, "noise", &[&[self.copy as u8]]);
            for (at, byte) in pixels.iter_mut().enumerate() {
                let is_bright = (at / 3 % SIDE >= SIDE / 2) == (image % 2 == 1);
                *byte = noise.below(if is_bright { 256 } else { 128 }) as u8;
            }
            Ok(())
        }
    }

    struct HalvesData {
        validation: Arc<Halves>,
    }

    impl Data for HalvesData {
        type Images = Halves;

        fn train(&self, copy: usize) -> Result<Arc<Halves>> {
            Ok(Arc::new(Halves { count: 21, copy, is_mislabelled: false }))
        }

        fn validation(&self) -> &Arc<Halves> {
            &self.validation
        }
    }

    fn plan(architecture: Architecture, epochs: usize, directory: &Path) -> ModelPlan {
        let augmented = architecture == Architecture::Resnet;
        ModelPlan {
            name: "halves".into(),
            settings: ModelSettings { augmented, epochs, ..ModelSettings::new(architecture) },
            seed: 5,
            batch_size: 8,
            copies: if augmented { 2 } else { 0 },
            classes: vec!["left".into(), "right".into()],
            image: ImageSettings { width: SIDE, height: SIDE, ..ImageSettings::default() },
            dataset_fingerprint: "halves".into(),
            directory: directory.to_owned(),
        }
    }

    /// The final weights and `history.csv`.
    fn outcome(plan: &ModelPlan) -> (Vec<Array>, String) {
        let data = halves(10);
        let fitted = fit(plan, &data, &Cpu::default()).unwrap();
        (fitted.model.weights(), fs::read_to_string(plan.directory.join(HISTORY_FILE)).unwrap())
    }

    #[test]
    fn a_resumed_run_ends_as_an_undisturbed_one() {
        for architecture in [Architecture::BaselineCnn, Architecture::Resnet] {
            let [whole, resumed] = [(); 2].map(|()| tempfile::tempdir().unwrap());
            let undisturbed = outcome(&plan(architecture, 4, whole.path()));
            outcome(&plan(architecture, 3, resumed.path()));
            // The last checkpoint is cut short, as a disk that lost power might leave it: epoch 3 is trained once more.
            let newest = resumed.path().join(CHECKPOINT_DIRECTORY).join("epoch-0003.safetensors");
            let bytes = fs::read(&newest).unwrap();
            fs::write(newest, &bytes[..bytes.len() / 2]).unwrap();
            assert!(outcome(&plan(architecture, 4, resumed.path())) == undisturbed, "{architecture:?}");
        }
    }

    /// Every part of a recipe that has a state of its own.
    fn recipe(directory: &Path) -> ModelPlan {
        let mut plan = plan(Architecture::Resnet, 4, directory);
        // 84 steps, the last epochs of them with an average that has begun.
        plan.batch_size = 1;
        plan.settings = ModelSettings {
            copies: CopyOrder::Mixed,
            schedule: Schedule::Cosine,
            warmup_epochs: 0.5,
            weight_decay: 0.1,
            label_smoothing: 0.1,
            ema_decay: 0.9,
            ..plan.settings
        };
        plan
    }

    #[test]
    fn a_run_with_a_schedule_and_an_average_resumes_as_if_undisturbed() {
        let [whole, resumed] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let undisturbed = outcome(&recipe(whole.path()));
        outcome(&recipe(resumed.path()));
        // Epoch 4 is trained once more.
        fs::remove_file(resumed.path().join(CHECKPOINT_DIRECTORY).join("epoch-0004.safetensors")).unwrap();
        assert!(outcome(&recipe(resumed.path())) == undisturbed);
        let rates: Vec<f64> =
            history::read_scores(whole.path()).unwrap().iter().map(|scores| scores.learning_rate).collect();
        assert!(rates.windows(2).all(|pair| pair[1] < pair[0]) && rates[3] < 1e-4, "{rates:?}");
    }

    #[test]
    fn each_part_of_a_recipe_changes_the_weights() {
        type Edit = fn(&mut ModelSettings);
        let weights = |edit: Edit| {
            let directory = tempfile::tempdir().unwrap();
            let mut plan = plan(Architecture::Resnet, 3, directory.path());
            // 63 steps: averaging begins after 50.
            plan.batch_size = 1;
            edit(&mut plan.settings);
            // Without a validation split the model is that of the last epoch.
            fit(&plan, &halves(0), &Cpu::default()).unwrap().model.weights()
        };
        let plain = weights(|_| ());
        let edits: [(&str, Edit); 6] = [
            ("copies", |s| s.copies = CopyOrder::Cycle),
            ("schedule", |s| s.schedule = Schedule::Cosine),
            ("warm-up", |s| s.warmup_epochs = 1.0),
            ("weight decay", |s| s.weight_decay = 0.1),
            ("label smoothing", |s| s.label_smoothing = 0.1),
            ("moving average", |s| s.ema_decay = 0.0),
        ];
        for (name, edit) in edits {
            assert!(weights(edit) != plain, "{name}");
        }
    }

    #[test]
    fn training_learns_and_early_stopping_keeps_the_best() {
        let directory = tempfile::tempdir().unwrap();
        let mut plan = plan(Architecture::Resnet, 30, directory.path());
        plan.settings.early_stopping = Some(EarlyStopping { patience: 2 });
        let data = halves(10);
        let mut fitted = fit(&plan, &data, &Cpu::default()).unwrap();
        let best = fitted.scores[fitted.best_epoch - 1];
        assert!(best.validation_accuracy > 0.8, "{best:?}");
        assert!(fitted.scores.iter().all(|row| row.validation_loss >= best.validation_loss));
        let mut feed = fitted.model.feed(0, 8).unwrap();
        assert_eq!(fitted.model.score(&data.validation, &mut feed).unwrap().loss(), best.validation_loss);
        assert_eq!(fitted.stop, Stop::NoImprovement(2));
        assert_eq!(fitted.scores.len(), fitted.best_epoch + 2);
    }

    #[test]
    fn an_images_key_tells_its_pixels_from_all_others() {
        let directory = tempfile::tempdir().unwrap();
        let mut plan = plan(Architecture::Resnet, 4, directory.path());
        for (name, copies, order, shown) in [
            ("no copies", 0, CopyOrder::Cycle, 1),
            ("copies in turn", 3, CopyOrder::Cycle, 3),
            ("copies mixed", 2, CopyOrder::Mixed, 3),
        ] {
            (plan.copies, plan.settings.copies) = (copies, order);
            let mut pixels = HashMap::new();
            for epoch in 0..7 {
                let images = EpochImages::of(&halves(0), &plan, epoch).unwrap();
                assert_eq!(images.keys(), shown * images.count(), "{name}");
                for image in 0..images.count() {
                    let mut read = vec![0; SIDE * SIDE * 3];
                    images.read_pixels(image, &mut read).unwrap();
                    assert!(images.key(image) < images.keys(), "{name}");
                    assert!(pixels.entry(images.key(image)).or_insert_with(|| read.clone()) == &read, "{name}");
                }
            }
            let different: HashSet<_> = pixels.values().collect();
            assert_eq!((pixels.len(), different.len()), (shown * 21, shown * 21), "{name}");
        }
    }

    #[test]
    fn another_learning_rate_starts_anew() {
        let [fresh, reused] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let slower = |directory: &Path| {
            let mut plan = plan(Architecture::BaselineCnn, 1, directory);
            plan.settings.learning_rate = 1e-4;
            plan
        };
        outcome(&plan(Architecture::BaselineCnn, 2, reused.path()));
        assert!(outcome(&slower(reused.path())) == outcome(&slower(fresh.path())));
    }

    #[test]
    fn without_a_validation_split_the_last_epoch_is_the_model() {
        let directory = tempfile::tempdir().unwrap();
        let data = halves(0);
        let fitted = fit(&plan(Architecture::BaselineCnn, 2, directory.path()), &data, &Cpu::default()).unwrap();
        assert_eq!(fitted.best_epoch, 2);
        assert!(history::read_scores(directory.path()).unwrap()[1].validation_loss.is_nan());
    }

    #[test]
    fn a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint() {
        let directory = tempfile::tempdir().unwrap();
        let data = halves(10);
        let mut plan = plan(Architecture::Resnet, 2, directory.path());
        plan.settings.learning_rate = 1e38;
        let error = fit(&plan, &data, &Cpu::default()).err().expect("diverged").to_string();
        for part in [
            "`halves` diverged",
            "in epoch 1, step 2 of 3",
            "no epoch was completed",
            "--set train.models.halves.learning_rate=",
        ] {
            assert!(error.contains(part), "no `{part}` in {error}");
        }
    }
}

//! Pretrained networks: the head first, on features that are computed once; then, where the settings say so, more.

use crate::data::copies::TrainingCopies;
use crate::data::shards::Data;
use crate::model::Model;
use crate::model::history::{EpochScores, EpochTiming};
use crate::model::inference::Inference;
use crate::ops::Backend;
use crate::training::checkpoint;
use crate::training::early_stopping::Stop;
use crate::training::events::{Event, Listener};
use crate::training::features::{FeatureCache, Features};
use crate::training::fitted::Fitted;
use crate::training::head::{self, Head};
use crate::training::margins::Margins;
use crate::training::plan::ModelPlan;
use crate::training::step::first_model;
use preprocess::dataset::Rows;
use preprocess::pipeline::{Split, Tune};
use preprocess::{Error, Result};
use std::sync::Arc;
use std::time::Instant;

/// Fits the head alone. There is nothing to resume: what takes long, the features, is kept beside the shards.
///
/// # Errors
/// The weights do not fit the architecture; what stops the computing of features or the fit.
pub(crate) fn fit_head<B: Backend, D: Data>(
    plan: &ModelPlan,
    data: &D,
    device: &B,
    listener: &mut dyn Listener,
) -> Result<Fitted<B>> {
    checkpoint::clear(&plan.directory)?;
    let mut model = first_model(plan, device)?;
    announce(plan, &model);
    let started = Instant::now();
    let copies = match plan.copies {
        TrainingCopies::None => 0,
        TrainingCopies::Stored(copies) => copies,
        // The pipeline file's reader has refused it.
        TrainingCopies::Fly(_) => {
            return Err(Error::new("a head cannot be fitted to copies that change in every epoch"));
        }
    };
    let head = head_of(plan, data, &mut model, copies, listener)?;
    let seconds = started.elapsed().as_secs_f64() / head.path.len().max(1) as f64;
    let scores: Vec<EpochScores> = head.path.iter().zip(1..).map(|(passed, epoch)| row(passed, epoch)).collect();
    let images = head.path.first().map_or(0, |passed| passed.training.images);
    let timing =
        |row: &EpochScores| EpochTiming { epoch: row.epoch, seconds, images_per_second: images as f64 / seconds };
    let timings = scores.iter().map(timing).collect();
    let best_epoch = scores.len();
    Ok(Fitted { model, scores, timings, margins: Margins::default(), best_epoch, stop: Stop::Converged })
}

/// Gives the model a head fitted to the images themselves, from which training goes on.
///
/// # Errors
/// As [`fit_head`].
pub(crate) fn fit_first_head<B: Backend, D: Data>(
    plan: &ModelPlan,
    data: &D,
    model: &mut Model<B>,
    listener: &mut dyn Listener,
) -> Result<()> {
    announce(plan, model);
    head_of(plan, data, model, 0, listener)?;
    model.release_memory()
}

/// The features of a split that are kept for a model of which only the head is trained, and so are those of the
/// network that came out.
///
/// # Errors
/// What stops the computing of features.
pub(crate) fn kept_features<B: Backend>(
    plan: &ModelPlan,
    split: Split,
    rows: &Arc<Rows>,
    inference: &mut Inference<'_, B>,
) -> Result<Option<Features>> {
    match (&plan.pretrained, plan.settings.tuned()) {
        // Of mirror images no features are kept.
        (Some(_), Tune::Head) if !plan.settings.test_flip => {
            cache(plan)?.get(split.name(), 0, rows, inference, plan.batch_size).map(Some)
        }
        _ => Ok(None),
    }
}

/// The cache of a plan's features; its directory's name.
///
/// # Errors
/// It cannot be made.
pub(crate) fn cache(plan: &ModelPlan) -> Result<FeatureCache> {
    let weights = plan.pretrained.as_ref().map(|weights| &weights.record.checksum);
    let standardization = plan.pretrained.as_ref().and_then(|weights| weights.record.mean_and_std);
    let decides = (
        (env!("CARGO_PKG_VERSION"), plan.settings.architecture, weights, standardization),
        (&plan.image, &plan.dataset_fingerprint),
    );
    FeatureCache::open(&plan.output, &decides)
}

fn announce<B: Backend>(plan: &ModelPlan, model: &Model<B>) {
    if let Some(weights) = &plan.pretrained {
        weights.announce(model.network.graph(), plan.classes.len(), &plan.image);
    }
}

/// Fits a head to the training images and so many copies of them, and gives it to the model.
fn head_of<B: Backend, D: Data>(
    plan: &ModelPlan,
    data: &D,
    model: &mut Model<B>,
    copies: usize,
    listener: &mut dyn Listener,
) -> Result<Head> {
    let cache = cache(plan)?;
    let mut inference = Inference::of(model)?;
    let training = (0..=copies).map(|copy| {
        let images = data.train(copy)?;
        cache.get(Split::Train.name(), copy, &images, &mut inference, plan.batch_size)
    });
    let training = Features::joined(training.collect::<Result<_>>()?);
    let validation = cache.get(Split::Validation.name(), 0, data.validation(), &mut inference, plan.batch_size)?;
    drop(inference);
    let head = head::fit(&training, &validation, (plan.classes.len(), &plan.rare), &model.device)?;
    let name = model.network.graph().head().map(|head| head.name.clone()).unwrap_or_default();
    model.set_some_weights(&head.arrays(&name))?;
    if let Some(last) = head.path.last() {
        listener.hear(Event::HeadFitted { passes: head.path.len(), penalty: head.penalty, last: *last });
    }
    Ok(head)
}

/// A pass over the features as a row of the history.
fn row(passed: &head::Passed, epoch: usize) -> EpochScores {
    let head::Passed { training, validation, step } = passed;
    EpochScores {
        epoch,
        loss: training.loss(),
        accuracy: training.accuracy(),
        validation_loss: validation.loss(),
        validation_accuracy: validation.accuracy(),
        learning_rate: *step,
    }
}

//! Which network the features of an audit come from.
//!
//! A pretrained network as it came is best: it knows none of the data set's labels, so what its features say of them is
//! evidence. A network that was trained on these labels has bent its features towards them, the wrong ones too; it
//! serves where there is nothing else.

use super::evidence::FeatureSource;
use crate::data::shards::{Data, TrainingData};
use crate::model::Model;
use crate::model::directory::{Config, WEIGHTS_FILE};
use crate::model::inference::Inference;
use crate::ops::Backend;
use crate::training::features::{self, Features};
use crate::training::plan::ModelPlan;
use crate::training::step::first_model;
use crate::training::tuning;
use preprocess::Result;
use preprocess::dataset::Rows;
use preprocess::pipeline::Split;
use std::sync::Arc;

/// A network to take features from.
#[derive(Debug)]
pub(super) struct Source<'a> {
    plan: &'a ModelPlan,
    /// What the report says of it.
    pub told: FeatureSource,
    /// What tells its weights from all others.
    pub checksum: String,
}

impl<'a> Source<'a> {
    /// The first pretrained network among the models, else the first that is trained on this data set; none if there
    /// is none of either.
    pub(super) fn of(plans: &'a [ModelPlan]) -> Option<Self> {
        let pretrained = |plan: &'a ModelPlan| {
            let record = &plan.pretrained.as_ref()?.record;
            let told = FeatureSource::Pretrained(record.source.clone());
            Some(Self { plan, told, checksum: format!("{:?} {}", record.mean_and_std, record.checksum) })
        };
        let trained = |plan: &'a ModelPlan| {
            let config = Config::read(&plan.directory).ok()?;
            let is_of_this_data = config.dataset_fingerprint == plan.dataset_fingerprint
                && config.label_names == plan.classes
                && config.verify(&plan.directory, WEIGHTS_FILE).is_ok();
            let checksum = config.run.files.get(WEIGHTS_FILE)?.clone();
            is_of_this_data.then(|| Self { plan, told: FeatureSource::Trained(plan.name.clone()), checksum })
        };
        plans.iter().find_map(pretrained).or_else(|| plans.iter().find_map(trained))
    }

    /// Features of the images of each split, one after another.
    ///
    /// # Errors
    /// The weights cannot be read any more, an image cannot be read, the device fails, or the run is interrupted.
    pub(super) fn features<B: Backend>(&self, splits: &[(Split, Arc<Rows>)], device: &B) -> Result<Features> {
        let batch_size = self.plan.batch_size;
        let model = match self.told {
            FeatureSource::Pretrained(_) => first_model(self.plan, device)?,
            FeatureSource::Trained(_) => Model::load(&self.plan.directory, device)?.0,
        };
        let mut inference = Inference::of(&model)?;
        let parts = splits.iter().map(|(split, rows)| match self.told {
            FeatureSource::Pretrained(_) => {
                tuning::cache(self.plan)?.get(split.name(), 0, rows, &mut inference, batch_size)
            }
            FeatureSource::Trained(_) => features::of_images(split.name(), rows, &mut inference, batch_size),
        });
        Ok(Features::joined(parts.collect::<Result<_>>()?))
    }
}

/// The images of every split, un-augmented.
///
/// # Errors
/// A shard is missing or altered.
pub(super) fn all_images(data: &TrainingData) -> Result<Vec<(Split, Arc<Rows>)>> {
    Ok(vec![
        (Split::Train, data.train(0)?),
        (Split::Validation, data.validation().clone()),
        (Split::Test, data.test().clone()),
    ])
}

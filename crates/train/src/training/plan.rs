//! What is to be trained: the pipeline file's `train` section, checked against the data set before any work.

use crate::data::copies::TrainingCopies;
use crate::data::shards::TrainingData;
use crate::device::cpu::simd;
use crate::model::pretrained::Pretrained;
use crate::network::architectures;
use crate::network::graph::Graph;
use crate::training::rare_classes::RareClasses;
use preprocess::augment::Augmentation;
use preprocess::manifest::Manifest;
use preprocess::pipeline::{
    Copies, CopyOrder, ImageSettings, ModelSettings, Pipeline, PreprocessSettings, Schedule, Split,
};
use preprocess::stage::fingerprint;
use preprocess::{Error, Result};
use std::path::PathBuf;
use std::sync::Arc;

/// Changed whenever the same inputs and settings train to other weights than before.
const TRAINING_VERSION: u32 = 3;

/// The same for what begins with pretrained weights.
const TUNING_VERSION: u32 = 1;

/// One model to be trained.
#[derive(Debug, Clone)]
pub struct ModelPlan {
    /// Its key in the pipeline file.
    pub name: String,
    /// Its section of the pipeline file.
    pub settings: ModelSettings,
    /// Determines initial weights, shuffling and dropout.
    pub seed: u64,
    /// Images a step.
    pub batch_size: usize,
    /// What is seen of each training image.
    pub copies: TrainingCopies,
    /// Class names in the order of the labels.
    pub classes: Vec<String>,
    /// Size of the images, and how a raw one gets it.
    pub image: ImageSettings,
    /// Fingerprint of the data set.
    pub dataset_fingerprint: String,
    /// What the loss knows of the classes' sizes.
    pub(crate) rare: RareClasses,
    /// Weights to begin with, if they are not random.
    pub(crate) pretrained: Option<Arc<Pretrained>>,
    /// The pipeline's output directory.
    pub output: PathBuf,
    /// Where the model goes.
    pub directory: PathBuf,
}

impl ModelPlan {
    /// The plan for one model of the pipeline file.
    ///
    /// # Errors
    /// Settings that the data set cannot serve: early stopping without a validation split, augmentation without copies.
    pub(crate) fn new(pipeline: &Pipeline, name: &str, settings: &ModelSettings, manifest: &Manifest) -> Result<Self> {
        if settings.early_stopping.is_some() && images(manifest, Split::Validation) == 0 {
            return Err(Error::new(format!(
                "`train.models.{name}.early_stopping` needs a validation split, and it is empty"
            ))
            .hint("set `preprocess.split.validation` above 0 and run `preprocess` again, or remove `early_stopping`"));
        }
        Ok(Self {
            name: name.to_owned(),
            settings: settings.clone(),
            seed: pipeline.train.seed,
            batch_size: pipeline.train.batch_size,
            copies: copies(name, settings, manifest)?,
            classes: manifest.classes.clone(),
            image: manifest.settings.image.clone(),
            dataset_fingerprint: manifest.fingerprint.clone(),
            rare: RareClasses::new(settings, &manifest.classes, training_images(manifest))
                .map_err(|error| error.while_doing(format!("`train.models.{name}` cannot be trained")))?,
            pretrained: pretrained(name, settings)?,
            output: pipeline.output.clone(),
            directory: pipeline.model_dir(name),
        })
    }

    /// The same with other steps.
    pub fn with_batch_size(&self, batch_size: usize) -> Self {
        Self { batch_size, ..self.clone() }
    }

    /// The network's description.
    ///
    /// # Errors
    /// Images that are too small for it.
    pub(crate) fn graph(&self) -> Result<Graph> {
        let size = [self.image.width, self.image.height];
        let graph = architectures::graph(self.settings.architecture, self.classes.len(), size)
            .map_err(|error| error.while_doing(format!("`train.models.{}` cannot be built", self.name)))?;
        Ok(graph.standardized(self.pretrained.as_ref().and_then(|weights| weights.record.standardization())))
    }

    /// Refuses what would fail when the network is made: images too small for it, weights that are not its own.
    ///
    /// # Errors
    /// As said.
    pub(crate) fn check(&self) -> Result<()> {
        let graph = self.graph()?;
        let Some(weights) = &self.pretrained else { return Ok(()) };
        let parameters = graph.nodes().iter().flat_map(|node| graph.parameters(node));
        let expected: Vec<_> = parameters.map(|parameter| (parameter.name, parameter.shape)).collect();
        let head = graph.head().map(|head| head.name.as_str()).unwrap_or_default();
        let matched = weights.backbone(&expected, head).map(drop);
        matched.map_err(|error| error.while_doing(format!("`train.models.{}.pretrained` cannot be used", self.name)))
    }

    /// What is seen of each training image, and how stored copies take turns.
    pub(crate) fn copies(&self) -> (&TrainingCopies, CopyOrder) {
        (&self.copies, self.settings.copies)
    }

    /// Of all that determines the weights after each epoch. When to stop early is no part of it, and how many epochs
    /// there are only where the learning rate falls towards the last: otherwise a run with more epochs goes through
    /// the same weights.
    ///
    /// # Errors
    /// None in practice: all parts have a JSON form.
    pub(crate) fn fingerprint(&self) -> Result<String> {
        let settings = &self.settings;
        let schedule = (settings.schedule, settings.warmup_epochs);
        let epochs = (settings.schedule != Schedule::Constant).then_some(settings.epochs);
        let from_random = fingerprint::of_value(&(
            (env!("CARGO_PKG_VERSION"), TRAINING_VERSION, simd::is_reference()),
            (settings.architecture, settings.augmented, settings.copies),
            (settings.learning_rate, schedule, epochs),
            (settings.weight_decay, settings.label_smoothing, settings.ema_decay),
            (settings.optimizer, settings.momentum, settings.clip_norm, settings.restarts),
            (&settings.class_weights, settings.sampler, settings.logit_adjustment),
            (settings.mixup, settings.cutmix, settings.random_erasing),
            (self.seed, self.batch_size),
            (&self.classes, &self.image, &self.dataset_fingerprint),
        ))?;
        let Some(weights) = &self.pretrained else { return Ok(from_random) };
        let tuning = (settings.tuned(), settings.rate_at(1), settings.rate_at(2));
        fingerprint::of_value(&(from_random, TUNING_VERSION, tuning, &weights.record))
    }
}

/// What a model sees of each training image.
fn copies(name: &str, settings: &ModelSettings, manifest: &Manifest) -> Result<TrainingCopies> {
    let PreprocessSettings { augment, split, image, .. } = &manifest.settings;
    match (settings.augmented, augment.copies) {
        (false, _) => Ok(TrainingCopies::None),
        (true, Copies::Fly) => Ok(TrainingCopies::Fly(Arc::new(Augmentation {
            settings: augment.clone(),
            seed: split.seed,
            size: [image.width, image.height],
        }))),
        (true, Copies::Stored(0)) => {
            Err(Error::new(format!("`train.models.{name}.augmented` is true, but there are no augmented copies"))
                .hint("set `preprocess.augment.copies` to 1 or more, or to `fly`, and run `preprocess` again"))
        }
        (true, Copies::Stored(copies)) => Ok(TrainingCopies::Stored(copies)),
    }
}

/// The weights that a model begins with.
fn pretrained(name: &str, settings: &ModelSettings) -> Result<Option<Arc<Pretrained>>> {
    let read = |source: &String| Pretrained::read(source, settings.architecture).map(Arc::new);
    settings
        .pretrained
        .as_ref()
        .map(read)
        .transpose()
        .map_err(|error| error.while_doing(format!("`train.models.{name}.pretrained` cannot be used")))
}

/// The models named, or all of them if none is; in the order of the pipeline file.
///
/// # Errors
/// There are no training images; what [`ModelPlan::new`] refuses.
pub fn plan(pipeline: &Pipeline, names: &[String], data: &TrainingData) -> Result<Vec<ModelPlan>> {
    let manifest = data.manifest();
    if images(manifest, Split::Train) == 0 {
        return Err(Error::new("the training split is empty").hint("lower `preprocess.split.validation` and `.test`"));
    }
    let models = pipeline.train.models.iter().filter(|(name, _)| names.is_empty() || names.contains(name));
    models.map(|(name, settings)| ModelPlan::new(pipeline, name, settings, manifest)).collect()
}

/// The settings of one model.
///
/// # Errors
/// The pipeline file does not have it.
pub(crate) fn find<'a>(pipeline: &'a Pipeline, name: &str) -> Result<&'a ModelSettings> {
    pipeline.train.models.get(name).ok_or_else(|| {
        let names: Vec<&str> = pipeline.train.models.keys().map(String::as_str).collect();
        Error::new(format!("the pipeline file has no model `{name}` in `train.models`"))
            .hint(format!("its models are: {}", names.join(", ")))
    })
}

/// Of each class.
fn training_images(manifest: &Manifest) -> &[usize] {
    manifest.counts.get(&Split::Train).map_or(&[], |counts| &counts[..])
}

fn images(manifest: &Manifest, split: Split) -> usize {
    manifest.counts.get(&split).map_or(0, |counts| counts.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use preprocess::pipeline::{
        Architecture, ClassWeights, CutMix, EarlyStopping, MixUp, OptimizerChoice, RandomErasing, Sampler,
    };

    fn sample() -> ModelPlan {
        ModelPlan {
            name: "resnet".into(),
            settings: ModelSettings { augmented: true, epochs: 3, ..ModelSettings::new(Architecture::Resnet) },
            seed: 1,
            batch_size: 32,
            copies: TrainingCopies::Stored(3),
            classes: vec!["cat".into(), "dog".into()],
            image: ImageSettings::default(),
            dataset_fingerprint: "d".into(),
            rare: RareClasses::default(),
            pretrained: None,
            output: ".".into(),
            directory: "models/resnet".into(),
        }
    }

    #[test]
    fn the_fingerprint_changes_with_what_determines_the_weights() {
        let base = sample().fingerprint().unwrap();
        type Edit = fn(&mut ModelPlan);
        let change = |change: Edit| {
            let mut plan = sample();
            change(&mut plan);
            plan.fingerprint().unwrap()
        };
        let same: [(&str, Edit); 4] = [
            ("name", |plan| plan.name = "other".into()),
            ("directory", |plan| plan.directory = "elsewhere".into()),
            ("epochs", |plan| plan.settings.epochs = 99),
            ("early stopping", |plan| plan.settings.early_stopping = Some(EarlyStopping { patience: 1 })),
        ];
        for (name, edit) in same {
            assert_eq!(change(edit), base, "{name}");
        }
        let other: [(&str, Edit); 23] = [
            ("optimizer", |plan| plan.settings.optimizer = OptimizerChoice::Sgd),
            ("momentum", |plan| plan.settings.momentum = 0.5),
            ("clipping", |plan| plan.settings.clip_norm = 1.0),
            ("class weights", |plan| plan.settings.class_weights = Some(ClassWeights::Balanced)),
            ("sampler", |plan| plan.settings.sampler = Sampler::Balanced),
            ("logit adjustment", |plan| plan.settings.logit_adjustment = 1.0),
            ("mixup", |plan| plan.settings.mixup = Some(MixUp::default())),
            ("cutmix", |plan| plan.settings.cutmix = Some(CutMix::default())),
            ("erasing", |plan| plan.settings.random_erasing = Some(RandomErasing::default())),
            ("copies", |plan| plan.settings.copies = CopyOrder::Cycle),
            ("schedule", |plan| plan.settings.schedule = Schedule::Cosine),
            ("warm-up", |plan| plan.settings.warmup_epochs = 0.5),
            ("weight decay", |plan| plan.settings.weight_decay = 0.01),
            ("label smoothing", |plan| plan.settings.label_smoothing = 0.1),
            ("moving average", |plan| plan.settings.ema_decay = 0.0),
            ("architecture", |plan| plan.settings.architecture = Architecture::BaselineCnn),
            ("augmented", |plan| plan.settings.augmented = false),
            ("learning rate", |plan| plan.settings.learning_rate = 1e-4),
            ("seed", |plan| plan.seed = 2),
            ("batch size", |plan| plan.batch_size = 16),
            ("classes", |plan| plan.classes.reverse()),
            ("image", |plan| plan.image.width = 64),
            ("data set", |plan| plan.dataset_fingerprint = "e".into()),
        ];
        for (name, edit) in other {
            assert_ne!(change(edit), base, "{name}");
        }
    }
}

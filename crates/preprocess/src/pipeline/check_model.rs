//! Which values a model's settings may have, by themselves and together.

use super::check::Checks;
use super::limits::{self, EPOCHS, PATIENCE};
use super::problem::KeyPath;
use super::{ClassWeights, Copies, CopyOrder, ModelSettings, OptimizerChoice, Pipeline, Sampler, Schedule, Tune};
use std::path::Path;

fn model_key(model: &str, key: &str) -> KeyPath {
    KeyPath::of(&["train", "models", model, key])
}

impl Checks {
    pub(super) fn model(&mut self, name: &str, model: &ModelSettings) {
        self.name(KeyPath::of(&["train", "models", name]), name);
        self.within(model_key(name, "epochs"), model.epochs, EPOCHS);
        if let Some(stopping) = model.early_stopping {
            let key = KeyPath::of(&["train", "models", name, "early_stopping", "patience"]);
            self.within(key, stopping.patience, PATIENCE);
        }
        // The optimiser computes in single precision, in which smaller numbers are 0.
        let rate = model.learning_rate as f32;
        let learns = rate > 0.0 && model.learning_rate <= limits::LEARNING_RATE;
        let found = format!("{:?}", model.learning_rate);
        let must = format!("above 0 and at most {}; 0.001 is usual", limits::LEARNING_RATE);
        self.require(learns, model_key(name, "learning_rate"), found, must);
        let (warmup, most) = (model.warmup_epochs, *EPOCHS.end());
        let must = format!("from 0 to {most} epochs");
        self.require((0.0..=most as f64).contains(&warmup), model_key(name, "warmup_epochs"), warmup, must);
        let (decay, most) = (model.weight_decay, limits::WEIGHT_DECAY);
        let must = format!("from 0 to {most}; 0.05 is usual");
        self.require((0.0..=most).contains(&decay), model_key(name, "weight_decay"), decay, must);
        if let Some(weights) = &model.pretrained {
            self.path(&["train", "models", name, "pretrained"], Path::new(weights));
        }
        if let Some(Tune::Last(stages)) = model.tune {
            self.within(KeyPath::of(&["train", "models", name, "tune", "last"]), stages, limits::STAGES);
        }
        for (key, value) in [("backbone_rate", model.backbone_rate), ("layer_decay", model.layer_decay)] {
            if let Some(value) = value {
                let must = "above 0 and at most 1";
                self.require(value > 0.0 && value <= 1.0, model_key(name, key), value, must);
            }
        }
        self.recipe_values(name, model);
        self.fraction(&["train", "models", name, "label_smoothing"], model.label_smoothing);
        self.fraction(&["train", "models", name, "ema_decay"], model.ema_decay);
    }

    /// Of mixed images, rare classes and the optimiser.
    fn recipe_values(&mut self, name: &str, model: &ModelSettings) {
        let key = |section: &str, key: &str| KeyPath::of(&["train", "models", name, section, key]);
        self.fraction(&["train", "models", name, "momentum"], model.momentum);
        for (of, value, most) in [
            ("clip_norm", model.clip_norm, limits::CLIP_NORM),
            ("logit_adjustment", model.logit_adjustment, limits::LOGIT_ADJUSTMENT),
        ] {
            self.require((0.0..=most).contains(&value), model_key(name, of), value, format!("from 0 to {most}"));
        }
        let mixes = [
            ("mixup", model.mixup.map(|mix| (mix.alpha, mix.probability))),
            ("cutmix", model.cutmix.map(|mix| (mix.alpha, mix.probability))),
        ];
        for (section, mix) in mixes {
            let Some((alpha, probability)) = mix else { continue };
            let must = format!("above 0 and at most {}", limits::ALPHA);
            self.require(alpha > 0.0 && alpha <= limits::ALPHA, key(section, "alpha"), alpha, must);
            self.positive_probability(key(section, "probability"), probability);
        }
        if let Some(erasing) = model.random_erasing {
            self.positive_probability(key("random_erasing", "probability"), erasing.probability);
            let [low, high] = erasing.area;
            let paints = low > 0.0 && low <= high && high < 1.0;
            let must = "two shares of the image above 0 and below 1, the lower first";
            self.require(paints, key("random_erasing", "area"), format!("[{low}, {high}]"), must);
        }
        if let Some(restarts) = model.restarts {
            self.within(key("restarts", "epochs"), restarts.epochs, EPOCHS);
            self.within(key("restarts", "factor"), restarts.factor, limits::RESTART_FACTOR);
        }
        if let Some(ClassWeights::Given(weights)) = &model.class_weights {
            for (class, &weight) in weights {
                let must = format!("above 0 and at most {}", limits::CLASS_WEIGHT);
                self.require(
                    weight > 0.0 && weight <= limits::CLASS_WEIGHT,
                    KeyPath::of(&["train", "models", name, "class_weights", class]),
                    weight,
                    must,
                );
            }
        }
    }

    /// Something that never happens is not asked for.
    fn positive_probability(&mut self, key: KeyPath, value: f64) {
        self.require(value > 0.0 && value <= 1.0, key, value, "above 0 and at most 1");
    }

    /// Every pair of a model's settings that is impossible together.
    pub(super) fn model_combinations(&mut self, name: &str, model: &ModelSettings, pipeline: &Pipeline) {
        let copies = pipeline.preprocess.augment.copies;
        if model.augmented && !copies.are_any() {
            let key = model_key(name, "augmented");
            self.add(
                key.clone(),
                format!("`{key}` is true, but `preprocess.augment.copies` is 0: there are no augmented images"),
                "set `preprocess.augment.copies` to 1 or more, or to `fly`, or `augmented` to false",
            );
        }
        if model.augmented && copies == Copies::Fly && model.tuned() == Tune::Head {
            let key = model_key(name, "augmented");
            self.add(
                key.clone(),
                format!(
                    "`{key}` is true, but the head is fitted to features that are computed once, and \
                     `preprocess.augment.copies: fly` has other copies in every epoch"
                ),
                "set `copies` to a number (3 is usual), or `augmented` to false",
            );
        }
        if model.copies == CopyOrder::Cycle && !model.augmented {
            let key = model_key(name, "copies");
            self.add(
                key.clone(),
                format!("`{key}` has no effect: the model does not train on augmented copies"),
                "set `augmented: true`, or remove `copies`",
            );
        }
        if model.copies == CopyOrder::Cycle && model.augmented && copies == Copies::Fly {
            let key = model_key(name, "copies");
            self.add(
                key.clone(),
                format!(
                    "`{key}` has no effect: with `preprocess.augment.copies: fly` every epoch has copies of its own"
                ),
                "remove the key",
            );
        }
        self.pretrained(name, model);
        self.recipe(name, model, pipeline);
        if model.warmup_epochs > model.epochs as f64 {
            let key = model_key(name, "warmup_epochs");
            self.add(
                key.clone(),
                format!("`{key}` is {}, more than the {} `epochs`", model.warmup_epochs, model.epochs),
                "the learning rate would never reach its full value: 1 or 2 epochs are usual",
            );
        }
    }

    /// Settings of training that contradict each other, or say something about what is not done.
    fn recipe(&mut self, name: &str, model: &ModelSettings, pipeline: &Pipeline) {
        let mut idle = |key: &str, why: &str, hint: &str| {
            let key = model_key(name, key);
            self.add(key.clone(), format!("`{key}` has no effect: {why}"), hint);
        };
        let default = ModelSettings::new(model.architecture);
        if model.optimizer == OptimizerChoice::Adam && model.momentum != default.momentum {
            idle("momentum", "`adam` has moments of its own", "set `optimizer: sgd`, or remove the key");
        }
        if model.restarts.is_some() && model.schedule == Schedule::Constant {
            idle("restarts", "the learning rate is constant", "set `schedule: cosine`, or remove the key");
        }
        if model.tuned() == Tune::Head {
            let stepwise = [
                ("optimizer", model.optimizer != default.optimizer),
                ("clip_norm", model.clip_norm != default.clip_norm),
                ("mixup", model.mixup.is_some()),
                ("cutmix", model.cutmix.is_some()),
                ("random_erasing", model.random_erasing.is_some()),
                ("restarts", model.restarts.is_some() && model.schedule != Schedule::Constant),
            ];
            for (key, _) in stepwise.into_iter().filter(|(_, given)| *given) {
                idle(key, "only the head is trained, at once", "set `tune: all`, or remove the key");
            }
            if model.sampler == Sampler::Balanced {
                let hint = "set `class_weights: balanced` instead, or `tune: all`";
                idle("sampler", "only the head is trained, on all images at once", hint);
            }
        }
        self.mixes(name, model, pipeline);
        let answers = [
            ("class_weights", model.class_weights.is_some()),
            ("sampler", model.sampler == Sampler::Balanced),
            ("logit_adjustment", model.logit_adjustment > 0.0),
        ];
        let mut given = answers.into_iter().filter(|(_, given)| *given).map(|(key, _)| key);
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            let key = model_key(name, second);
            let what = format!("`{key}` and `{first}` both make up for rare classes, which would count twice");
            self.add(key, what, &format!("keep one of them: remove `{first}` or `{second}`"));
        }
    }

    fn mixes(&mut self, name: &str, model: &ModelSettings, pipeline: &Pipeline) {
        let probabilities = [model.mixup.map(|mix| mix.probability), model.cutmix.map(|mix| mix.probability)];
        let sum: f64 = probabilities.into_iter().flatten().sum();
        if sum > 1.0 {
            let key = KeyPath::of(&["train", "models", name, "cutmix", "probability"]);
            let what = format!("`mixup.probability` and `cutmix.probability` of `{name}` are {sum} together");
            self.add(key, what, "an image is mixed in one way or not at all: 0.5 and 0.5 are usual");
        }
        let mixed = [("mixup", model.mixup.is_some()), ("cutmix", model.cutmix.is_some())];
        for (key, _) in mixed.into_iter().filter(|&(_, given)| given && pipeline.train.batch_size == 1) {
            let key = model_key(name, key);
            let what = format!("`{key}` needs other images to mix with, and `train.batch_size` is 1");
            self.add(key, what, "set `train.batch_size` to 2 or more (32 is usual), or remove the key");
        }
    }

    /// What only says something about pretrained weights, and what only about training more than the head.
    fn pretrained(&mut self, name: &str, model: &ModelSettings) {
        let tuning = [
            ("tune", model.tune.is_some()),
            ("backbone_rate", model.backbone_rate.is_some()),
            ("layer_decay", model.layer_decay.is_some()),
        ];
        let without_weights = model.pretrained.is_none();
        for (key, _) in tuning.into_iter().filter(|&(key, given)| given && (without_weights || key != "tune")) {
            let key = model_key(name, key);
            let (why, hint) = match (without_weights, model.tuned()) {
                (true, _) => ("the weights are not pretrained", "set `pretrained`, or remove the key"),
                (false, Tune::Head) => ("only the head is trained", "set `tune: all`, or remove the key"),
                (false, _) => continue,
            };
            self.add(key.clone(), format!("`{key}` has no effect: {why}"), hint);
        }
    }
}

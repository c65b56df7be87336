//! Which values are possible. After this, nothing needs to ask whether a setting makes sense.

use super::limits::{
    self, BATCH_SIZE, COPIES, EPOCHS, IMAGE_SIDE, LOSS_TOLERANCE, MEMORY, MINIMUM_IMAGES, PATIENCE, SEED,
};
use super::problem::{KeyPath, Problem};
use super::{AugmentSettings, CopyOrder, GroupBy, ImageSettings, ModelSettings, Pipeline, SplitSettings, Tune};
use crate::stage::names;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Component, Path, PathBuf};

/// Bytes of a pipeline's or model's name, which become directories.
const NAME_LENGTH: usize = 100;

/// Every value that is impossible by itself.
pub(crate) fn values(pipeline: &Pipeline) -> Vec<Problem> {
    let mut checks = Checks(Vec::new());
    checks.name(KeyPath::of(&["name"]), &pipeline.name);
    checks.path(&["output"], &pipeline.output);
    let preprocess = &pipeline.preprocess;
    checks.path(&["preprocess", "source"], &preprocess.source);
    checks.image(&preprocess.image);
    checks.split(&preprocess.split);
    checks.within(KeyPath::of(&["preprocess", "memory"]), preprocess.memory, MEMORY);
    checks.augment(&preprocess.augment);
    checks.augment_in_sections(&preprocess.augment);
    checks.within(KeyPath::of(&["train", "batch_size"]), pipeline.train.batch_size, BATCH_SIZE);
    checks.within(KeyPath::of(&["train", "seed"]), pipeline.train.seed, SEED);
    for (name, model) in &pipeline.train.models {
        checks.model(name, model);
    }
    if let Some(gate) = &pipeline.report.gate {
        checks.path(&["report", "gate", "baseline"], &gate.baseline);
        checks.fraction(&["report", "gate", "tolerance"], gate.tolerance);
        checks.fraction(&["report", "gate", "class_tolerance"], gate.class_tolerance);
        let grows = LOSS_TOLERANCE.contains(&gate.loss_tolerance);
        let must = format!("from {} to {}", LOSS_TOLERANCE.start(), LOSS_TOLERANCE.end());
        checks.require(grows, KeyPath::of(&["report", "gate", "loss_tolerance"]), gate.loss_tolerance, must);
        if let Some(images) = gate.minimum_images {
            checks.within(KeyPath::of(&["report", "gate", "minimum_images"]), images, MINIMUM_IMAGES);
        }
    }
    checks.0
}

/// Every pair of values that is impossible together. Only for settings of which none is impossible by itself.
pub(crate) fn combinations(pipeline: &Pipeline) -> Vec<Problem> {
    let mut checks = Checks(Vec::new());
    checks.apart(&pipeline.preprocess.source, pipeline);
    let SplitSettings { validation, test, .. } = pipeline.preprocess.split;
    if validation + test >= 1.0 {
        checks.add(
            KeyPath::of(&["preprocess", "split"]),
            format!(
                "`preprocess.split` leaves nothing to train on: validation {validation} + test {test} is not below 1"
            ),
            "they are fractions of the images of each class; 0.2 and 0.1 are usual",
        );
    }
    checks.batch_fits(pipeline);
    checks.one_policy(&pipeline.preprocess.augment);
    if pipeline.train.models.is_empty() {
        checks.add(
            KeyPath::of(&["train", "models"]),
            "`train.models` has no model".to_owned(),
            "add one, as `baseline: { architecture: baseline-cnn }`",
        );
    }
    for (name, model) in &pipeline.train.models {
        if model.augmented && pipeline.preprocess.augment.copies == 0 {
            let key = model_key(name, "augmented");
            checks.add(
                key.clone(),
                format!("`{key}` is true, but `preprocess.augment.copies` is 0: there are no augmented images"),
                "set `preprocess.augment.copies` to 1 or more, or `augmented` to false",
            );
        }
        if model.copies == CopyOrder::Cycle && !model.augmented {
            let key = model_key(name, "copies");
            checks.add(
                key.clone(),
                format!("`{key}` has no effect: the model does not train on augmented copies"),
                "set `augmented: true`, or remove `copies`",
            );
        }
        checks.pretrained(name, model);
        if model.warmup_epochs > model.epochs as f64 {
            let key = model_key(name, "warmup_epochs");
            checks.add(
                key.clone(),
                format!("`{key}` is {}, more than the {} `epochs`", model.warmup_epochs, model.epochs),
                "the learning rate would never reach its full value: 1 or 2 epochs are usual",
            );
        }
    }
    checks.0
}

fn model_key(model: &str, key: &str) -> KeyPath {
    KeyPath::of(&["train", "models", model, key])
}

/// The path from the root, with the links on the way followed as far as the path exists, for comparing.
fn real(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let exists = absolute.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let Some((above, mut real)) = exists else { return absolute };
    for part in absolute.strip_prefix(above).unwrap_or(Path::new("")).components() {
        match part {
            Component::ParentDir => _ = real.pop(),
            part => real.push(part),
        }
    }
    real
}

pub(super) struct Checks(Vec<Problem>);

impl Checks {
    pub(super) fn add(&mut self, at: KeyPath, what: String, hint: &str) {
        self.0.push(Problem { at, what, hint: Some(hint.to_owned()) });
    }

    pub(super) fn require(&mut self, holds: bool, key: KeyPath, found: impl Display, must: impl Display) {
        if !holds {
            let what = format!("`{key}` is {found}; it must be {must}");
            self.0.push(Problem { at: key, what, hint: None });
        }
    }

    /// What the stages write must not be read as images, nor images lie where the stages write.
    fn apart(&mut self, source: &Path, pipeline: &Pipeline) {
        let output = &pipeline.output;
        let through = |a: &Path, b: &Path| {
            let written = [a, b].map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
            if written[0].starts_with(&written[1]) { "" } else { ", through a link" }
        };
        let (real_source, real_output) = (real(source), real(output));
        if real_output.starts_with(&real_source) {
            let through = through(output, source);
            self.add(
                KeyPath::of(&["output"]),
                format!(
                    "`output` ({}) lies inside `preprocess.source` ({}){through}",
                    names::path(output),
                    names::path(source)
                ),
                "what the stages write would be taken for classes: choose another directory",
            );
            return;
        }
        for own in [pipeline.shards_dir(), output.join("models"), pipeline.report_dir()] {
            if real_source.starts_with(real(&own)) {
                let (through, own) = (through(source, &own), names::path(&own));
                self.add(
                    KeyPath::of(&["preprocess", "source"]),
                    format!("`preprocess.source` ({}) lies inside `{own}`{through}", names::path(source)),
                    "the stages write there: move the images elsewhere, or choose another `output`",
                );
            }
        }
    }

    /// A name that becomes a directory.
    fn name(&mut self, at: KeyPath, name: &str) {
        let possible = !name.is_empty()
            && name.len() <= NAME_LENGTH
            && !name.starts_with('.')
            && name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c));
        if !possible {
            let what = format!("`{at}`: `{name}` cannot be the name of a directory");
            let hint = format!("use letters, digits, `-`, `_` and `.` (not first), {NAME_LENGTH} bytes at most");
            self.add(at, what, &hint);
        }
    }

    fn path(&mut self, key: &[&str], path: &Path) {
        let text = path.to_string_lossy();
        let possible = !text.trim().is_empty() && !text.contains('\0');
        self.require(possible, KeyPath::of(key), "empty", "the path of a file or directory");
    }

    pub(super) fn within<N: Display + PartialOrd>(&mut self, key: KeyPath, value: N, range: RangeInclusive<N>) {
        let must = format!("from {} to {}", range.start(), range.end());
        self.require(range.contains(&value), key, value, must);
    }

    /// A part of something that is not all of it.
    fn fraction(&mut self, key: &[&str], value: f64) {
        self.require((0.0..1.0).contains(&value), KeyPath::of(key), value, "at least 0 and below 1");
    }

    fn image(&mut self, image: &ImageSettings) {
        for (key, side) in [("width", image.width), ("height", image.height)] {
            self.require(
                IMAGE_SIDE.contains(&side),
                KeyPath::of(&["preprocess", "image", key]),
                format!("{side} pixels"),
                format!("from {} to {} pixels", IMAGE_SIDE.start(), IMAGE_SIDE.end()),
            );
        }
    }

    /// Sizes that are possible one by one may not be together.
    fn batch_fits(&mut self, pipeline: &Pipeline) {
        let ImageSettings { width, height, .. } = pipeline.preprocess.image;
        let batch = pipeline.train.batch_size;
        // At most 2^12 * 2^12 * 3 * 2^16.
        let numbers = width * height * 3 * batch;
        if numbers > limits::BATCH_NUMBERS {
            let gib = (numbers * 4).div_ceil(1 << 30);
            let most = limits::BATCH_NUMBERS / (width * height * 3);
            self.add(
                KeyPath::of(&["train", "batch_size"]),
                format!("a step of {batch} images of {width}x{height} pixels takes {gib} GiB before the first layer"),
                &format!("set `train.batch_size` to {most} or less, or make the images smaller; 32 is usual"),
            );
        }
    }

    fn split(&mut self, split: &SplitSettings) {
        self.fraction(&["preprocess", "split", "validation"], split.validation);
        self.fraction(&["preprocess", "split", "test"], split.test);
        self.within(KeyPath::of(&["preprocess", "split", "seed"]), split.seed, SEED);
        if let Some(file) = &split.keep {
            self.path(&["preprocess", "split", "keep"], file);
        }
        if let Some(Err(error)) = split.group_by.as_deref().map(GroupBy::parse) {
            self.add(
                KeyPath::of(&["preprocess", "split", "group_by"]),
                format!("`preprocess.split.group_by` is {error}"),
                "give a pattern as '(?P<group>[^/_]+)_\\d+', searched in each image's path, or a CSV file with the columns `path` and `group`",
            );
        }
    }

    fn augment(&mut self, augment: &AugmentSettings) {
        let key = |name: &str| KeyPath::of(&["preprocess", "augment", name]);
        let AugmentSettings { copies, rotation, shift, shear, zoom, brightness: [low, high], .. } = *augment;
        self.within(key("copies"), copies, COPIES);
        let turns = (0.0..=180.0).contains(&rotation);
        self.require(turns, key("rotation"), format!("{rotation} degrees"), "from 0 to 180 degrees");
        for (index, part) in shift.into_iter().enumerate() {
            self.fraction(&["preprocess", "augment", "shift", &format!("[{index}]")], part);
        }
        // At 90 degrees the sheared image is a line.
        let shears = (0.0..90.0).contains(&shear);
        self.require(shears, key("shear"), format!("{shear} degrees"), "at least 0 and below 90 degrees");
        self.fraction(&["preprocess", "augment", "zoom"], zoom);
        let brightens = low >= 0.0 && low <= high && high <= limits::BRIGHTNESS;
        let must = format!("two factors from 0 to {}, the lower first", limits::BRIGHTNESS);
        self.require(brightens, key("brightness"), format!("[{low}, {high}]"), must);
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

    fn model(&mut self, name: &str, model: &ModelSettings) {
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
        self.fraction(&["train", "models", name, "label_smoothing"], model.label_smoothing);
        self.fraction(&["train", "models", name, "ema_decay"], model.ema_decay);
    }
}

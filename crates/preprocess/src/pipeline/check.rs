//! Which values are possible. After this, nothing needs to ask whether a setting makes sense.

use super::limits::{
    self, BATCH_SIZE, COPIES, CROP_FRACTION, FOLDS, IMAGE_SIDE, LOSS_TOLERANCE, MEMORY, MINIMUM_IMAGES, SEED,
};
use super::problem::{KeyPath, Problem};
use super::{AugmentSettings, Fit, GroupBy, ImageSettings, Pipeline, SplitSettings};
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
    if let Some(file) = &preprocess.corrections {
        checks.path(&["preprocess", "corrections"], file);
    }
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
    checks.augment_combinations(&pipeline.preprocess.augment);
    if pipeline.train.models.is_empty() {
        checks.add(
            KeyPath::of(&["train", "models"]),
            "`train.models` has no model".to_owned(),
            "add one, as `baseline: { architecture: baseline-cnn }`",
        );
    }
    for (name, model) in &pipeline.train.models {
        checks.model_combinations(name, model, pipeline);
    }
    checks.0
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
    pub(super) fn name(&mut self, at: KeyPath, name: &str) {
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

    pub(super) fn path(&mut self, key: &[&str], path: &Path) {
        let text = path.to_string_lossy();
        let possible = !text.trim().is_empty() && !text.contains('\0');
        self.require(possible, KeyPath::of(key), "empty", "the path of a file or directory");
    }

    pub(super) fn within<N: Display + PartialOrd>(&mut self, key: KeyPath, value: N, range: RangeInclusive<N>) {
        let must = format!("from {} to {}", range.start(), range.end());
        self.require(range.contains(&value), key, value, must);
    }

    /// A part of something that is not all of it.
    pub(super) fn fraction(&mut self, key: &[&str], value: f64) {
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
        let key = || KeyPath::of(&["preprocess", "image", "crop_fraction"]);
        self.within(key(), image.crop_fraction, CROP_FRACTION);
        if image.fit == Fit::Pad && image.crop_fraction < 1.0 {
            self.add(
                key(),
                "`preprocess.image.crop_fraction` contradicts `preprocess.image.fit: pad`, which keeps the whole image"
                    .to_owned(),
                "set `fit` to `crop` or `stretch`, or remove `crop_fraction`",
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
        self.within(KeyPath::of(&["preprocess", "split", "folds"]), split.folds, FOLDS);
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
        self.within(key("copies"), copies.stored(), COPIES);
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
}

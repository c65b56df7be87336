//! The baseline as a file: a header that a person can read and compare, and a few bytes an image.
//!
//! Every image is named once, by eight bytes of its content and its class; each model then has the predicted class and
//! the loss of each image. A class takes a byte, or two where there are more than 254; the highest number stands for
//! "not measured", where a model was accepted on other images than another. All scores are recomputed from these when
//! the file is read.

use super::baseline::{ACCEPT, Baseline, Scores};
use super::record::{Loss, Record};
use crate::run::write_json;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use indexmap::IndexMap;
use preprocess::pipeline::Split;
use preprocess::stage::error::Context;
use preprocess::stage::sealed::{self, Unsealed};
use preprocess::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The version of the baseline file that this program writes and reads.
pub const FORMAT: u64 = 2;

/// The last format, whose files named no images.
const WITHOUT_IMAGES: u64 = 1;

/// Classes that a file can name.
const MOST_CLASSES: usize = u16::MAX as usize;

/// Scores in the header are rounded to six decimals.
const ROUNDED: f64 = 1e6;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u64,
    pipeline: String,
    split: Split,
    classes: Vec<String>,
    /// Images that any of the models was measured on.
    images: usize,
    /// By name.
    models: IndexMap<String, ModelInFile>,
    /// Base64: of each image the first eight bytes of its content's BLAKE3, ascending.
    contents: String,
    /// Base64: of each image its class.
    labels: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelInFile {
    images: usize,
    correct: usize,
    accuracy: f64,
    macro_f1: f64,
    loss: f64,
    /// Base64: of each image the predicted class.
    predictions: String,
    /// Base64: of each image two bytes for the loss.
    losses: String,
}

/// Reads a baseline file.
///
/// # Errors
/// Missing, altered, of another format, or at odds with itself.
pub fn read(file: &Path) -> Result<Baseline> {
    let foreign = || Error::new(format!("`{}` is not a baseline of this version", file.display())).hint(ACCEPT);
    let contents: File = match sealed::read(file) {
        Ok(contents) => contents,
        Err(Unsealed::Missing) => {
            return Err(Error::new(format!("there is no baseline at `{}`", file.display()))
                .hint("run `report accept` with the same pipeline file, look at what it writes, and commit it"));
        }
        Err(Unsealed::Unreadable(reason) | Unsealed::Altered(reason)) => {
            return Err(explain(file, reason)?);
        }
    };
    if contents.format != FORMAT {
        return Err(foreign().because(format!("it has format {}, not {FORMAT}", contents.format)));
    }
    contents.unpack().map_err(|reason| {
        Error::new(format!("the baseline `{}` contradicts itself", file.display())).because(reason).hint(
            "take the committed file again (`git checkout`), or run `report accept` with the same pipeline file \
             and commit what it writes",
        )
    })
}

/// Why a file is no whole baseline: one of the last format, or altered since it was written.
fn explain(file: &Path, reason: String) -> Result<Error> {
    let text =
        preprocess::stage::files::read(file).context(|| format!("cannot read the baseline `{}`", file.display()))?;
    let format = serde_json::from_slice::<serde_json::Value>(&text).ok().and_then(|value| value["format"].as_u64());
    Ok(match format {
        Some(WITHOUT_IMAGES) => Error::new(format!("the baseline `{}` has format 1", file.display()))
            .because("it does not say which images were measured, so that nothing can be compared image by image")
            .hint(
                "check out and run the version that wrote it if you need its verdict; otherwise run `report accept` \
                 with the same pipeline file, look at what it writes, and commit it",
            ),
        Some(FORMAT) => Error::new(format!("the baseline `{}` was altered since it was written", file.display()))
            .because(reason)
            .hint(
                "take the committed file again (`git checkout`), or run `report accept` with the same pipeline \
                 file and commit what it writes; after a merge conflict: accept anew",
            ),
        _ => Error::new(format!("`{}` is not a baseline of this version", file.display())).because(reason).hint(ACCEPT),
    })
}

/// Writes a baseline file, whole or not at all.
///
/// # Errors
/// More classes than can be named; the disk refuses.
pub fn write(file: &Path, baseline: &Baseline) -> Result<()> {
    if baseline.classes.len() > MOST_CLASSES {
        return Err(Error::new(format!("the baseline `{}` cannot be written", file.display()))
            .because(format!("there are {} classes, and it can name {MOST_CLASSES}", baseline.classes.len())));
    }
    write_json(file, &File::pack(baseline))
}

/// How class numbers are written.
#[derive(Clone, Copy)]
struct Width {
    bytes: usize,
}

impl Width {
    fn of(classes: usize) -> Self {
        Self { bytes: if classes < usize::from(u8::MAX) { 1 } else { 2 } }
    }

    fn encode(self, classes: impl Iterator<Item = Option<usize>>) -> String {
        let bytes = classes.flat_map(|class| {
            let number = class.unwrap_or(usize::MAX) as u16;
            number.to_be_bytes()[2 - self.bytes..].to_vec()
        });
        STANDARD.encode(bytes.collect::<Vec<u8>>())
    }

    /// `None` where the highest number stands.
    fn decode(self, text: &str, images: usize, what: &str) -> Result<Vec<Option<usize>>, String> {
        let bytes = decode(text, images * self.bytes, what)?;
        let highest = if self.bytes == 1 { usize::from(u8::MAX) } else { usize::from(u16::MAX) };
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, &byte| number << 8 | usize::from(byte));
        Ok(bytes.chunks(self.bytes).map(|bytes| Some(number(bytes)).filter(|&class| class != highest)).collect())
    }
}

/// Base64 of exactly so many bytes.
fn decode(text: &str, bytes: usize, what: &str) -> Result<Vec<u8>, String> {
    let decoded = STANDARD.decode(text).map_err(|error| format!("its {what} are not base64: {error}"))?;
    if decoded.len() != bytes {
        return Err(format!("its {what} take {} bytes where {bytes} are needed", decoded.len()));
    }
    Ok(decoded)
}

impl File {
    fn pack(baseline: &Baseline) -> Self {
        let images = union(baseline);
        let width = Width::of(baseline.classes.len());
        let contents: Vec<u8> = images.iter().flat_map(|(content, _)| content.to_be_bytes()).collect();
        let models = baseline.models.iter().map(|(name, records)| {
            let placed = place(records, &images);
            let losses = placed.iter().flat_map(|record| record.map_or(0, |record| record.loss.0).to_be_bytes());
            let Scores { images, correct, accuracy, macro_f1, loss } = Scores::of(records, baseline.classes.len());
            let model = ModelInFile {
                images,
                correct,
                accuracy: rounded(accuracy),
                macro_f1: rounded(macro_f1),
                loss: rounded(loss),
                predictions: width.encode(placed.iter().map(|record| record.map(|record| record.predicted))),
                losses: STANDARD.encode(losses.collect::<Vec<u8>>()),
            };
            (name.clone(), model)
        });
        Self {
            format: FORMAT,
            pipeline: baseline.pipeline.clone(),
            split: baseline.split,
            classes: baseline.classes.clone(),
            images: images.len(),
            models: models.collect(),
            contents: STANDARD.encode(contents),
            labels: width.encode(images.iter().map(|(_, label)| Some(*label))),
        }
    }

    fn unpack(self) -> Result<Baseline, String> {
        let classes = self.classes.len();
        if classes > MOST_CLASSES {
            return Err(format!("it has {classes} classes; {MOST_CLASSES} can be named"));
        }
        let width = Width::of(classes);
        // Each image takes bytes of the file: no number in it can ask for more memory than it has itself.
        if self.images > self.contents.len() {
            return Err(format!("it says that it has {} images and does not name them", self.images));
        }
        let contents = decode(&self.contents, 8 * self.images, "contents")?;
        let contents =
            contents.chunks(8).map(|bytes| bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)));
        let mut images = Vec::with_capacity(self.images);
        for (content, label) in contents.zip(width.decode(&self.labels, self.images, "labels")?) {
            images.push((content, below(label, classes)?.ok_or("an image has no class")?));
        }
        let unpacked = self.models.into_iter().map(|(name, model)| {
            let records =
                model.unpack(&images, width, classes).map_err(|reason| format!("model `{name}`: {reason}"))?;
            Ok((name, records))
        });
        let models = unpacked.collect::<Result<_, String>>()?;
        Ok(Baseline { pipeline: self.pipeline, split: self.split, classes: self.classes, models })
    }
}

impl ModelInFile {
    fn unpack(&self, images: &[(u64, usize)], width: Width, classes: usize) -> Result<Vec<Record>, String> {
        let predictions = width.decode(&self.predictions, images.len(), "predictions")?;
        let losses = decode(&self.losses, 2 * images.len(), "losses")?;
        let losses = losses.chunks(2).map(|bytes| bytes.iter().fold(0, |number, &byte| number << 8 | u16::from(byte)));
        let mut records = Vec::new();
        for ((&(content, label), predicted), loss) in images.iter().zip(predictions).zip(losses) {
            if let Some(predicted) = below(predicted, classes)? {
                records.push(Record { content, label, predicted, loss: Loss(loss) });
            }
        }
        records.sort_unstable();
        let scores = Scores::of(&records, classes);
        let told = [self.images as f64, self.correct as f64, self.accuracy, self.macro_f1, self.loss];
        let follows = [scores.images as f64, scores.correct as f64, scores.accuracy, scores.macro_f1, scores.loss];
        let names = ["images", "correct", "accuracy", "macro_f1", "loss"];
        for ((name, told), follows) in names.iter().zip(told).zip(follows) {
            if (told - follows).abs() > 1.0 / ROUNDED {
                return Err(format!("its `{name}` is {told}; {} follows from its images", rounded(follows)));
            }
        }
        Ok(records)
    }
}

fn rounded(score: f64) -> f64 {
    (score * ROUNDED).round() / ROUNDED
}

fn below(class: Option<usize>, classes: usize) -> Result<Option<usize>, String> {
    match class {
        Some(class) if class >= classes => Err(format!("an image is of class {class}; there are {classes}")),
        class => Ok(class),
    }
}

/// Content and class of every image that any model was measured on, sorted; of equal ones as many as the model with
/// most has.
fn union(baseline: &Baseline) -> Vec<(u64, usize)> {
    let mut most: BTreeMap<(u64, usize), usize> = BTreeMap::new();
    for records in baseline.models.values() {
        for equal in records.chunk_by(|a, b| (a.content, a.label) == (b.content, b.label)) {
            let count = most.entry((equal[0].content, equal[0].label)).or_default();
            *count = equal.len().max(*count);
        }
    }
    most.into_iter().flat_map(|(image, count)| std::iter::repeat_n(image, count)).collect()
}

/// Each image's record, where the model has one. Both are sorted.
fn place<'a>(records: &'a [Record], images: &[(u64, usize)]) -> Vec<Option<&'a Record>> {
    let mut next = records.iter().peekable();
    images.iter().map(|&image| next.next_if(|record| (record.content, record.label) == image)).collect()
}

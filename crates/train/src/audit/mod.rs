//! What can be told of each image of a data set from frozen features and from its pixels, for the report's audit:
//! what a head says that has not seen it, the images that are most like it, the copies of it, what its pixels show.
//!
//! Judging is the report's work. Here is what needs a network, a device and the pixels.

pub mod confident;
mod copies;
pub mod evidence;
mod held_out;
mod labels;
mod neighbours;
mod pictures;
mod registration;
mod source;
mod thumbnail;

use crate::data::shards::TrainingData;
use crate::device::cpu::simd;
use crate::ops::Backend;
use crate::training::plan::ModelPlan;
use evidence::{AUDIT_DIRECTORY, AUDIT_FILE, EVIDENCE_FILE, Evidence, FORMAT, ImageEvidence, Record};
use held_out::Divided;
use preprocess::dataset::Rows;
use preprocess::pipeline::{Pipeline, Split};
use preprocess::split::{FoldItem, folds};
use preprocess::stage::atomic_file::sweep_leftovers;
use preprocess::stage::owned::{self, Owned};
use preprocess::stage::{files, fingerprint};
use preprocess::{Result, say};
use source::Source;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Changed whenever the same images and features give other evidence.
const AUDIT_VERSION: u32 = 1;

/// Neighbours of each image that the report learns of.
const SHOWN: usize = 10;

/// Gathers the evidence of a pipeline's data set, unless it is there. `plans` are of all models of the pipeline; where
/// none is pretrained, and none trained yet, there is nothing to take features from, and nothing is done.
///
/// # Errors
/// An image cannot be read, the device fails, the disk refuses, or the run is interrupted.
pub(crate) fn run<B: Backend>(pipeline: &Pipeline, plans: &[ModelPlan], data: &TrainingData, device: &B) -> Result<()> {
    let Some(source) = Source::of(plans) else { return Ok(()) };
    let record = record(pipeline, &source, data)?;
    let (directory, mut owned) = claim(&pipeline.output)?;
    let before = Evidence::read(&pipeline.output);
    if before.is_ok_and(|before| before.record.fingerprint == record.fingerprint) {
        say!("audit: up to date in `{}`", directory.display());
        return Ok(());
    }
    gather(record, &source, pipeline, data, device)?.write(&directory)?;
    sweep_leftovers(&directory)?;
    owned.settle(&NAMES.map(str::to_owned).into())?;
    say!("audit: evidence in `{}`; `report` says what it shows", directory.display());
    Ok(())
}

/// Names of the files that the audit writes.
const NAMES: [&str; 2] = [AUDIT_FILE, EVIDENCE_FILE];

/// Makes `<output>/audit` where it is missing, and notes the files that will be written.
///
/// # Errors
/// It is a link, or holds files of these names that are somebody else's; the disk refuses.
pub(crate) fn claim(output: &Path) -> Result<(PathBuf, Owned)> {
    let directory = files::make_directories(output, &[AUDIT_DIRECTORY])?;
    // Without a list, a record of this program's format says that both files are its own.
    let known: &[&str] = if Record::read(&directory).is_ok() { &NAMES } else { &[] };
    let mut owned = Owned::open(&directory, directory.join(owned::FILE_NAME), known);
    owned.claim(NAMES)?;
    Ok((directory, owned))
}

/// All but the penalty and the checksum of the evidence.
fn record(pipeline: &Pipeline, source: &Source<'_>, data: &TrainingData) -> Result<Record> {
    let manifest = data.manifest();
    let split = &pipeline.preprocess.split;
    let version = (AUDIT_VERSION, FORMAT, env!("CARGO_PKG_VERSION"), simd::is_reference());
    let decides = (version, &manifest.fingerprint, &source.told, &source.checksum, split.folds, split.seed);
    Ok(Record {
        format: FORMAT,
        fingerprint: fingerprint::of_value(&decides)?,
        dataset_fingerprint: manifest.fingerprint.clone(),
        classes: manifest.classes.clone(),
        features: source.told.clone(),
        folds: split.folds,
        penalty: 0.0,
        evidence: String::new(),
    })
}

fn gather<B: Backend>(
    record: Record,
    source: &Source<'_>,
    pipeline: &Pipeline,
    data: &TrainingData,
    device: &B,
) -> Result<Evidence> {
    let splits = source::all_images(data)?;
    let rows: Vec<&Rows> = splits.iter().map(|(_, rows)| rows.as_ref()).collect();
    let image = &data.manifest().settings.image;
    let size = [image.width, image.height];
    let features = source.features(&splits, device)?;
    let fold_of = fold_of_each(&splits, record.folds, pipeline.preprocess.split.seed);
    let similar = neighbours::similar(&features, device)?;
    let (folds, classes) = (record.folds, record.classes.len());
    let divided = Divided { features: &features, fold_of: &fold_of, folds, classes };
    let judged = labels::judge(&divided, &similar, device)?;
    drop(features);
    let pictures = pictures::read(&rows, size)?;
    let mut copies = copies::find(&similar, &pictures, &rows, size)?.into_iter();
    let mut said = judged.probabilities.into_iter().zip(judged.label_probabilities);
    let mut known = fold_of.into_iter().zip(similar).zip(pictures);
    let mut images = Vec::new();
    for (split, rows) in &splits {
        for row in 0..rows.len() {
            let (Some(((fold, similar), picture)), Some(said)) = (known.next(), said.next()) else { break };
            images.push(ImageEvidence {
                path: rows.source(row).to_owned(),
                content: rows.content(row).to_owned(),
                pixels: picture.pixels,
                split: *split,
                group: rows.group(row),
                label: rows.label(row),
                fold,
                probabilities: said.0,
                label_probabilities: said.1,
                neighbours: similar.neighbours.into_iter().take(SHOWN).collect(),
                copies: copies.next().unwrap_or_default(),
                typicality: similar.typicality,
                picture: picture.statistics,
            });
        }
    }
    Ok(Evidence { record: Record { penalty: judged.penalty, ..record }, images })
}

/// The fold of each image, one split after another; none for the test split.
fn fold_of_each(splits: &[(Split, Arc<Rows>)], count: usize, seed: u64) -> Vec<Option<usize>> {
    let divided = splits.iter().filter(|(split, _)| *split != Split::Test);
    let items = divided.flat_map(|(_, rows)| {
        (0..rows.len()).map(|row| FoldItem {
            label: rows.label(row),
            group: rows.group(row),
            content: rows.content(row),
        })
    });
    let items: Vec<FoldItem<'_>> = items.collect();
    let mut folds = folds(&items, count, seed).into_iter();
    let images = splits.iter().flat_map(|(split, rows)| (0..rows.len()).map(move |_| *split));
    images.map(|split| if split == Split::Test { None } else { folds.next() }).collect()
}

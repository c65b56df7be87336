//! The stage, from a checked pipeline file to a finished data set.

mod examine;
mod inputs;
mod ledger;
mod pixel_store;
mod publish;
mod summary;

use crate::duplicates::DUPLICATES_VERSION;
use crate::folder::Folder;
use crate::manifest::{DuplicateCounts, FILE_NAME, FORMAT, Manifest, ShardEntry, Split};
use crate::pipeline::{Pipeline, PreprocessSettings};
use crate::shard::{self, PlannedShard, Row, Written};
use crate::split::{self, Item};
use crate::stage::error::Context;
use crate::stage::lock::OutputLock;
use crate::stage::progress::Progress;
use crate::stage::{fingerprint, interrupt, random};
use crate::{Result, augment, image, say};
use examine::Examined;
use inputs::Inputs;
use ledger::Ledger;
use pixel_store::PixelStore;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Shards that are written at the same time: while one waits for the disk, rows of the others are made. Each holds two row groups in
/// memory.
const SHARDS_AT_ONCE: usize = 4;

/// The directory in `shards/` that holds what only later runs of this stage read.
const STATE: &str = ".state";

/// Runs the stage: does nothing where the data set is finished, resumes where an earlier run stopped, and redoes what depends on a
/// changed setting or image.
///
/// # Errors
/// The source cannot be used, a file cannot be decoded with `unreadable: fail`, a class gets no training image, the disk is full,
/// another run holds the output directory, or the process was asked to stop.
pub fn run(pipeline: &Pipeline) -> Result<()> {
    let started = Instant::now();
    let settings = &pipeline.preprocess;
    let folder = Folder::discover(&settings.source)?;
    summary::found(&folder, &settings.source);
    let _lock = OutputLock::acquire(&pipeline.output, "preprocess")?;
    let place = Place::create(pipeline.shards_dir())?;
    let inputs = Inputs::read(&folder, &place)?;
    let fingerprint = fingerprint_of(&folder, &inputs, settings)?;
    if publish::is_up_to_date(&place, &fingerprint, settings)? {
        say!("up to date: `{}` holds the data set of these images and settings", place.shards.display());
        return Ok(());
    }
    place.unpublish()?;
    let (examined, pixels) = examine::examine(&folder, &inputs, settings, &place)?;
    // Before anything that may refuse for want of images: its hint points here.
    publish::rejected(&folder, &examined, &place)?;
    let splits = assign(&folder, &inputs, &examined, settings)?;
    let work =
        Work { folder: &folder, settings, inputs: &inputs, examined: &examined, splits: &splits, pixels: &pixels };
    let (shards, sheet) = rayon::join(|| work.write_shards(&place), || publish::contact_sheet(&work, &place));
    let manifest = work.manifest(fingerprint, shards.and_then(|shards| sheet.map(|()| shards))?);
    publish::manifest(&manifest, &place)?;
    summary::finished(&manifest, &examined, &folder, &place.shards, started.elapsed());
    Ok(())
}

/// BLAKE3 over the names, labels and contents of all images, the settings (but not where the source lies) and the version.
fn fingerprint_of(folder: &Folder, inputs: &Inputs, settings: &PreprocessSettings) -> Result<String> {
    let settings = PreprocessSettings { source: PathBuf::new(), ..settings.clone() };
    let version =
        (FORMAT, env!("CARGO_PKG_VERSION"), image::PIXELS_VERSION, DUPLICATES_VERSION, split::SPLIT_VERSION);
    fingerprint::of_value(&(version, &folder.classes, inputs.listing(folder), settings))
}

/// Where the data set goes.
struct Place {
    /// `<output>/shards`.
    shards: PathBuf,
}

impl Place {
    fn create(shards: PathBuf) -> Result<Self> {
        for directory in [shards.join("data"), shards.join(STATE)] {
            std::fs::create_dir_all(&directory).context(|| format!("cannot create `{}`", directory.display()))?;
        }
        Ok(Self { shards })
    }

    fn state(&self, file: &str) -> PathBuf {
        self.shards.join(STATE).join(file)
    }

    /// Takes the manifest away before anything that it vouches for is touched.
    fn unpublish(&self) -> Result<()> {
        remove_if_present(&self.shards.join(FILE_NAME))
    }
}

fn remove_if_present(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context(|| format!("cannot remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

/// The split of each image of the folder; none for those that could not be decoded.
fn assign(
    folder: &Folder,
    inputs: &Inputs,
    examined: &Examined,
    settings: &PreprocessSettings,
) -> Result<Vec<Option<Split>>> {
    let readable: Vec<(usize, usize)> = examined.groups().collect();
    let items: Vec<Item> = readable
        .iter()
        .map(|&(index, group)| {
            let image = &folder.images[index];
            Item { content: inputs.content(index), label: image.label, group, given: image.split, kept: None }
        })
        .collect();
    let mut splits = vec![None; folder.images.len()];
    for ((index, _), split) in std::iter::zip(&readable, split::assign(&items, &folder.classes, &settings.split)?) {
        splits[*index] = Some(split);
    }
    Ok(splits)
}

/// A finished shard as the manifest lists it.
fn entry(shard: &PlannedShard, written: Written) -> ShardEntry {
    ShardEntry {
        file: shard.file.clone(),
        split: shard.split,
        copy: shard.copy,
        rows: shard.images.len(),
        bytes: written.bytes,
        blake3: written.blake3,
    }
}

/// All that the shards are made from.
struct Work<'a> {
    folder: &'a Folder,
    settings: &'a PreprocessSettings,
    inputs: &'a Inputs,
    examined: &'a Examined,
    splits: &'a [Option<Split>],
    pixels: &'a PixelStore<'a>,
}

impl Work<'_> {
    /// The images of each split in the order of their rows: chance's order, the same in every copy, so that a reader that goes
    /// through the file meets the classes mixed.
    fn rows(&self) -> BTreeMap<Split, Vec<usize>> {
        let mut rows: BTreeMap<Split, Vec<usize>> = BTreeMap::new();
        for (index, split) in self.splits.iter().enumerate() {
            if let Some(split) = split {
                rows.entry(*split).or_default().push(index);
            }
        }
        let chance = |&index: &usize| {
            let source = &self.folder.images[index].source;
            random::stream(self.settings.split.seed, "order", &[source.as_bytes()]).bits()
        };
        for images in rows.values_mut() {
            images.sort_by_cached_key(chance);
        }
        rows
    }

    /// Writes the shards that an earlier run has not left whole.
    fn write_shards(&self, place: &Place) -> Result<Vec<ShardEntry>> {
        let plan = shard::plan(&self.rows(), self.settings.augment.copies, &self.settings.image);
        let keys = plan.iter().map(|shard| self.key(shard)).collect::<Result<Vec<_>>>()?;
        let mut ledger = Ledger::open(place)?;
        let finished = ledger.keep(&plan, &keys, place)?;
        let total: usize = plan.iter().map(|shard| shard.images.len()).sum();
        let kept: usize =
            std::iter::zip(&plan, &finished).filter_map(|(s, f)| f.is_some().then_some(s.images.len())).sum();
        let progress = Progress::new("writing shards", total as u64, "images");
        progress.resume_at(kept as u64);
        let ledger = Mutex::new(ledger);
        let write = |number: usize| -> Result<Written> {
            if let Some(written) = &finished[number] {
                return Ok(written.clone());
            }
            interrupt::check()?;
            let shard = &plan[number];
            let row = |image: usize| self.row(image, shard.copy);
            let written = shard::write(&place.shards, shard, &self.folder.classes, row, &progress)?;
            let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            ledger.record(&keys[number], &shard.file, &written)?;
            Ok(written)
        };
        let mut entries = Vec::with_capacity(plan.len());
        let numbers: Vec<usize> = (0..plan.len()).collect();
        for numbers in numbers.chunks(SHARDS_AT_ONCE) {
            let written = numbers.par_iter().map(|&number| write(number)).collect::<Result<Vec<_>>>()?;
            entries.extend(std::iter::zip(&plan[numbers[0]..], written).map(|(shard, written)| entry(shard, written)));
        }
        progress.finish();
        Ok(entries)
    }

    /// All that determines a shard's bytes, but not its name.
    fn key(&self, shard: &PlannedShard) -> Result<String> {
        let groups = self.examined.group_of_each();
        let rows: Vec<_> = shard
            .images
            .iter()
            .map(|&index| {
                let image = &self.folder.images[index];
                (&image.source, self.inputs.content(index), image.label, groups[index])
            })
            .collect();
        // A copy's number does not change copy 0, nor do settings of augmentation.
        let augment = (shard.copy > 0).then(|| {
            let any_number = crate::pipeline::AugmentSettings { copies: 0, ..self.settings.augment.clone() };
            (any_number, self.settings.split.seed)
        });
        let version = (FORMAT, env!("CARGO_PKG_VERSION"), image::PIXELS_VERSION);
        fingerprint::of_value(&(version, &self.folder.classes, &self.settings.image, shard.copy, augment, rows))
    }

    /// One row: the image itself, or an augmented copy of it.
    fn row(&self, index: usize, copy: usize) -> Result<Row> {
        let found = &self.folder.images[index];
        let mut pixels = self.pixels.pixels(index)?;
        if copy > 0 {
            let seed = self.settings.split.seed;
            pixels = augment::augment(&pixels, &self.settings.augment, seed, &found.source, copy);
        }
        let png = image::png::encode(&pixels).context(|| format!("cannot encode a copy of `{}`", found.source))?;
        let group = self.examined.group_of_each()[index].unwrap_or_default();
        let content = self.inputs.content(index).to_owned();
        Ok(Row { png, source: found.source.clone(), label: found.label, group, content })
    }

    fn manifest(&self, fingerprint: String, shards: Vec<ShardEntry>) -> Manifest {
        let placed: Vec<(Split, usize)> = std::iter::zip(self.splits, &self.folder.images)
            .filter_map(|(split, image)| split.map(|split| (split, image.label)))
            .collect();
        Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            fingerprint,
            settings: self.settings.clone(),
            classes: self.folder.classes.clone(),
            counts: split::counts(&placed, self.folder),
            duplicates: self.duplicate_counts(),
            rejected: self.examined.rejected().count(),
            shards,
        }
    }

    fn duplicate_counts(&self) -> DuplicateCounts {
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, group) in self.examined.groups() {
            groups.entry(group).or_default().push(index);
        }
        groups.retain(|_, members| members.len() > 1);
        let across = |differ: &dyn Fn(usize, usize) -> bool| {
            groups.values().filter(|members| members.iter().any(|&member| differ(members[0], member))).count()
        };
        DuplicateCounts {
            exact: self.examined.exact,
            near: groups.values().map(Vec::len).sum(),
            groups: groups.len(),
            across_splits: across(&|a, b| self.splits[a] != self.splits[b]),
            across_classes: across(&|a, b| self.folder.images[a].label != self.folder.images[b].label),
        }
    }
}

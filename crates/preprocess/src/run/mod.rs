//! The stage, from a checked pipeline file to a finished data set.

mod examine;
mod grouping;
mod inputs;
mod ledger;
mod pixel_store;
mod publish;
mod room;
mod summary;

use crate::augment::AUGMENT_VERSION;
use crate::duplicates::DUPLICATES_VERSION;
use crate::folder::Folder;
use crate::manifest::{DuplicateCounts, FILE_NAME, FORMAT, Manifest, ShardEntry, Unmet};
use crate::pipeline::{GroupBy, Pipeline, PreprocessSettings, Split};
use crate::shard::{self, PlannedShard, Row, StoredRow, Written};
use crate::split::{self, Item, Keep, SPLIT_VERSION, given_groups};
use crate::stage::error::Context;
use crate::stage::lock::OutputLock;
use crate::stage::owned::Owned;
use crate::stage::progress::Progress;
use crate::stage::{files, fingerprint, interrupt, random};
use crate::{Error, Result, augment, image, note, say};
use examine::Examined;
use grouping::Grouping;
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
    image::budget::limit_memory(settings.memory);
    let folder = Folder::discover_beside(&settings.source, &[&pipeline.output])?;
    summary::found(&folder, &settings.source);
    let _lock = OutputLock::acquire(&pipeline.output, "preprocess")?;
    let place = Place::create(&pipeline.output)?;
    let inputs = Inputs::read(&folder, &place)?;
    let made = make(&folder, &inputs, settings, &place, started);
    if made.is_err() && inputs.misled() {
        note!("note: what earlier runs remembered of the images was wrong; all are read again");
        Inputs::forget(&place)?;
        return make(&folder, &Inputs::read(&folder, &place)?, settings, &place, started);
    }
    made
}

/// Makes the data set of these images, if it is not there.
fn make(
    folder: &Folder,
    inputs: &Inputs,
    settings: &PreprocessSettings,
    place: &Place,
    started: Instant,
) -> Result<()> {
    let given = groups_by_settings(folder, settings)?;
    let mut keep = settings.split.keep.as_deref().map(|file| read_keep(file, folder)).transpose()?;
    let fingerprint = fingerprint_of(folder, inputs, &given, settings)?;
    let kept = kept_splits(&keep, folder, inputs);
    let listed = keep.as_ref().map(|_| kept.as_slice());
    if publish::is_up_to_date(place, &fingerprint, &folder.classes, settings, listed)? {
        say!("up to date: `{}` holds the data set of these images and settings", place.shards.display());
        return Ok(());
    }
    // Before the manifest goes: it tells which files are this program's.
    let mut owned = place.owned();
    owned.claim(publish::FILES.iter().copied())?;
    room::check(folder, settings, place)?;
    place.unpublish()?;
    let (examined, pixels) = examine::examine(folder, inputs, settings, place)?;
    // Before anything that may refuse for want of images: its hint points here.
    publish::rejected(folder, &examined, place)?;
    let grouping = Grouping::new(&examined, inputs, &given, settings.split.near_duplicates);
    let (splits, unmet) = assign(folder, inputs, &grouping, &kept, settings)?;
    let work =
        Work { folder, settings, inputs, examined: &examined, grouping: &grouping, splits: &splits, pixels: &pixels };
    let (shards, sheet) = rayon::join(|| work.write_shards(place), || publish::contact_sheet(&work, place));
    let mut manifest = work.manifest(fingerprint, unmet, shards.and_then(|shards| sheet.map(|()| shards))?);
    publish::duplicates(&work, place)?;
    if let Some(keep) = &mut keep {
        manifest.kept = Some(publish::keep(keep, &work)?);
    }
    publish::manifest(&manifest, &mut owned, place)?;
    summary::finished(&manifest, &work, &place.shards, started.elapsed());
    Ok(())
}

/// The group that the user gives each image; none at all without `group_by`.
fn groups_by_settings(folder: &Folder, settings: &PreprocessSettings) -> Result<Vec<Option<String>>> {
    let Some(text) = &settings.split.group_by else { return Ok(Vec::new()) };
    let by = GroupBy::parse(text).map_err(|error| Error::new(format!("`preprocess.split.group_by` is {error}")))?;
    let paths: Vec<&str> = folder.images.iter().map(|image| image.source.as_str()).collect();
    given_groups(&by, &paths)
}

/// Reads the list of kept splits; directories that are split already need none.
fn read_keep(file: &Path, folder: &Folder) -> Result<Keep> {
    if folder.images.iter().any(|image| image.split.is_some()) {
        return Err(Error::new("`preprocess.split.keep` cannot be used with directories that are split already")
            .because("the directories `train`, `validation` and `test` say where each image goes, and a list could contradict them")
            .hint("take the key away; or move the classes of all splits together and let the list say what was where"));
    }
    Keep::read(file)
}

/// The split that each image is known to have.
fn kept_splits(keep: &Option<Keep>, folder: &Folder, inputs: &Inputs) -> Vec<Option<Split>> {
    let images = folder.images.iter().enumerate();
    let images = images.map(|(index, image)| (image.source.as_str(), inputs.content(index)));
    keep.as_ref().map_or_else(|| vec![None; folder.images.len()], |keep| keep.splits(images))
}

/// BLAKE3 over the names, labels and contents of all images, the settings (but not where the source lies) and the version.
fn fingerprint_of(
    folder: &Folder,
    inputs: &Inputs,
    given: &[Option<String>],
    settings: &PreprocessSettings,
) -> Result<String> {
    let settings = PreprocessSettings { source: PathBuf::new(), ..settings.clone() };
    let version = (FORMAT, env!("CARGO_PKG_VERSION"));
    let versions = (image::PIXELS_VERSION, DUPLICATES_VERSION, SPLIT_VERSION, AUGMENT_VERSION);
    fingerprint::of_value(&(version, versions, &folder.classes, inputs.listing(folder), given, settings))
}

/// Where the data set goes.
struct Place {
    /// `<output>/shards`.
    shards: PathBuf,
}

impl Place {
    fn create(output: &Path) -> Result<Self> {
        for directory in ["data", STATE] {
            files::make_directories(output, &["shards", directory])?;
        }
        Ok(Self { shards: output.join("shards") })
    }

    /// Which of the files beside the shards are this program's. Where there is no list of them, a manifest of this program's
    /// format says that all are.
    fn owned(&self) -> Owned {
        let ours = Manifest::read(&self.shards).is_ok();
        Owned::open(&self.shards, self.state("written.json"), if ours { publish::FILES } else { &[] })
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

/// The split of each image of the folder, none for those that could not be decoded; and the fractions that could not be met.
fn assign(
    folder: &Folder,
    inputs: &Inputs,
    grouping: &Grouping,
    kept: &[Option<Split>],
    settings: &PreprocessSettings,
) -> Result<(Vec<Option<Split>>, Vec<Unmet>)> {
    let bound = grouping.bound.iter().enumerate();
    let readable: Vec<(usize, usize)> = bound.filter_map(|(index, group)| Some((index, (*group)?))).collect();
    let items: Vec<Item> = readable
        .iter()
        .map(|&(index, group)| {
            let image = &folder.images[index];
            let content = inputs.content(index);
            Item { content, label: image.label, group, given: image.split, kept: kept[index] }
        })
        .collect();
    let assigned = split::assign(&items, &folder.classes, &settings.split)?;
    let unmet = split::unmet(&items, &assigned, &folder.classes, &settings.split);
    let mut splits = vec![None; folder.images.len()];
    for ((index, _), split) in std::iter::zip(&readable, assigned) {
        splits[*index] = Some(split);
    }
    Ok((splits, unmet))
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
    grouping: &'a Grouping,
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
        let holds = |shard: &PlannedShard, rows: &[StoredRow]| self.holds(shard, rows);
        let finished = ledger.keep(&plan, &keys, &self.folder.classes, &holds, place)?;
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

    /// Whether the rows of a shard are those of the planned one.
    fn holds(&self, shard: &PlannedShard, rows: &[StoredRow]) -> bool {
        let groups = &self.grouping.group;
        let same = |(&index, row): (&usize, &StoredRow)| {
            let image = &self.folder.images[index];
            let group = groups[index].unwrap_or_default() as u64;
            (row.label as usize, row.group) == (image.label, group)
                && (row.source == image.source && row.content == self.inputs.content(index))
        };
        rows.len() == shard.images.len() && std::iter::zip(&shard.images, rows).all(same)
    }

    /// All that determines a shard's bytes, but not its name.
    fn key(&self, shard: &PlannedShard) -> Result<String> {
        let groups = &self.grouping.group;
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
            (AUGMENT_VERSION, any_number, self.settings.split.seed)
        });
        let version = (FORMAT, env!("CARGO_PKG_VERSION"), image::PIXELS_VERSION);
        fingerprint::of_value(&(version, &self.folder.classes, &self.settings.image, shard.copy, augment, rows))
    }

    /// One row: the image itself, or an augmented copy of it.
    fn row(&self, index: usize, copy: usize) -> Result<Row> {
        interrupt::check()?;
        let found = &self.folder.images[index];
        let mut pixels = self.pixels.pixels(index)?;
        if copy > 0 {
            let seed = self.settings.split.seed;
            pixels = augment::augment(&pixels, &self.settings.augment, seed, &found.source, copy);
        }
        let png = image::png::encode(&pixels).context(|| format!("cannot encode a copy of `{}`", found.source))?;
        let group = self.grouping.group[index].unwrap_or_default();
        let content = self.inputs.content(index).to_owned();
        Ok(Row { png, source: found.source.clone(), label: found.label, group, content })
    }

    fn manifest(&self, fingerprint: String, unmet: Vec<Unmet>, shards: Vec<ShardEntry>) -> Manifest {
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
            unmet,
            kept: None,
            rejected: self.examined.rejected().count(),
            shards,
        }
    }

    /// The images of each group of two or more, by its number.
    fn groups(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, group) in self.grouping.group.iter().enumerate() {
            if let Some(group) = group {
                groups.entry(*group).or_default().push(index);
            }
        }
        groups.retain(|_, members| members.len() > 1);
        groups
    }

    /// Whether the images of a group differ in something.
    fn differ<T: PartialEq>(members: &[usize], of: impl Fn(usize) -> T) -> bool {
        members.iter().any(|&member| of(member) != of(members[0]))
    }

    fn duplicate_counts(&self) -> DuplicateCounts {
        let groups = self.groups();
        let across_splits = |members: &&Vec<usize>| Self::differ(members, |index| self.splits[index]);
        let across_classes = |members: &&Vec<usize>| Self::differ(members, |index| self.folder.images[index].label);
        DuplicateCounts {
            exact: self.examined.exact,
            near: groups.values().map(Vec::len).sum(),
            groups: groups.len(),
            across_splits: groups.values().filter(across_splits).count(),
            across_classes: groups.values().filter(across_classes).count(),
        }
    }
}

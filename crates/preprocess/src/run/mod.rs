//! The stage, from a checked pipeline file to a finished data set.

mod contents;
mod corrected;
mod crops;
mod directory;
mod examine;
mod examined;
mod grouping;
mod inputs;
mod ledger;
mod pixel_store;
mod publish;
mod room;
mod samples;
mod summary;

use crate::augment::AUGMENT_VERSION;
use crate::duplicates::DUPLICATES_VERSION;
use crate::folder::Folder;
use crate::manifest::{FORMAT, Unmet};
use crate::pipeline::{GroupBy, Pipeline, PreprocessSettings, Split, SplitSettings};
use crate::split::{self, Item, Keep, SPLIT_VERSION, given_groups};
use crate::stage::fingerprint;
use crate::stage::lock::OutputLock;
use crate::{Error, ErrorKind, Result, image, note, say};
use contents::Contents;
use corrected::Corrected;
use directory::ShardsDirectory;
use grouping::Grouping;
use inputs::Inputs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Runs the stage: does nothing where the data set is finished, resumes where an earlier run stopped, and redoes what
/// depends on a changed setting or image.
///
/// # Errors
/// The source or the corrections cannot be used, a file cannot be decoded with `unreadable: fail`, a class gets no
/// training image, the disk is full, another run holds the output directory, or the process was asked to stop.
pub fn run(pipeline: &Pipeline) -> Result<()> {
    let started = Instant::now();
    let settings = &pipeline.preprocess;
    image::budget::limit_memory(settings.memory);
    let folder = Folder::discover_beside(&settings.source, &[&pipeline.output])?;
    summary::found(&folder, &settings.source);
    let corrected = Corrected::new(&folder, settings.corrections.as_deref())?;
    let _lock = OutputLock::acquire(&pipeline.output, "preprocess")?;
    let place = ShardsDirectory::create(&pipeline.output)?;
    let inputs = Inputs::read(&folder, &place)?;
    let made = make(&corrected, &inputs, settings, &place, started);
    let failed = made.as_ref().is_err_and(|error| error.kind() != ErrorKind::Interrupted);
    if failed && inputs.misled() {
        note!("note: what earlier runs remembered of the images was wrong; all are read again");
        Inputs::forget(&place)?;
        return make(&corrected, &Inputs::read(&folder, &place)?, settings, &place, started);
    }
    made
}

/// Makes the data set of these images, if it is not there.
fn make(
    corrected: &Corrected,
    inputs: &Inputs,
    settings: &PreprocessSettings,
    place: &ShardsDirectory,
    started: Instant,
) -> Result<()> {
    let folder = &*corrected.folder;
    let given = groups_by_settings(folder, settings)?;
    let mut keep = settings.split.keep.as_deref().map(|file| read_keep(file, folder)).transpose()?;
    let fingerprint = fingerprint_of(corrected, inputs, &given, settings)?;
    let kept = kept_splits(&keep, folder, inputs);
    let listed = keep.as_ref().map(|_| kept.as_slice());
    if publish::is_up_to_date(place, &fingerprint, &folder.classes, settings, listed)? {
        say!("up to date: `{}` holds the data set of these images and settings", place.shards.display());
        return Ok(());
    }
    // Before the manifest goes: it tells which files are this program's.
    let mut owned = place.owned();
    owned.claim(directory::FILES.iter().copied())?;
    room::check(folder, settings, place)?;
    place.unpublish()?;
    let (examined, pixels) = examine::examine(corrected.found, inputs, &corrected.dropped, settings, place)?;
    // Before anything that may refuse for want of images: its hint points here.
    publish::rejected(folder, &examined, place)?;
    let grouping = Grouping::new(&examined, inputs, &given, settings.split.near_duplicates);
    let (splits, unmet) = assign(folder, inputs, &grouping, &kept, settings)?;
    let work = Contents {
        folder,
        settings,
        inputs,
        examined: &examined,
        grouping: &grouping,
        splits: &splits,
        pixels: &pixels,
    };
    let (shards, sheet) = rayon::join(|| work.write_shards(place), || samples::contact_sheet(&work, place));
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

/// BLAKE3 over the names, labels and contents of all images, the settings and the version. Where the source lies is no
/// part of it, nor in how many folds the audit divides the images: no row depends on that, and models stay trained. Of
/// corrections it is what they do, wherever they stand.
fn fingerprint_of(
    corrected: &Corrected,
    inputs: &Inputs,
    given: &[Option<String>],
    settings: &PreprocessSettings,
) -> Result<String> {
    let mut settings = PreprocessSettings { source: PathBuf::new(), ..settings.clone() };
    settings.split.folds = SplitSettings::default().folds;
    settings.corrections = None;
    let folder = corrected.found;
    let version = (FORMAT, env!("CARGO_PKG_VERSION"));
    let versions = (image::PIXELS_VERSION, DUPLICATES_VERSION, SPLIT_VERSION, AUGMENT_VERSION);
    let found = fingerprint::of_value(&(version, versions, &folder.classes, inputs.listing(folder), given, settings))?;
    // Without any effect it is the fingerprint that it was before there were corrections.
    let effects = corrected.effects();
    if effects.is_empty() { Ok(found) } else { fingerprint::of_value(&(found, effects)) }
}

/// The split of each image of the folder, none for those that could not be decoded or are left out; and the fractions
/// that could not be met.
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

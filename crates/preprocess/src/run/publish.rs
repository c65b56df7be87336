//! The files beside the shards, and the manifest that makes them a data set.

use super::contents::Contents;
use super::crops::Crops;
use super::directory::{CONTACT_SHEET, DUPLICATES, FILES, REJECTED, ShardsDirectory};
use super::examined::Examined;
use super::ledger::Ledger;
use super::pixel_store::PixelStore;
use crate::Result;
use crate::dataset::is_intact;
use crate::duplicates::Kind;
use crate::folder::Folder;
use crate::manifest::{FILE_NAME, Manifest};
use crate::note;
use crate::pipeline::{PreprocessSettings, Split};
use crate::split::Keep;
use crate::stage::atomic_file::write_atomically;
use crate::stage::error::Context;
use crate::stage::names::csv_cell;
use crate::stage::owned::Owned;
use crate::stage::{fingerprint, interrupt};

/// Whether the directory holds the whole data set of these inputs and settings, every shard as it was written.
///
/// `kept` are the images' splits in the list of kept ones, where there is one: the run that made the data set wrote
/// them there.
pub(crate) fn is_up_to_date(
    place: &ShardsDirectory,
    fingerprint: &str,
    classes: &[String],
    settings: &PreprocessSettings,
    kept: Option<&[Option<Split>]>,
) -> Result<bool> {
    // A manifest that is missing or damaged means work to do, not an error.
    let manifest = match Manifest::read(&place.shards) {
        Ok(manifest) => manifest,
        Err(error) => {
            if place.shards.join(FILE_NAME).exists() {
                note!("note: {}; it is made anew", error.message());
            }
            return Ok(false);
        }
    };
    if manifest.fingerprint != fingerprint || manifest.classes != classes || manifest.settings != *settings {
        return Ok(false);
    }
    if manifest.kept != kept.map(fingerprint::of_value).transpose()? {
        return Ok(false);
    }
    let beside = [REJECTED, DUPLICATES, CONTACT_SHEET].iter().all(|file| place.shards.join(file).is_file());
    let intact = is_intact(&place.shards, &manifest);
    interrupt::check()?;
    Ok(beside && intact)
}

/// Writes the list of files that could not be decoded; only a head line where there are none.
pub(crate) fn rejected(folder: &Folder, examined: &Examined, place: &ShardsDirectory) -> Result<()> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let cannot = || format!("cannot write `{REJECTED}`");
    csv.write_record(["path", "reason"]).context(cannot)?;
    for (index, reason) in examined.rejected() {
        csv.write_record([csv_cell(&folder.images[index].source).as_ref(), &csv_cell(reason)]).context(cannot)?;
    }
    let text = csv.into_inner().context(cannot)?;
    write_atomically(&place.shards.join(REJECTED), |writer| writer.write_all(&text))
}

/// Writes the list of groups: every image that has a copy or shares a given group; only a head line where there are
/// none.
pub(crate) fn duplicates(work: &Contents, place: &ShardsDirectory) -> Result<()> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let cannot = || format!("cannot write `{DUPLICATES}`");
    csv.write_record(["group", "path", "class", "split", "kind"]).context(cannot)?;
    for (group, members) in work.groups() {
        for index in members {
            let image = &work.folder.images[index];
            let split = work.splits[index].map_or("", Split::name);
            let kind = work.grouping.kind[index].map_or("", Kind::name);
            let class = csv_cell(&work.folder.classes[image.label]);
            csv.write_record([group.to_string().as_str(), &*csv_cell(&image.source), &*class, split, kind])
                .context(cannot)?;
        }
    }
    let text = csv.into_inner().context(cannot)?;
    write_atomically(&place.shards.join(DUPLICATES), |writer| writer.write_all(&text))
}

/// Adds the images to the list of kept splits; returns the fingerprint of what the list says of them now.
pub(crate) fn keep(keep: &mut Keep, work: &Contents) -> Result<String> {
    let images = || work.folder.images.iter().enumerate();
    let placed = images().filter_map(|(index, image)| {
        let split = work.splits[index]?;
        Some((image.source.as_str(), work.inputs.content(index), split))
    });
    keep.extend(placed)?;
    let known = keep.splits(images().map(|(index, image)| (image.source.as_str(), work.inputs.content(index))));
    fingerprint::of_value(known.as_slice())
}

/// Removes what earlier runs left, then writes the manifest: from here on the directory is a data set.
pub(crate) fn manifest(manifest: &Manifest, owned: &mut Owned, place: &ShardsDirectory) -> Result<()> {
    let current: Vec<String> = manifest.shards.iter().map(|shard| shard.file.clone()).collect();
    Ledger::prune(place, &current)?;
    crate::stage::atomic_file::sweep_leftovers(&place.shards)?;
    manifest.write(&place.shards)?;
    let there = FILES.iter().filter(|file| place.shards.join(file).is_file());
    owned.settle(&there.map(|&file| file.to_owned()).collect())?;
    Crops::discard(place)?;
    PixelStore::discard(place)
}

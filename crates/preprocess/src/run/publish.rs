//! The files beside the shards, and the manifest that makes them a data set.

use super::examine::Examined;
use super::ledger::Ledger;
use super::pixel_store::PixelStore;
use super::{Place, Work};
use crate::Result;
use crate::contact_sheet;
use crate::dataset::is_intact;
use crate::folder::Folder;
use crate::manifest::{FILE_NAME, Manifest};
use crate::pipeline::PreprocessSettings;
use crate::stage::atomic_file::write_atomically;
use crate::stage::error::Context;
use crate::stage::interrupt;
use crate::stage::names::csv_cell;
use crate::stage::owned::Owned;
use crate::{augment, image, note};
use rayon::prelude::*;

/// The list of files that could not be decoded, in `shards/`.
pub const REJECTED: &str = "rejected.csv";

/// The picture of sample images, in `shards/`.
pub const CONTACT_SHEET: &str = "contact-sheet.png";

/// All files that lie in `shards/` itself.
pub const FILES: &[&str] = &[REJECTED, CONTACT_SHEET, "duplicates.csv", FILE_NAME];

/// Whether the directory holds the whole data set of these inputs and settings, every shard as it was written.
pub fn is_up_to_date(
    place: &Place,
    fingerprint: &str,
    classes: &[String],
    settings: &PreprocessSettings,
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
    let beside = [REJECTED, CONTACT_SHEET].iter().all(|file| place.shards.join(file).is_file());
    let intact = is_intact(&place.shards, &manifest);
    interrupt::check()?;
    Ok(beside && intact)
}

/// Writes the list of files that could not be decoded; only a head line where there are none.
pub fn rejected(folder: &Folder, examined: &Examined, place: &Place) -> Result<()> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let cannot = || format!("cannot write `{REJECTED}`");
    csv.write_record(["path", "reason"]).context(cannot)?;
    for (index, reason) in examined.rejected() {
        csv.write_record([csv_cell(&folder.images[index].source).as_ref(), &csv_cell(reason)]).context(cannot)?;
    }
    let text = csv.into_inner().context(cannot)?;
    write_atomically(&place.shards.join(REJECTED), |writer| writer.write_all(&text))
}

/// Draws the picture of sample images.
pub fn contact_sheet(work: &Work, place: &Place) -> Result<()> {
    let copies = work.settings.augment.copies.min(contact_sheet::MAX_COPIES);
    let samples = contact_sheet::choose(work.folder, work.splits);
    let seed = work.settings.split.seed;
    let rows = samples
        .into_par_iter()
        .map(|index| {
            let found = &work.folder.images[index];
            let original = work.pixels.pixels(index)?;
            let copies =
                (1..=copies).map(|copy| augment::augment(&original, &work.settings.augment, seed, &found.source, copy));
            let images = std::iter::once(original.clone()).chain(copies).collect();
            Ok(contact_sheet::Sample { class: work.folder.classes[found.label].clone(), images })
        })
        .collect::<Result<Vec<_>>>()?;
    let sheet = contact_sheet::draw(&rows);
    let png = image::png::encode(&sheet).context(|| format!("cannot encode `{CONTACT_SHEET}`"))?;
    write_atomically(&place.shards.join(CONTACT_SHEET), |writer| writer.write_all(&png))
}

/// Removes what earlier runs left, then writes the manifest: from here on the directory is a data set.
pub fn manifest(manifest: &Manifest, owned: &mut Owned, place: &Place) -> Result<()> {
    let current: Vec<String> = manifest.shards.iter().map(|shard| shard.file.clone()).collect();
    Ledger::prune(place, &current)?;
    crate::stage::atomic_file::sweep_leftovers(&place.shards)?;
    manifest.write(&place.shards)?;
    let there = FILES.iter().filter(|file| place.shards.join(file).is_file());
    owned.settle(&there.map(|&file| file.to_owned()).collect())?;
    PixelStore::discard(place)
}

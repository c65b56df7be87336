//! The images and copies that the contact sheet shows.

use super::contents::Contents;
use super::directory::{CONTACT_SHEET, ShardsDirectory};
use crate::Result;
use crate::augment::{Family, augment};
use crate::contact_sheet::{self, Sample};
use crate::image::{self, Pixels};
use crate::pipeline::AugmentSettings;
use crate::stage::atomic_file::write_atomically;
use crate::stage::error::Context;
use rayon::prelude::*;

/// Draws the picture of sample images: a line for each, and behind them a line for each kind of change by itself where
/// copies go through several.
///
/// # Errors
/// A file changed meanwhile, the disk is full, or an interruption.
pub(crate) fn contact_sheet(work: &Contents, place: &ShardsDirectory) -> Result<()> {
    let samples = contact_sheet::choose(work.folder, work.splits);
    let settings = &work.settings.augment;
    let line = |&index: &usize| {
        let class = work.folder.classes[work.folder.images[index].label].clone();
        Ok(Sample { class, images: with_copies(work, index, settings)? })
    };
    let mut lines = samples.par_iter().map(line).collect::<Result<Vec<_>>>()?;
    let families = if settings.copies.are_any() { Family::of(settings) } else { Vec::new() };
    if let (Some(&first), true) = (samples.first(), families.len() > 1) {
        let line = |family: &Family| {
            let images = with_copies(work, first, &family.alone(settings))?;
            Ok(Sample { class: format!("only {}", family.name(settings)), images })
        };
        lines.extend(families.par_iter().map(line).collect::<Result<Vec<_>>>()?);
    }
    let png =
        image::png::encode(&contact_sheet::draw(&lines)).context(|| format!("cannot encode `{CONTACT_SHEET}`"))?;
    write_atomically(&place.shards.join(CONTACT_SHEET), |writer| writer.write_all(&png))
}

/// An image and its first copies.
fn with_copies(work: &Contents, index: usize, settings: &AugmentSettings) -> Result<Vec<Pixels>> {
    let (seed, source) = (work.settings.split.seed, &work.folder.images[index].source);
    let copies = settings.copies.up_to(contact_sheet::MAX_COPIES);
    let mut images = vec![work.pixels.pixels(index)?];
    match &settings.random_resized_crop {
        None => {
            let copy = |copy| augment(&images[0], settings, seed, source, copy);
            let copies: Vec<Pixels> = (1..=copies).map(copy).collect();
            images.extend(copies);
        }
        Some(crop) => work.crops_of(index, copies, crop, |copy, part| {
            images.push(augment(&part, settings, seed, source, copy));
            Ok(())
        })?,
    }
    Ok(images)
}

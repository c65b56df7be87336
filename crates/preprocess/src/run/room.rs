//! Whether the disk has room for what a run certainly writes.

use super::directory::ShardsDirectory;
use crate::folder::Folder;
use crate::pipeline::PreprocessSettings;
use crate::shard::MAX_SHARD_BYTES;
use crate::{Error, Result, note};
use std::path::Path;

/// PNG makes of a plain picture about a thousandth, and of no picture less.
const MOST_COMPRESSED: u64 = 1032;

/// Refuses a run whose pixels cannot find room; warns of one whose shards may not.
///
/// # Errors
/// The disk has less room than the run takes for certain.
pub(crate) fn check(folder: &Folder, settings: &PreprocessSettings, place: &ShardsDirectory) -> Result<()> {
    let Some(free) = free_bytes(&place.shards) else { return Ok(()) };
    let (images, copies) = (folder.images.len() as u64, settings.augment.copies.stored() as u64);
    let image_bytes = (settings.image.width * settings.image.height * 3) as u64;
    // What an interrupted run has left of either is written over.
    let there = std::fs::metadata(place.state("pixels")).map_or(0, |metadata| metadata.len());
    let (pixels, rows) = (images * image_bytes, images * (1 + copies) * image_bytes);
    let certain = pixels.saturating_sub(there) + rows / MOST_COMPRESSED;
    let sizes = format!(
        "{images} images of {}x{} pixels take {} while the stage works, and with {copies} augmented copies up to {} as \
         shards; {} are free",
        settings.image.width,
        settings.image.height,
        gigabytes(pixels),
        gigabytes(rows),
        gigabytes(free)
    );
    if certain > free {
        return Err(Error::new(format!("the disk of `{}` has too little room", place.shards.display()))
            .because(sizes)
            .hint("free some space, choose another directory with `--set output=DIR`, or make the images smaller"));
    }
    // Photographs take about half of their pixels as PNG. Parts of originals lie beside them, a shard's worth at a time.
    let parts =
        if settings.augment.random_resized_crop.is_some() { copies * pixels.min(MAX_SHARD_BYTES as u64) } else { 0 };
    if rows / 4 + parts > free {
        note!("warning: the disk may be too small: {sizes}");
    }
    Ok(())
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

#[cfg(unix)]
fn free_bytes(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

#[cfg(not(unix))]
fn free_bytes(_path: &Path) -> Option<u64> {
    None
}

//! What the source's files hold, by checksum: it decides whether anything is to be done.

use super::Place;
use crate::Result;
use crate::folder::{Folder, ImageFile};
use crate::image;
use crate::stage::atomic_file::write_atomically;
use crate::stage::{files, interrupt};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file whose size and time of change are as remembered is taken for unchanged, unless it was changed so shortly before it was read
/// that a second change could bear the same time.
const SETTLED_NANOSECONDS: u128 = 2_000_000_000;

/// What stands before the reason in a content's place.
const UNREADABLE: &str = "unreadable: ";

/// The remembered state of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    /// Nanoseconds since 1970.
    modified: u128,
    /// When it was read, likewise.
    read: u128,
    /// BLAKE3 of its content, in hexadecimal; why it could not be read, where it could not.
    content: String,
}

/// The contents of all images of a folder, in its order.
#[derive(Debug)]
pub struct Inputs {
    stamps: Vec<Stamp>,
}

impl Inputs {
    /// Reads all files, except those that look as they did when they were last read.
    pub fn read(folder: &Folder, place: &Place) -> Result<Self> {
        let path = place.state("inputs.json");
        // A cache that is missing or damaged costs time, nothing else.
        let known: HashMap<String, Stamp> =
            files::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let stamp = |image: &ImageFile| interrupt::check().map(|()| stamp(image, known.get(&image.source)));
        let stamps = folder.images.par_iter().map(stamp).collect::<Result<Vec<Stamp>>>()?;
        let all: HashMap<&String, &Stamp> =
            std::iter::zip(&folder.images, &stamps).map(|(image, stamp)| (&image.source, stamp)).collect();
        if known.len() != all.len() || known.iter().any(|(source, stamp)| all.get(source) != Some(&stamp)) {
            write_atomically(&path, |writer| Ok(serde_json::to_writer(writer, &all)?))?;
        }
        Ok(Self { stamps })
    }

    /// BLAKE3 of an image's file.
    pub fn content(&self, index: usize) -> &str {
        &self.stamps[index].content
    }

    /// All that is known about the images before they are decoded.
    pub fn listing<'a>(
        &'a self,
        folder: &'a Folder,
    ) -> Vec<(&'a String, usize, Option<crate::manifest::Split>, &'a String)> {
        std::iter::zip(&folder.images, &self.stamps)
            .map(|(image, stamp)| (&image.source, image.label, image.split, &stamp.content))
            .collect()
    }
}

fn stamp(file: &ImageFile, known: Option<&Stamp>) -> Stamp {
    let (size, modified) = match std::fs::metadata(&file.path) {
        Ok(metadata) => (metadata.len(), metadata.modified().map_or(0, nanoseconds)),
        Err(_) => (0, 0),
    };
    if let Some(known) = known {
        let settled = modified > 0 && known.modified + SETTLED_NANOSECONDS < known.read;
        // Why a file could not be read may be another reason by now.
        let was_read = !known.content.starts_with(UNREADABLE);
        if settled && was_read && (known.size, known.modified) == (size, modified) {
            return known.clone();
        }
    }
    let read = nanoseconds(SystemTime::now());
    Stamp { size, modified, read, content: checksum(image::read(&file.path).as_deref()) }
}

/// What stands for a file's content.
pub fn checksum(content: Result<&[u8], &image::ImageError>) -> String {
    match content {
        Ok(bytes) => blake3::hash(bytes).to_hex().to_string(),
        Err(error) => format!("{UNREADABLE}{error}"),
    }
}

fn nanoseconds(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

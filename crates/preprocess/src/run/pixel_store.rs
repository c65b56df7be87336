//! The resized images as PNG, each decoded from its source at most once a run.

use super::examine::changed;
use super::inputs::{Inputs, checksum};
use super::{Place, remove_if_present};
use crate::Result;
use crate::folder::Folder;
use crate::image::{self, Pixels};
use crate::pipeline::ImageSettings;
use crate::shard::read_exact_at;
use crate::stage::atomic_file::{write_atomically, write_error};
use crate::stage::error::Context;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Mutex;

/// The file of PNGs, one behind the other, and the index beside it. Both are there only while a run is unfinished.
const FILE: &str = "pixels";
const INDEX: &str = "pixels.json";

/// Where an image's PNG lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    offset: u64,
    length: u32,
    checksum: [u8; 16],
}

/// The index as it is saved.
#[derive(Debug, Serialize, Deserialize)]
struct Index {
    key: String,
    entries: Vec<Option<Entry>>,
}

/// Resized pixels of all images, on disk. Shared by all threads.
#[derive(Debug)]
pub struct PixelStore<'a> {
    folder: &'a Folder,
    inputs: &'a Inputs,
    settings: &'a ImageSettings,
    path: PathBuf,
    file: File,
    spool: Mutex<Spool>,
}

#[derive(Debug)]
struct Spool {
    end: u64,
    entries: Vec<Option<Entry>>,
}

impl<'a> PixelStore<'a> {
    /// Opens the store that an interrupted run with this key left behind, or an empty one.
    pub fn open(
        folder: &'a Folder,
        inputs: &'a Inputs,
        settings: &'a ImageSettings,
        place: &Place,
        key: Option<&str>,
    ) -> Result<Self> {
        let path = place.state(FILE);
        let entries = key.and_then(|key| load_index(place, key)).filter(|entries| entries.len() == folder.images.len());
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(entries.is_none()).open(&path);
        let file = file.context(|| format!("cannot open `{}`", path.display()))?;
        let end = file.metadata().context(|| format!("cannot read `{}`", path.display()))?.len();
        let entries = entries.unwrap_or_else(|| vec![None; folder.images.len()]);
        Ok(Self { folder, inputs, settings, path, file, spool: Mutex::new(Spool { end, entries }) })
    }

    /// Adds an image.
    pub fn put(&self, index: usize, png: &[u8]) -> Result<()> {
        let mut spool = self.spool();
        let mut file = &self.file;
        let written = file.seek(SeekFrom::Start(spool.end)).and_then(|_| file.write_all(png));
        written.map_err(|error| write_error(&self.path, error))?;
        spool.entries[index] = Some(Entry { offset: spool.end, length: png.len() as u32, checksum: short(png) });
        spool.end += png.len() as u64;
        Ok(())
    }

    /// Makes what was put so far survive the process.
    pub fn save(&self, place: &Place, key: &str) -> Result<()> {
        let entries = self.spool().entries.clone();
        let index = Index { key: key.to_owned(), entries };
        write_atomically(&place.state(INDEX), |writer| Ok(serde_json::to_writer(writer, &index)?))
    }

    /// Removes the files of a store: the shards hold all that it held.
    pub fn discard(place: &Place) -> Result<()> {
        remove_if_present(&place.state(INDEX))?;
        remove_if_present(&place.state(FILE))
    }

    /// An image's PNG.
    pub fn png(&self, index: usize) -> Result<Vec<u8>> {
        let entry = self.spool().entries[index];
        if let Some(entry) = entry {
            let mut png = vec![0; entry.length as usize];
            // What a crash left of the file may be short or wrong: then it is made again.
            if read_exact_at(&self.file, &mut png, entry.offset).is_ok() && short(&png) == entry.checksum {
                return Ok(png);
            }
        }
        let file = &self.folder.images[index];
        let bytes = image::read(&file.path);
        if checksum(bytes.as_deref()) != self.inputs.content(index) {
            return Err(changed(file));
        }
        let pixels =
            bytes.and_then(|bytes| image::load_from_memory(&bytes, self.settings)).map_err(|_| changed(file))?;
        let png = image::png::encode(&pixels).context(|| format!("cannot encode the pixels of `{}`", file.source))?;
        self.put(index, &png)?;
        Ok(png)
    }

    /// An image's pixels.
    pub fn pixels(&self, index: usize) -> Result<Pixels> {
        let (width, height) = (self.settings.width, self.settings.height);
        let mut data = vec![0; width * height * 3];
        image::png::decode_into(&self.png(index)?, &mut data).map_err(|cause| {
            crate::Error::new(format!("cannot read back the pixels of `{}`", self.folder.images[index].source))
                .because(cause)
        })?;
        Ok(Pixels { width, height, data })
    }

    fn spool(&self) -> std::sync::MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn load_index(place: &Place, key: &str) -> Option<Vec<Option<Entry>>> {
    let index: Index = serde_json::from_slice(&std::fs::read(place.state(INDEX)).ok()?).ok()?;
    (index.key == key).then_some(index.entries)
}

/// Enough to tell what was written from what a crash made of it.
fn short(png: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(png).as_bytes()[..16]);
    short
}

//! The resized images, each decoded from its source at most once a run. Their pixels lie in a file as they are: that
//! takes twice the disk that PNG would until the run ends, and a copy is made of them without another decoding.

use super::directory::ShardsDirectory;
use super::inputs::{Inputs, changed};
use crate::Result;
use crate::folder::Folder;
use crate::image::{self, Pixels};
use crate::pipeline::ImageSettings;
use crate::shard::read_exact_at;
use crate::stage::atomic_file::write_error;
use crate::stage::error::Context;
use crate::stage::{files, sealed};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Mutex;

/// The file of pixels, one image behind the other, and the index beside it. Both are there only while a run is
/// unfinished.
const FILE: &str = "pixels";
const INDEX: &str = "pixels.json";

/// Where an image's pixels lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    offset: u64,
    checksum: [u8; 16],
    /// Whether this process wrote it: no crash can have come between.
    #[serde(skip)]
    own: bool,
}

/// The index as it is saved.
#[derive(Debug, Serialize, Deserialize)]
struct Index {
    key: String,
    entries: Vec<Option<Entry>>,
}

/// Resized pixels of all images, on disk. Shared by all threads.
#[derive(Debug)]
pub(crate) struct PixelStore<'a> {
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
    pub(crate) fn open(
        folder: &'a Folder,
        inputs: &'a Inputs,
        settings: &'a ImageSettings,
        place: &ShardsDirectory,
        key: Option<&str>,
    ) -> Result<Self> {
        let path = place.state(FILE);
        let entries = key.and_then(|key| load_index(place, key)).filter(|entries| entries.len() == folder.images.len());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(entries.is_none());
        let file = files::open_for_writing(&path, &mut options);
        let file = file.context(|| format!("cannot open `{}`", path.display()))?;
        let end = file.metadata().context(|| format!("cannot read `{}`", path.display()))?.len();
        let entries = entries.unwrap_or_else(|| vec![None; folder.images.len()]);
        Ok(Self { folder, inputs, settings, path, file, spool: Mutex::new(Spool { end, entries }) })
    }

    /// Adds an image.
    pub(crate) fn put(&self, index: usize, pixels: &Pixels) -> Result<()> {
        let checksum = self.checksum(index, &pixels.data);
        let mut spool = self.spool();
        let mut file = &self.file;
        let written = file.seek(SeekFrom::Start(spool.end)).and_then(|_| file.write_all(&pixels.data));
        written.map_err(|error| write_error(&self.path, error))?;
        spool.entries[index] = Some(Entry { offset: spool.end, checksum, own: true });
        spool.end += pixels.data.len() as u64;
        Ok(())
    }

    /// Makes what was put so far survive the process.
    pub(crate) fn save(&self, place: &ShardsDirectory, key: &str) -> Result<()> {
        let entries = self.spool().entries.clone();
        let index = Index { key: key.to_owned(), entries };
        sealed::write(&place.state(INDEX), &index)
    }

    /// Removes the files of a store: the shards hold all that it held.
    pub(crate) fn discard(place: &ShardsDirectory) -> Result<()> {
        files::remove_if_present(&place.state(INDEX))?;
        files::remove_if_present(&place.state(FILE))
    }

    /// An image's pixels.
    pub(crate) fn pixels(&self, index: usize) -> Result<Pixels> {
        let entry = self.spool().entries[index];
        if let Some(entry) = entry {
            let (width, height) = (self.settings.width, self.settings.height);
            let mut data = vec![0; width * height * 3];
            // What a crash left of the file may be short or wrong: then it is made again.
            let read = read_exact_at(&self.file, &mut data, entry.offset).is_ok();
            if read && (entry.own || self.checksum(index, &data) == entry.checksum) {
                return Ok(Pixels { width, height, data });
            }
        }
        let file = &self.folder.images[index];
        let bytes = image::read(&file.path);
        self.inputs.confirm(index, file, bytes.as_deref())?;
        let pixels =
            bytes.and_then(|bytes| image::load_from_memory(&bytes, self.settings)).map_err(|_| changed(file))?;
        self.put(index, &pixels)?;
        Ok(pixels)
    }

    /// Enough to tell what was written from what a crash made of it. Over the source's content too: the pixels of
    /// another image are none.
    fn checksum(&self, index: usize, pixels: &[u8]) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.inputs.content(index).as_bytes()).update(pixels);
        let mut short = [0; 16];
        short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        short
    }

    fn spool(&self) -> std::sync::MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn load_index(place: &ShardsDirectory, key: &str) -> Option<Vec<Option<Entry>>> {
    let path = place.state(INDEX);
    let index: Index = sealed::read(&path)
        .map_err(|unsealed| unsealed.note_of_a_cache(&path, "pixels are made again where they are needed"))
        .ok()?;
    (index.key == key).then_some(index.entries)
}

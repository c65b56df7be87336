//! The parts of originals that copies show, with `random_resized_crop`: each original is decoded once for all copies.
//!
//! Shards hold one copy each, so the parts of an image are wanted one after another, and meanwhile lie in a file as they
//! are. It holds the images of one row of shards at a time: a copy's worth of them is no more than a shard can be.

use super::contents::Contents;
use super::directory::ShardsDirectory;
use super::inputs::changed;
use crate::image::{self, Pixels};
use crate::pipeline::{CropSettings, ImageSettings};
use crate::shard::{PlannedShard, read_exact_at};
use crate::stage::atomic_file::write_error;
use crate::stage::error::Context;
use crate::stage::{files, interrupt};
use crate::{Result, augment};
use rayon::prelude::*;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// There only while a run is unfinished. What a run leaves that is cut off is written over: nothing says what it holds.
const FILE: &str = "crops";

/// The parts of some images, for all their copies. Shared by all threads.
#[derive(Debug)]
pub(crate) struct Crops {
    path: PathBuf,
    file: File,
    /// Held while the file's position is moved and used.
    writing: Mutex<()>,
    /// Each image's place in the file.
    places: HashMap<usize, usize>,
    copies: usize,
    size: [usize; 2],
}

impl Crops {
    fn create(place: &ShardsDirectory, images: &[usize], copies: usize, settings: &ImageSettings) -> Result<Self> {
        let path = place.state(FILE);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let file = files::open_for_writing(&path, &mut options);
        let file = file.context(|| format!("cannot open `{}`", path.display()))?;
        let places = images.iter().enumerate().map(|(place, &image)| (image, place)).collect();
        let size = [settings.width, settings.height];
        Ok(Self { path, file, writing: Mutex::new(()), places, copies, size })
    }

    /// The part of an image that a copy (from 1) shows, at the model's size. None if the image is not one of them.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn pixels(&self, image: usize, copy: usize) -> Result<Option<Pixels>> {
        let Some(offset) = self.offset(image, copy) else { return Ok(None) };
        let [width, height] = self.size;
        let mut data = vec![0; width * height * 3];
        read_exact_at(&self.file, &mut data, offset).context(|| format!("cannot read `{}`", self.path.display()))?;
        Ok(Some(Pixels { width, height, data }))
    }

    fn put(&self, image: usize, copy: usize, pixels: &Pixels) -> Result<()> {
        let Some(offset) = self.offset(image, copy) else { return Ok(()) };
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = &self.file;
        let written = file.seek(SeekFrom::Start(offset)).and_then(|_| file.write_all(&pixels.data));
        written.map_err(|error| write_error(&self.path, error))
    }

    fn offset(&self, image: usize, copy: usize) -> Option<u64> {
        let position = self.places.get(&image)? * self.copies + (copy - 1);
        Some((position * self.size[0] * self.size[1] * 3) as u64)
    }

    /// Removes the file, also one that an earlier run left.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn discard(place: &ShardsDirectory) -> Result<()> {
        files::remove_if_present(&place.state(FILE))
    }
}

impl Contents<'_> {
    /// Takes the parts that all copies of these shards' images show. None where copies show the whole image, or where
    /// no copy is among the shards.
    ///
    /// # Errors
    /// A file changed meanwhile, the disk is full, or an interruption.
    pub(crate) fn take_crops(&self, shards: &[&PlannedShard], place: &ShardsDirectory) -> Result<Option<Crops>> {
        let Some(settings) = self.settings.augment.random_resized_crop else { return Ok(None) };
        let Some(images) = shards.iter().find(|shard| shard.copy > 0).map(|shard| &shard.images) else {
            return Ok(None);
        };
        let copies = self.settings.augment.copies.stored();
        let crops = Crops::create(place, images, copies, &self.settings.image)?;
        let take = |&image| self.crops_of(image, copies, &settings, |copy, pixels| crops.put(image, copy, &pixels));
        images.par_iter().try_for_each(take)?;
        Ok(Some(crops))
    }

    /// Gives `each` what an image's copies 1 to `copies` show of the original, one after another, at the model's size.
    ///
    /// # Errors
    /// What `each` returns, the file changed meanwhile, or an interruption.
    pub(crate) fn crops_of(
        &self,
        index: usize,
        copies: usize,
        settings: &CropSettings,
        mut each: impl FnMut(usize, Pixels) -> Result<()>,
    ) -> Result<()> {
        let (file, image) = (&self.folder.images[index], &self.settings.image);
        let bytes = image::read(&file.path);
        self.inputs.confirm(index, file, bytes.as_deref())?;
        let least = |size| augment::least_size(settings, size, [image.width, image.height]);
        let decoded = bytes.and_then(|bytes| image::decode_for_parts(&bytes, image, &least));
        let (decoded, size) = decoded.map_err(|_| changed(file))?;
        for copy in 1..=copies {
            interrupt::check()?;
            let part = augment::crop(settings, self.settings.split.seed, &file.source, copy, size);
            each(copy, decoded.resize_part(&part, size, image))?;
        }
        Ok(())
    }
}

//! What the next stages read: a manifest and the rows of its shards.

use crate::image::png;
use crate::manifest::{self, Manifest, ShardEntry, miscounted};
use crate::pipeline::Split;
use crate::shard::{self, StoredRow};
use crate::stage::error::Context;
use crate::stage::{files, interrupt};
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use rayon::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A finished data set on disk.
#[derive(Debug)]
pub struct Dataset {
    directory: PathBuf,
    manifest: Manifest,
}

impl Dataset {
    /// Opens the `shards/` directory of a run.
    ///
    /// # Errors
    /// No manifest (preprocess has not finished), a manifest of another format or altered, shards that are not those
    /// of the images that it counts, a shard missing or of another length.
    pub fn open(directory: &Path) -> Result<Self> {
        let manifest = Manifest::read(directory)?;
        if let Some(reason) = miscounted(&manifest) {
            let file = directory.join(manifest::FILE_NAME);
            return Err(Error::new(format!("`{}` contradicts itself", file.display()))
                .of_kind(ErrorKind::Damaged)
                .because(reason)
                .hint("run `preprocess` again with the same pipeline file"));
        }
        for shard in &manifest.shards {
            let path = directory.join(&shard.file);
            let opened = files::open(&path).and_then(|file| file.metadata());
            let bytes = opened.map_err(|error| damaged(&path, error.to_string()))?.len();
            if bytes != shard.bytes {
                return Err(damaged(&path, format!("it has {bytes} bytes, the manifest says {}", shard.bytes)));
            }
        }
        Ok(Self { directory: directory.to_owned(), manifest })
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The rows of one split and copy (0 is the image itself), with random access. Each shard's checksum is verified
    /// once, here; one shard at a time is in memory meanwhile.
    ///
    /// # Errors
    /// A shard missing, truncated or altered; a copy that the data set does not hold.
    pub fn rows(&self, split: Split, copy: usize) -> Result<Rows> {
        let copies = if split == Split::Train { self.manifest.settings.augment.copies.stored() } else { 0 };
        if copy > copies {
            let error = Error::new(format!(
                "the data set in `{}` holds no copy {copy} of the {} split",
                self.directory.display(),
                split.name()
            ));
            return Err(error
                .because(format!("its highest copy is {copies}"))
                .hint("set `preprocess.augment.copies` and run `preprocess` again"));
        }
        let mut rows = Rows::default();
        for shard in self.manifest.shards_of(split, copy) {
            rows.add(&self.directory.join(&shard.file), shard, &self.manifest.classes)?;
        }
        self.check_labels(&rows, split, copy)?;
        Ok(rows)
    }

    /// Each class has as many rows as the manifest counts images of it.
    fn check_labels(&self, rows: &Rows, split: Split, copy: usize) -> Result<()> {
        let mut counts = vec![0; self.manifest.classes.len()];
        (0..rows.len()).for_each(|row| counts[rows.label(row)] += 1);
        if self.manifest.counts.get(&split).is_none_or(|images| *images == counts) {
            return Ok(());
        }
        let file = self.directory.join(manifest::FILE_NAME);
        Err(Error::new(format!(
            "the shards of copy {copy} of the {} split are not those of `{}`",
            split.name(),
            file.display()
        ))
        .because("the classes have other numbers of rows than it counts images")
        .hint("run `preprocess` again with the same pipeline file"))
    }
}

/// A shard that is not what the manifest says.
fn damaged(path: &Path, cause: String) -> Error {
    Error::new(format!("the shard `{}` is damaged", path.display()))
        .of_kind(ErrorKind::Damaged)
        .because(cause)
        .hint("run `preprocess` again with the same pipeline file: it rewrites what is damaged and keeps the rest")
}

/// The rows of a shard that is as the manifest says.
fn read_verified(path: &Path, entry: &ShardEntry, classes: &[String]) -> Result<Vec<StoredRow>> {
    let content = files::read(path).map_err(|error| damaged(path, error.to_string()))?;
    let checksum = blake3::hash(&content).to_hex();
    if checksum.as_str() != entry.blake3 {
        return Err(damaged(path, format!("its checksum is {checksum}, the manifest says {}", entry.blake3)));
    }
    let rows = shard::read(path, &Bytes::from(content), classes, entry.copy)?;
    if rows.len() != entry.rows {
        return Err(damaged(path, format!("it has {} rows, the manifest says {}", rows.len(), entry.rows)));
    }
    match rows.iter().find(|row| row.label as usize >= classes.len()) {
        Some(row) => Err(damaged(path, format!("`{}` is of class {} of {}", row.source, row.label, classes.len()))),
        None => Ok(rows),
    }
}

/// Whether all shards are as the manifest says, and hold the images that it counts.
pub(crate) fn is_intact(directory: &Path, manifest: &Manifest) -> bool {
    let counted = |entry: &ShardEntry| {
        let rows = read_verified(&directory.join(&entry.file), entry, &manifest.classes).ok()?;
        let mut counts = vec![0usize; manifest.classes.len()];
        rows.iter().for_each(|row| counts[row.label as usize] += 1);
        Some(((entry.split, entry.copy), counts))
    };
    let counted: Option<Vec<_>> = manifest.shards.par_iter().map(counted).collect();
    let mut sums: BTreeMap<(Split, usize), Vec<usize>> = BTreeMap::new();
    for (of, counts) in counted.iter().flatten() {
        let sum = sums.entry(*of).or_insert_with(|| vec![0; counts.len()]);
        std::iter::zip(sum, counts).for_each(|(sum, count)| *sum += count);
    }
    let is_counted = |((split, _), sum): (&(Split, usize), &Vec<usize>)| manifest.counts.get(split) == Some(sum);
    counted.is_some() && miscounted(manifest).is_none() && sums.iter().all(is_counted)
}

/// Rows of one split and copy. Holds labels, names and file offsets, not pixels: flat in the size of the images.
#[derive(Debug, Default)]
pub struct Rows {
    shards: Vec<Shard>,
    /// For each row, the shard and what is known of it.
    rows: Vec<(u32, StoredRow)>,
}

/// Shards that are kept open in the whole process: systems allow a process about a thousand files, and a large data
/// set has more shards.
const MOST_OPEN: usize = 512;

/// Shards that are open now.
static OPEN: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    /// None where too many are open: then it is opened for every read.
    file: Option<KeptOpen>,
}

/// An open file that counts in [`OPEN`].
#[derive(Debug)]
struct KeptOpen(File);

impl KeptOpen {
    fn new(file: File) -> Option<Self> {
        let one_more = |open| (open < MOST_OPEN).then_some(open + 1);
        OPEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok().map(|_| Self(file))
    }
}

impl Drop for KeptOpen {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Rows {
    /// Verifies a shard and adds its rows.
    fn add(&mut self, path: &Path, entry: &ShardEntry, classes: &[String]) -> Result<()> {
        interrupt::check()?;
        let shard = self.shards.len() as u32;
        let rows = read_verified(path, entry, classes)?;
        self.rows.extend(rows.into_iter().map(|row| (shard, row)));
        let file = files::open(path).context(|| format!("cannot open `{}`", path.display()))?;
        self.shards.push(Shard { path: path.to_owned(), file: KeptOpen::new(file) });
        Ok(())
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Index of the row's class.
    pub fn label(&self, row: usize) -> usize {
        self.rows[row].1.label as usize
    }

    /// The image's path relative to the source directory.
    pub fn source(&self, row: usize) -> &str {
        &self.rows[row].1.source
    }

    /// The image's group of near-copies.
    pub fn group(&self, row: usize) -> usize {
        self.rows[row].1.group as usize
    }

    /// BLAKE3 of the image's source file, in hexadecimal: what the image is known by, under whatever name and class.
    pub fn content(&self, row: usize) -> &str {
        &self.rows[row].1.content
    }

    /// Width and height of the picture in the image's source file, in pixels, as it is seen: before it was brought to
    /// the model's size, after its orientation was applied. The same for all copies of an image.
    pub fn size(&self, row: usize) -> [usize; 2] {
        self.rows[row].1.size()
    }

    /// The row's PNG file.
    ///
    /// # Errors
    /// The shard changed or vanished under the reader.
    pub fn png_bytes(&self, row: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_png(row, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads and decodes the row's image into `pixels` (`[height, width, 3]`, 8-bit RGB). Callable from many threads
    /// at once.
    ///
    /// # Errors
    /// The shard changed or vanished under the reader; `pixels` has another size than the image.
    pub fn read_pixels(&self, row: usize, pixels: &mut [u8]) -> Result<()> {
        thread_local! {
            static PNG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        PNG.with_borrow_mut(|bytes| {
            self.read_png(row, bytes)?;
            png::decode_into(bytes, pixels).map_err(|cause| {
                let source = self.source(row);
                damaged(self.path(row), cause).while_doing(format!("cannot read the row of `{source}`"))
            })
        })
    }

    fn path(&self, row: usize) -> &Path {
        &self.shards[self.rows[row].0 as usize].path
    }

    fn read_png(&self, row: usize, bytes: &mut Vec<u8>) -> Result<()> {
        let (shard, stored) = &self.rows[row];
        bytes.resize(stored.length as usize, 0);
        let read = match &self.shards[*shard as usize] {
            Shard { file: Some(KeptOpen(file)), .. } => shard::read_exact_at(file, bytes, stored.offset),
            Shard { path, file: None } => {
                files::open(path).and_then(|file| shard::read_exact_at(&file, bytes, stored.offset))
            }
        };
        read.map_err(|error| damaged(self.path(row), error.to_string()))
    }
}

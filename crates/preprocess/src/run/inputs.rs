//! What the source's files hold, by checksum: it decides whether anything is to be done.

use super::directory::ShardsDirectory;
use crate::folder::{Folder, ImageFile};
use crate::image::{self, ImageError};
use crate::pipeline::Split;
use crate::stage::files;
use crate::stage::{interrupt, names, sealed};
use crate::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The file's name in the state's directory.
const FILE: &str = "inputs.json";

/// A file that the system describes as remembered is taken for unchanged, unless it was changed so shortly before it
/// was read that a second change could bear the same time.
const SETTLED_SECONDS: i64 = 2;

/// Seconds and nanoseconds since 1970.
type Time = (i64, i64);

/// What the system says of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct FileState {
    size: u64,
    modified: Time,
    /// When its content, name or owner last changed: unlike `modified`, which programs that copy or edit files set
    /// back, this time is the system's own. Where a system has none, as `modified`.
    changed: Time,
    /// Its number in the file system; 0 where there is none.
    inode: u64,
}

/// What stands before the reason in a content's place.
const UNREADABLE: &str = "unreadable: ";

/// The remembered state of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    state: FileState,
    /// When it was read, in seconds since 1970.
    read: i64,
    /// BLAKE3 of its content, in hexadecimal; why it could not be read, where it could not.
    content: String,
}

/// All stamps by the image's name.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Remembered<S: Ord> {
    files: BTreeMap<S, Stamp>,
}

/// The contents of all images of a folder, in its order.
#[derive(Debug)]
pub(crate) struct Inputs {
    stamps: Vec<Stamp>,
    /// For each image, whether its stamp was remembered rather than made now.
    remembered: Vec<bool>,
    /// Whether a remembered stamp turned out to be wrong.
    misled: AtomicBool,
}

impl Inputs {
    /// Reads all files, except those that look as they did when they were last read.
    ///
    /// # Errors
    /// The disk is full or refuses.
    pub fn read(folder: &Folder, place: &ShardsDirectory) -> Result<Self> {
        let path = place.state(FILE);
        // A cache that is missing or damaged costs time, nothing else.
        let known: Remembered<String> = sealed::read(&path).unwrap_or_else(|unsealed| {
            unsealed.note_of_a_cache(&path, "all images are read again");
            Remembered::default()
        });
        let stamp = |image: &ImageFile| interrupt::check().map(|()| stamp(image, known.files.get(&image.source)));
        let found = folder.images.par_iter().map(stamp).collect::<Result<Vec<(Stamp, bool)>>>()?;
        let (stamps, remembered): (Vec<Stamp>, Vec<bool>) = found.into_iter().unzip();
        let files: BTreeMap<&String, Stamp> =
            std::iter::zip(&folder.images, &stamps).map(|(image, stamp)| (&image.source, stamp.clone())).collect();
        if known.files.len() != files.len() || remembered.contains(&false) {
            sealed::write(&path, &Remembered { files })?;
        }
        Ok(Self { stamps, remembered, misled: AtomicBool::new(false) })
    }

    /// Forgets what was remembered, so that the next [`read`](Self::read) reads every file.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn forget(place: &ShardsDirectory) -> Result<()> {
        files::remove_if_present(&place.state(FILE))
    }

    /// BLAKE3 of an image's file.
    pub(crate) fn content(&self, index: usize) -> &str {
        &self.stamps[index].content
    }

    /// Holds what was just read of an image's file against what the run began with.
    ///
    /// # Errors
    /// It is another content: the file changed meanwhile, or what was remembered of it was wrong
    /// ([`misled`](Self::misled)).
    pub(crate) fn confirm(&self, index: usize, file: &ImageFile, content: Result<&[u8], &ImageError>) -> Result<()> {
        if checksum(content) == self.stamps[index].content {
            return Ok(());
        }
        self.misled.fetch_or(self.remembered[index], Ordering::Relaxed);
        Err(changed(file))
    }

    /// Whether [`confirm`](Self::confirm) found that a remembered content is not the file's: then all is to be read
    /// anew.
    pub(crate) fn misled(&self) -> bool {
        self.misled.load(Ordering::Relaxed)
    }

    /// All that is known about the images before they are decoded.
    pub(crate) fn listing<'a>(&'a self, folder: &'a Folder) -> Vec<(&'a String, usize, Option<Split>, &'a String)> {
        std::iter::zip(&folder.images, &self.stamps)
            .map(|(image, stamp)| (&image.source, image.label, image.split, &stamp.content))
            .collect()
    }
}

/// A file is not what it was when the run began.
pub(crate) fn changed(file: &ImageFile) -> Error {
    Error::new(format!("`{}` changed while it was read", names::path(&file.path)))
        .hint("run the same command again when nothing writes to the source directory any more")
}

/// The stamp of a file, and whether it is the known one.
fn stamp(file: &ImageFile, known: Option<&Stamp>) -> (Stamp, bool) {
    // Taken before the file is read: a change meanwhile makes it look changed the next time.
    let state =
        std::fs::metadata(&file.path).map_or_else(|_| FileState::default(), |metadata| FileState::of(&metadata));
    if let Some(known) = known.filter(|known| known.state == state && known.is_settled()) {
        return (known.clone(), true);
    }
    let read = seconds(SystemTime::now()).0;
    (Stamp { state, read, content: checksum(image::read(&file.path).as_deref()) }, false)
}

impl Stamp {
    /// Whether any change since would show. A time in the future, of a clock that was wrong, proves nothing.
    fn is_settled(&self) -> bool {
        let changed = self.state.changed.0;
        changed > 0 && changed.saturating_add(SETTLED_SECONDS) < self.read
    }
}

impl FileState {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }

    #[cfg(not(unix))]
    fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().map_or((0, 0), seconds);
        Self { size: metadata.len(), modified, changed: modified, inode: 0 }
    }
}

/// What stands for a file's content.
pub(crate) fn checksum(content: Result<&[u8], &ImageError>) -> String {
    match content {
        Ok(bytes) => blake3::hash(bytes).to_hex().to_string(),
        Err(error) => format!("{UNREADABLE}{error}"),
    }
}

fn seconds(time: SystemTime) -> Time {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos().into())
}

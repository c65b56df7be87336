//! Where the data set goes.

use crate::Result;
use crate::manifest::{FILE_NAME, Manifest};
use crate::stage::files;
use crate::stage::owned::Owned;
use std::path::{Path, PathBuf};

/// The directory in `shards/` that holds what only later runs of this stage read.
pub(crate) const STATE: &str = ".state";

/// The list of files that could not be decoded, in `shards/`.
pub(crate) const REJECTED: &str = "rejected.csv";

/// The list of copies, in `shards/`.
pub(crate) const DUPLICATES: &str = "duplicates.csv";

/// The picture of sample images, in `shards/`.
pub(crate) const CONTACT_SHEET: &str = "contact-sheet.png";

/// All files that lie in `shards/` itself.
pub(crate) const FILES: &[&str] = &[REJECTED, CONTACT_SHEET, DUPLICATES, FILE_NAME];

/// Where the data set goes.
pub(crate) struct ShardsDirectory {
    /// `<output>/shards`.
    pub shards: PathBuf,
}

impl ShardsDirectory {
    pub(crate) fn create(output: &Path) -> Result<Self> {
        for directory in ["data", STATE] {
            files::make_directories(output, &["shards", directory])?;
        }
        Ok(Self { shards: output.join("shards") })
    }

    /// Which of the files beside the shards are this program's. Where there is no list of them, a manifest of this
    /// program's format says that all are.
    pub(crate) fn owned(&self) -> Owned {
        let ours = Manifest::read(&self.shards).is_ok();
        Owned::open(&self.shards, self.state("written.json"), if ours { FILES } else { &[] })
    }

    pub(crate) fn state(&self, file: &str) -> PathBuf {
        self.shards.join(STATE).join(file)
    }

    /// Takes the manifest away before anything that it vouches for is touched.
    pub(crate) fn unpublish(&self) -> Result<()> {
        files::remove_if_present(&self.shards.join(FILE_NAME))
    }
}

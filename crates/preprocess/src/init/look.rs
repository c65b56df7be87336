//! What a folder of images holds: classes, sizes, damage, copies.

use crate::folder::Folder;
use crate::image;
use crate::pipeline::{ImageSettings, Split};
use crate::stage::progress::Progress;
use crate::stage::{fingerprint, interrupt, names};
use crate::{Error, Result, note};
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::Path;

/// Files that are decoded at most: enough for sizes and for whether damage is rare.
const DECODED: usize = 2000;

/// Damaged files that are named.
const NAMED: usize = 5;

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Look {
    /// Names and numbers of images, in the order of the labels.
    pub classes: Vec<(String, usize)>,
    /// Images that each split's directory holds, where the directories are split.
    pub given: Option<[(Split, usize); 3]>,
    /// Files that were decoded; all of them, or every so-many-th.
    pub decoded: usize,
    /// Their median width and height, in pixels.
    pub median: [usize; 2],
    /// The shortest and the longest side of any of them, in pixels.
    pub sides: [usize; 2],
    /// Of the decoded files, those that could not be: name and reason.
    pub damaged: Vec<(String, String)>,
    /// Of the decoded files, those whose content another one has too.
    pub copies: usize,
}

/// One file.
struct Seen {
    size: [usize; 2],
    content: String,
}

impl Look {
    /// Looks at a directory as `preprocess` will.
    ///
    /// # Errors
    /// It is no folder that a classifier can be trained on; none of its images can be read.
    pub(super) fn at(source: &Path) -> Result<Self> {
        let folder = Folder::discover(source)?;
        let mut counts = vec![0; folder.classes.len()];
        folder.images.iter().for_each(|image| counts[image.label] += 1);
        let given = folder.images.iter().any(|image| image.split.is_some()).then(|| {
            Split::ALL.map(|split| (split, folder.images.iter().filter(|image| image.split == Some(split)).count()))
        });
        let step = folder.images.len().div_ceil(DECODED).max(1);
        let chosen: Vec<_> = folder.images.iter().step_by(step).collect();
        let progress = Progress::new("looking at images", chosen.len() as u64, "images");
        let seen: Vec<_> = chosen
            .par_iter()
            .map(|image| {
                interrupt::check()?;
                let seen = look_at(&image.path).map_err(|reason| (image.source.clone(), reason));
                progress.advance(1);
                Ok(seen)
            })
            .collect::<Result<_>>()?;
        drop(progress);
        let (whole, damaged): (Vec<_>, Vec<_>) = seen.into_iter().partition(std::result::Result::is_ok);
        let whole: Vec<Seen> = whole.into_iter().flatten().collect();
        let damaged: Vec<(String, String)> = damaged.into_iter().filter_map(std::result::Result::err).collect();
        let Some(sides) = sides(&whole) else {
            let (name, reason) = damaged.first().cloned().unwrap_or_default();
            return Err(Error::new(format!("none of the images in `{}` can be read", names::path(source)))
                .because(format!("`{}`: {reason}", names::shown(&name)))
                .hint("what counts as an image is described in docs/pipeline-file.md"));
        };
        let median = [0, 1].map(|axis| median(whole.iter().map(|seen| seen.size[axis]).collect()));
        let (decoded, copies) = (chosen.len(), copies(&whole));
        let classes = folder.classes.into_iter().zip(counts).collect();
        Ok(Self { classes, given, decoded, median, sides, damaged, copies })
    }

    /// All images.
    pub(super) fn images(&self) -> usize {
        self.classes.iter().map(|(_, count)| count).sum()
    }

    /// The class with the fewest images, and the one with the most.
    pub(super) fn extremes(&self) -> [&(String, usize); 2] {
        let first = &self.classes[0];
        let pick = |better: fn(usize, usize) -> bool| {
            self.classes.iter().fold(first, |best, class| if better(class.1, best.1) { class } else { best })
        };
        [pick(|a, b| a < b), pick(|a, b| a > b)]
    }

    /// Names the files that cannot be read.
    pub(super) fn announce(&self) {
        for (name, reason) in self.damaged.iter().take(NAMED) {
            note!("warning: `{}` cannot be read: {reason}", names::shown(name));
        }
        if self.damaged.len() > NAMED {
            note!("warning: and {} more; `preprocess` lists all in `rejected.csv`", self.damaged.len() - NAMED);
        }
    }
}

/// Size and content of a file that can be decoded; why it cannot.
fn look_at(path: &Path) -> Result<Seen, String> {
    let bytes = image::read(path).map_err(|error| error.to_string())?;
    // As small as may be: what is asked is whether it is whole.
    let settings = ImageSettings { width: 32, height: 32, ..ImageSettings::default() };
    let pixels = image::decode_for(&bytes, &settings).map_err(|error| error.to_string())?;
    let size = header_size(&bytes).unwrap_or([pixels.pixels().width, pixels.pixels().height]);
    Ok(Seen { size, content: fingerprint::of_bytes(&bytes) })
}

/// Width and height that the file's header gives; none of a format whose header the library does not read alone.
fn header_size(bytes: &[u8]) -> Option<[usize; 2]> {
    let reader = ::image::ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format().ok()?;
    let (width, height) = reader.into_dimensions().ok()?;
    Some([width as usize, height as usize])
}

fn median(mut values: Vec<usize>) -> usize {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn sides(seen: &[Seen]) -> Option<[usize; 2]> {
    let all = || seen.iter().flat_map(|seen| seen.size);
    Some([all().min()?, all().max()?])
}

/// Files whose content came before.
fn copies(seen: &[Seen]) -> usize {
    let mut contents = HashMap::new();
    seen.iter().for_each(|seen| *contents.entry(&seen.content).or_insert(0usize) += 1);
    contents.values().map(|count| count - 1).sum()
}

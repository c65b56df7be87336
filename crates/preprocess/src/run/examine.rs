//! Decodes every image once: which can be read, which are copies of one another, and the resized pixels for the shards.

use super::directory::ShardsDirectory;
use super::examined::{Examined, FILE, Image};
use super::inputs::Inputs;
use super::pixel_store::PixelStore;
use super::summary;
use crate::duplicates::{self, Signature};
use crate::folder::{Folder, ImageFile};
use crate::image::{self, ImageError, Pixels};
use crate::pipeline::{ImageSettings, PreprocessSettings, Unreadable};
use crate::stage::progress::Progress;
use crate::stage::{fingerprint, interrupt, names, sealed};
use crate::{Error, Result};
use rayon::prelude::*;

/// Images that are decoded between two looks at whether to stop.
const CHUNK: usize = 512;

/// Decodes all images, or recalls what an earlier run found; then pixels are decoded again where they are needed.
/// Of those that are `dropped` it does not matter whether they can be decoded.
///
/// # Errors
/// A file cannot be decoded and `unreadable` is `fail`, a file changed meanwhile, the disk is full, or an interruption.
pub(crate) fn examine<'a>(
    folder: &'a Folder,
    inputs: &'a Inputs,
    dropped: &[bool],
    settings: &'a PreprocessSettings,
    place: &ShardsDirectory,
) -> Result<(Examined, PixelStore<'a>)> {
    let key = fingerprint::of_value(&(
        env!("CARGO_PKG_VERSION"),
        (image::PIXELS_VERSION, duplicates::DUPLICATES_VERSION),
        inputs.listing(folder),
        &settings.image,
        settings.memory,
    ))?;
    let known = Examined::load(place, &key, folder.images.len());
    let store = PixelStore::open(folder, inputs, &settings.image, place, known.is_some().then_some(key.as_str()))?;
    let examined = match known {
        Some(examined) => examined,
        None => {
            let images = decode_all(folder, inputs, dropped, settings, &store)?;
            let examined = group(images, folder, key.clone())?;
            store.save(place, &key)?;
            sealed::write(&place.state(FILE), &examined)?;
            examined
        }
    }
    .without(dropped);
    if let (Unreadable::Fail, Some((index, reason))) = (settings.unreadable, examined.rejected().next()) {
        return Err(unreadable(&folder.images[index], reason));
    }
    summary::rejected(&examined, folder);
    Ok((examined, store))
}

fn unreadable(file: &ImageFile, reason: &str) -> Error {
    Error::new(format!("cannot decode `{}`", names::path(&file.path)))
        .because(reason)
        .hint("set `preprocess.unreadable: skip` to leave such files out and list them in `rejected.csv`")
}

/// An image's signature, and the size of the picture in its file.
type Found = (Signature, [usize; 2]);

/// What was found of each image, or why it cannot be decoded.
type Findings = Vec<Result<Found, ImageError>>;

fn decode_all(
    folder: &Folder,
    inputs: &Inputs,
    dropped: &[bool],
    settings: &PreprocessSettings,
    store: &PixelStore,
) -> Result<Findings> {
    let progress = Progress::new("decoding", folder.images.len() as u64, "images");
    let indices: Vec<usize> = (0..folder.images.len()).collect();
    let mut findings = Findings::with_capacity(indices.len());
    for chunk in indices.chunks(CHUNK) {
        interrupt::check()?;
        let decoded: Result<Findings> = chunk
            .par_iter()
            .map(|&index| {
                interrupt::check()?;
                let found = decode(&folder.images[index], index, inputs, &settings.image);
                progress.advance(1);
                match found? {
                    Ok((finding, pixels)) => store.put(index, &pixels).map(|()| Ok(finding)),
                    Err(reason) => Ok(Err(reason)),
                }
            })
            .collect();
        findings.extend(decoded?);
        let failed = std::iter::zip(&folder.images, &findings)
            .zip(dropped)
            .filter(|(_, dropped)| !**dropped)
            .find_map(|((file, finding), _)| Some((file, finding.as_ref().err()?)));
        if let (Unreadable::Fail, Some((file, error))) = (settings.unreadable, failed) {
            return Err(unreadable(file, &error.reason));
        }
    }
    progress.finish();
    Ok(findings)
}

/// The image's signature, its size and its resized pixels.
fn decode(
    file: &ImageFile,
    index: usize,
    inputs: &Inputs,
    settings: &ImageSettings,
) -> Result<Result<(Found, Pixels), ImageError>> {
    let bytes = image::read(&file.path);
    inputs.confirm(index, file, bytes.as_deref())?;
    let decoded = bytes.and_then(|bytes| image::decode_to_compare(&bytes, settings));
    Ok(decoded.map(|image| ((Signature::of(image.to_compare()), image.size), image.decoded.resize(settings))))
}

fn group(findings: Findings, folder: &Folder, key: String) -> Result<Examined> {
    let (labels, readable): (Vec<usize>, Vec<Signature>) = std::iter::zip(&folder.images, &findings)
        .filter_map(|(image, finding)| Some((image.label, finding.as_ref().ok()?.0.clone())))
        .unzip();
    let duplicates = duplicates::find(&readable, &labels)?;
    let max_distance = duplicates.max_distance;
    let mut found = std::iter::zip(std::iter::zip(duplicates.group, duplicates.kind), duplicates.first);
    let image = |finding: Result<Found, ImageError>| {
        let (_, size) = finding.map_err(|error| error.reason)?;
        let ((group, kind), equal) = found.next().unwrap_or_default();
        Ok(Image { group, kind, equal, size })
    };
    let images = findings.into_iter().map(image).collect();
    Ok(Examined { key, images, max_distance, dropped: Vec::new() })
}

//! What a backbone makes of the images of a data set, computed once and kept beside the shards.
//!
//! The files are caches: `features/<fingerprint>/<split>-<copy>.safetensors` in a pipeline's output directory. What
//! does not have its checksum is computed again. The fingerprint is that of all that decides about the values.

use crate::data::images::Images;
use crate::device::cpu::simd;
use crate::model::inference::Inference;
use crate::ops::Backend;
use crate::tensor::arrays::{self, Array};
use preprocess::pipeline::Split;
use preprocess::stage::atomic_file::write_atomically;
use preprocess::stage::error::Context;
use preprocess::stage::progress::Progress;
use preprocess::stage::{files, fingerprint, random};
use preprocess::{Result, note};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Directory of the caches, in a pipeline's output directory.
pub(crate) const FEATURES_DIRECTORY: &str = "features";

/// Changed whenever the same weights and images give other features.
const FEATURES_VERSION: u32 = 1;

/// Characters of a fingerprint in a directory's name.
const NAME: usize = 16;

/// Features of some images, in their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Features {
    /// Of each image.
    pub dim: usize,
    /// `[images, dim]`.
    pub values: Vec<f32>,
    /// Class of each image.
    pub labels: Vec<usize>,
    /// Images of one group are near-copies of each other.
    pub groups: Vec<u64>,
}

impl Features {
    fn new<I: Images>(dim: usize, values: Vec<f32>, images: &Arc<I>) -> Self {
        let (labels, groups) = (0..images.count()).map(|image| (images.label(image), images.group(image))).unzip();
        Self { dim, values, labels, groups }
    }

    /// Those of all of `parts`, one after another.
    pub(crate) fn joined(parts: Vec<Self>) -> Self {
        let dim = parts.first().map_or(0, |part| part.dim);
        let mut all = Self { dim, values: Vec::new(), labels: Vec::new(), groups: Vec::new() };
        for part in parts {
            all.values.extend(part.values);
            all.labels.extend(part.labels);
            all.groups.extend(part.groups);
        }
        all
    }

    /// Those of the image in this place.
    pub(crate) fn row(&self, image: usize) -> &[f32] {
        &self.values[image * self.dim..(image + 1) * self.dim]
    }

    /// Those of the images in these places.
    pub(crate) fn select(&self, images: &[usize]) -> Self {
        Self {
            dim: self.dim,
            values: images.iter().flat_map(|&image| self.row(image)).copied().collect(),
            labels: images.iter().map(|&image| self.labels[image]).collect(),
            groups: images.iter().map(|&image| self.groups[image]).collect(),
        }
    }

    /// All but a fifth of the images, and that fifth. Groups stay whole: which fifth one belongs to follows from its
    /// number alone.
    pub(crate) fn without_a_fifth(&self) -> (Self, Self) {
        let in_fifth = |group: u64| random::stream(group, "fifth", &[]).below(5) == 0;
        let part = |wanted: bool| {
            let rows = (0..self.labels.len()).filter(|&row| in_fifth(self.groups[row]) == wanted);
            self.select(&rows.collect::<Vec<_>>())
        };
        (part(false), part(true))
    }
}

/// Where the features of one backbone and data set are kept.
#[derive(Debug)]
pub(crate) struct FeatureCache {
    directory: PathBuf,
    fingerprint: String,
}

impl FeatureCache {
    /// For a backbone and data set that `decides` tells from all others. `output` is the pipeline's.
    ///
    /// # Errors
    /// The directory cannot be made; something of somebody else's is in its place.
    pub(crate) fn open(output: &Path, decides: &impl serde::Serialize) -> Result<Self> {
        let fingerprint = fingerprint::of_value(&(FEATURES_VERSION, simd::is_reference(), decides))?;
        let directory = files::make_directories(output, &[FEATURES_DIRECTORY, short(&fingerprint)])?;
        Ok(Self { directory, fingerprint })
    }

    /// Name of the directory.
    pub(crate) fn name(&self) -> &str {
        short(&self.fingerprint)
    }

    /// The features of `images`, a copy of a split, from their file or computed and kept.
    ///
    /// # Errors
    /// An image cannot be read, the device fails, the disk is full, or the run is interrupted.
    pub(crate) fn get<B: Backend, I: Images>(
        &self,
        split: &str,
        copy: usize,
        images: &Arc<I>,
        inference: &mut Inference<'_, B>,
        batch_size: usize,
    ) -> Result<Features> {
        let file = self.directory.join(format!("{split}-{copy:05}.safetensors"));
        let name = if copy == 0 { format!("{split} images") } else { format!("{split} images, copy {copy}") };
        let dim = inference.model.network.graph().features();
        let values = match self.read(&file, [images.count(), dim]) {
            Some(values) => values,
            None => {
                if file.exists() {
                    note!("`{}` is damaged or of another run: computed again", file.display());
                }
                let values = compute(&name, images, inference, batch_size)?;
                self.write(&file, [images.count(), dim], &values)?;
                values
            }
        };
        Ok(Features::new(dim, values, images))
    }

    fn read(&self, file: &Path, shape: [usize; 2]) -> Option<Vec<f32>> {
        let (mut arrays, metadata) = arrays::decode(&files::read(file).ok()?).ok()?;
        let array = arrays.pop().filter(|array| arrays.is_empty() && array.shape == shape)?;
        let is_whole = metadata.get(SEAL) == Some(&self.seal(&array)) && array.is_finite();
        is_whole.then_some(array.values)
    }

    fn write(&self, file: &Path, shape: [usize; 2], values: &[f32]) -> Result<()> {
        let array = Array { name: "features".into(), shape: shape.to_vec(), values: values.to_vec() };
        let bytes = arrays::encode([(array.name.as_str(), &array)], &[(SEAL, self.seal(&array))]);
        let bytes = bytes.context(|| format!("cannot encode `{}`", file.display()))?;
        write_atomically(file, |writer| writer.write_all(&bytes))
    }

    /// Of what the values are of, and of the values.
    fn seal(&self, array: &Array) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.fingerprint.as_bytes()).update(&arrays::little_endian(&array.values));
        hasher.finalize().to_hex().to_string()
    }
}

/// The features of `images`, which nothing keeps.
///
/// # Errors
/// An image cannot be read, the device fails, or the run is interrupted.
pub(crate) fn of_images<B: Backend, I: Images>(
    name: &str,
    images: &Arc<I>,
    inference: &mut Inference<'_, B>,
    batch_size: usize,
) -> Result<Features> {
    let values = compute(&format!("{name} images"), images, inference, batch_size)?;
    Ok(Features::new(inference.model.network.graph().features(), values, images))
}

/// The beginning of a fingerprint, which names a directory.
fn short(fingerprint: &str) -> &str {
    &fingerprint[..NAME.min(fingerprint.len())]
}

/// Removes the caches of a pipeline's output directory but those of these names. What is not a cache of this program's
/// making stays, with the directory that it lies in.
///
/// # Errors
/// The disk refuses.
pub(crate) fn sweep(output: &Path, keep: &[String]) -> Result<()> {
    let all = output.join(FEATURES_DIRECTORY);
    let Ok(entries) = fs::read_dir(&all) else { return Ok(()) };
    for directory in entries.flatten().map(|entry| entry.path()) {
        let name = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_ours = name.len() == NAME && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_directory = fs::symlink_metadata(&directory).is_ok_and(|metadata| metadata.is_dir());
        if is_ours && is_directory && !keep.contains(&name) {
            remove_cache(&directory)?;
        }
    }
    Ok(())
}

fn remove_cache(directory: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(directory) else { return Ok(()) };
    for file in entries.flatten().map(|entry| entry.path()) {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_ours = Split::ALL.iter().any(|split| name.starts_with(split.name())) && name.ends_with(".safetensors");
        if is_ours {
            files::remove_if_present(&file)?;
        }
    }
    // It stays if somebody else's files are in it.
    let _ = fs::remove_dir(directory);
    Ok(())
}

/// Key of the checksum in a file's metadata.
const SEAL: &str = "blake3";

fn compute<B: Backend, I: Images>(
    name: &str,
    images: &Arc<I>,
    inference: &mut Inference<'_, B>,
    batch_size: usize,
) -> Result<Vec<f32>> {
    let progress = Progress::new(format!("features of {name}"), images.count() as u64, "images");
    let mut values = Vec::new();
    let mut feed = inference.model.feed(0, batch_size)?;
    inference.run_features(images, &mut feed, |features, labels| {
        values.extend_from_slice(features);
        progress.advance(labels.len() as u64);
    })?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(values: [f32; 4]) -> Array {
        Array { name: "features".into(), shape: vec![2, 2], values: values.into() }
    }

    #[test]
    fn a_cache_gives_back_what_is_whole_and_of_the_same_run_only() {
        let directory = tempfile::tempdir().unwrap();
        let open = |decides: &str| FeatureCache::open(directory.path(), &decides).unwrap();
        let (cache, other) = (open("these weights"), open("other weights"));
        let file = cache.directory.join("train-00000.safetensors");
        let values = [1.0, -2.5, 0.0, 3.0];
        cache.write(&file, [2, 2], &values).unwrap();
        assert_eq!(cache.read(&file, [2, 2]), Some(values.to_vec()));
        assert_ne!(cache.directory, other.directory);
        assert_eq!(cache.read(&file, [4, 1]), None, "another shape");
        assert_eq!(other.read(&file, [2, 2]), None, "of other weights");
        assert_ne!(cache.seal(&array(values)), cache.seal(&array([1.0, -2.5, 0.0, 3.5])));
        let whole = fs::read(&file).unwrap();
        for length in 0..whole.len() {
            fs::write(&file, &whole[..length]).unwrap();
            assert_eq!(cache.read(&file, [2, 2]), None, "cut to {length} bytes");
        }
        for at in whole.len() - 16..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            fs::write(&file, altered).unwrap();
            assert_eq!(cache.read(&file, [2, 2]), None, "byte {at} altered");
        }
    }

    #[test]
    fn caches_that_no_model_uses_are_removed_and_nothing_else() {
        let output = tempfile::tempdir().unwrap();
        let open = |decides: &str| FeatureCache::open(output.path(), &decides).unwrap();
        let (used, unused, shared) = (open("used"), open("unused"), open("shared"));
        for cache in [&used, &unused, &shared] {
            cache.write(&cache.directory.join("train-00000.safetensors"), [1, 1], &[1.0]).unwrap();
        }
        fs::write(shared.directory.join("notes.txt"), "mine").unwrap();
        fs::create_dir(output.path().join("features/mine")).unwrap();
        sweep(output.path(), &[used.name().to_owned()]).unwrap();
        assert!(used.directory.join("train-00000.safetensors").exists());
        assert!(!unused.directory.exists());
        assert!(shared.directory.join("notes.txt").exists() && output.path().join("features/mine").exists());
        assert!(!shared.directory.join("train-00000.safetensors").exists());
        sweep(&output.path().join("none"), &[]).unwrap();
    }

    #[test]
    fn parts_are_joined_in_their_order() {
        let part = |value: f32, labels: &[usize]| Features {
            dim: 2,
            values: vec![value; 2 * labels.len()],
            labels: labels.to_vec(),
            groups: labels.iter().map(|&label| label as u64).collect(),
        };
        let all = Features::joined(vec![part(1.0, &[0, 1]), part(2.0, &[1])]);
        assert_eq!((all.dim, all.labels, all.groups), (2, vec![0, 1, 1], vec![0, 1, 1]));
        assert_eq!(all.values, [1.0, 1.0, 1.0, 1.0, 2.0, 2.0]);
    }
}

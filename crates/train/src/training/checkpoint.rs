//! What a run needs to go on after any epoch as if it had never stopped: weights, optimiser state, history, best
//! weights.
//!
//! There is no random state: shuffling and dropout follow from the seed, the epoch and the step. One safetensors file
//! holds everything, so that it is there as a whole or not at all; its arrays are named `weights/…`, `average/…`
//! (absent where no moving average is kept), `best/…` (absent where the last epoch is the best), `margins/sums`, `first/…`
//! and `second/…` (Adam's moments), its metadata hold the rest as JSON, with a checksum. The newest two are kept: if the
//! newest turns out to be damaged, the run goes on from the one before it.

use crate::model::directory;
use crate::model::history::{self, EpochScores, EpochTiming};
use crate::tensor::arrays::{self, Array};
use crate::training::early_stopping::best_epoch;
use preprocess::stage::atomic_file::{sweep_leftovers, write_atomically};
use preprocess::stage::error::Context;
use preprocess::stage::files;
use preprocess::{Error, ErrorKind, Result, note};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// Sub-directory of a model's directory.
pub(crate) const CHECKPOINT_DIRECTORY: &str = "checkpoint";

/// Floats that are turned into bytes and hashed at a time.
const HASHED_FLOATS: usize = 1 << 14;

/// Checkpoints kept.
const KEPT: usize = 2;

/// Key of the one entry of the safetensors metadata (their order is random: more than one would change from run to
/// run).
const METADATA_KEY: &str = "checkpoint";

/// State after an epoch; its number is the length of the history.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Checkpoint {
    /// Of all that determines the run: see `ModelPlan::fingerprint`.
    pub fingerprint: String,
    /// Steps that the optimiser has taken.
    pub step: u32,
    /// One row an epoch.
    pub scores: Vec<EpochScores>,
    /// One row an epoch.
    pub timings: Vec<EpochTiming>,
    /// All parameters after the last epoch.
    pub weights: Vec<Array>,
    /// The moving average of all parameters after the last epoch; empty where none is kept.
    pub average: Vec<Array>,
    /// All parameters (averaged, if that is what is kept) after the best epoch.
    pub best: Vec<Array>,
    /// Of the training images so far: one array, or none in a file of earlier versions.
    pub margins: Vec<Array>,
    /// Adam's mean of each gradient.
    pub first_moments: Vec<Array>,
    /// Adam's mean of each squared gradient.
    pub second_moments: Vec<Array>,
}

/// What a search for a checkpoint came to.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// There are no checkpoints.
    Nothing,
    /// There are some, of other runs.
    OfOthers,
    /// The directory's place in the list, and the checkpoint.
    In(usize, Box<Checkpoint>),
}

/// All but the arrays.
#[derive(Debug, Serialize, Deserialize)]
struct Metadata {
    fingerprint: String,
    step: u32,
    /// As CSV: JSON knows no NaN.
    scores: String,
    timings: String,
    /// BLAKE3 over all of the above and the arrays' names, shapes and bytes.
    checksum: String,
}

impl Checkpoint {
    /// Writes the checkpoint of the last epoch into a model's directory, then removes those that are no longer needed.
    ///
    /// # Errors
    /// The disk refuses; then the checkpoints of earlier epochs are still there.
    pub(crate) fn write(&self, model_directory: &Path) -> Result<()> {
        let directory = model_directory.join(CHECKPOINT_DIRECTORY);
        fs::create_dir_all(&directory).context(|| format!("cannot create `{}`", directory.display()))?;
        let file = directory.join(file_name(self.scores.len()));
        let bytes = self.encode()?;
        write_atomically(&file, |writer| writer.write_all(&bytes))?;
        for (_, old) in list(&directory)?.into_iter().skip(KEPT) {
            fs::remove_file(&old).context(|| format!("cannot remove `{}`", old.display()))?;
        }
        Ok(())
    }

    /// The newest checkpoint that is whole and `wanted`, in the first of the directories that has one. Damaged ones
    /// are reported on stderr.
    ///
    /// # Errors
    /// There is none, and in one of the directories all checkpoints are damaged.
    pub(crate) fn find(directories: &[&Path], wanted: impl Fn(&Self) -> bool) -> Result<Found> {
        let (mut found, mut damaged) = (Found::Nothing, None);
        for (at, directory) in directories.iter().enumerate() {
            let directory = directory.join(CHECKPOINT_DIRECTORY);
            let files = list(&directory)?;
            let mut whole = 0;
            for (epoch, file) in &files {
                match Self::read(file, *epoch) {
                    Ok(checkpoint) if wanted(&checkpoint) => return Ok(Found::In(at, Box::new(checkpoint))),
                    Ok(_) => whole += 1,
                    Err(reason) => {
                        note!("warning: the checkpoint `{}` is damaged ({reason}), trying an older one", file.display())
                    }
                }
            }
            match (whole, files.len()) {
                (0, 0) => {}
                (0, _) => damaged = damaged.or(Some(directory)),
                _ => found = Found::OfOthers,
            }
        }
        let Some(directory) = damaged else { return Ok(found) };
        Err(Error::new(format!("all checkpoints in `{}` are damaged", directory.display()))
            .of_kind(ErrorKind::Damaged)
            .hint("remove that directory to train the model from the start"))
    }

    /// Removes all checkpoints of a model's directory, and what a killed run left there.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn remove_all(model_directory: &Path) -> Result<()> {
        let directory = model_directory.join(CHECKPOINT_DIRECTORY);
        sweep_leftovers(&directory)?;
        for (_, file) in list(&directory)? {
            fs::remove_file(&file).context(|| format!("cannot remove `{}`", file.display()))?;
        }
        // Should others have put something there, it stays.
        let _ = fs::remove_dir(&directory);
        Ok(())
    }

    /// Removes checkpoints of later epochs than `epoch`: damaged ones, or those of another run.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn remove_after(model_directory: &Path, epoch: usize) -> Result<()> {
        let files = list(&model_directory.join(CHECKPOINT_DIRECTORY))?;
        for (_, file) in files.into_iter().filter(|(of, _)| *of > epoch) {
            fs::remove_file(&file).context(|| format!("cannot remove `{}`", file.display()))?;
        }
        Ok(())
    }

    /// The parameters whose scores stand in the last row of the history.
    pub(crate) fn scored(&self) -> &Vec<Array> {
        if self.average.is_empty() { &self.weights } else { &self.average }
    }

    fn read(file: &Path, epoch: usize) -> Result<Self, String> {
        let bytes = files::read(file).map_err(|error| error.to_string())?;
        let checkpoint = Self::decode(&bytes)?;
        checkpoint.check(epoch)?;
        Ok(checkpoint)
    }

    /// Whether it can be one of after `epoch`: a right checksum says only that nothing changed since it was written.
    fn check(&self, epoch: usize) -> Result<(), String> {
        let numbered = |epochs: &mut dyn Iterator<Item = usize>| epochs.eq(1..=epoch);
        if !numbered(&mut self.scores.iter().map(|row| row.epoch)) {
            return Err(format!("its history is not that of {epoch} epochs, as its name says"));
        }
        if !numbered(&mut self.timings.iter().map(|row| row.epoch)) {
            return Err(format!("its timings are not those of {epoch} epochs"));
        }
        // Of a large gradient the square is no number any more; training lives with that.
        match [&self.weights, &self.average, &self.best].into_iter().flatten().find(|array| !array.is_finite()) {
            Some(array) => Err(format!("`{}` holds values that are not finite", array.name)),
            None => Ok(()),
        }
    }

    fn encode(&self) -> Result<Vec<u8>> {
        let is_best = best_epoch(&self.scores) == Some(self.scores.len());
        let best = if is_best { &[][..] } else { &self.best };
        let groups = [
            ("weights", &self.weights[..]),
            ("average", &self.average),
            ("best", best),
            ("margins", &self.margins),
            ("first", &self.first_moments),
            ("second", &self.second_moments),
        ];
        let all = groups
            .iter()
            .flat_map(|(group, arrays)| arrays.iter().map(move |array| (format!("{group}/{}", array.name), array)));
        // Borrowed: a network's worth of copies would be what a whole run needs most memory for.
        let mut all: Vec<(String, &Array)> = all.collect();
        let mut metadata = Metadata {
            fingerprint: self.fingerprint.clone(),
            step: self.step,
            scores: String::from_utf8_lossy(&history::to_csv(&self.scores)?).into_owned(),
            timings: String::from_utf8_lossy(&history::to_csv(&self.timings)?).into_owned(),
            checksum: String::new(),
        };
        metadata.checksum = metadata.checksum_with(&mut all);
        let metadata = serde_json::to_string(&metadata).context(|| "cannot encode a checkpoint".into())?;
        arrays::encode(all, &[(METADATA_KEY, metadata)]).context(|| "cannot encode a checkpoint".into())
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let (mut all, metadata) = arrays::decode(bytes)?;
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let metadata = metadata.get(METADATA_KEY).ok_or("it has no metadata of a checkpoint")?;
        let metadata: Metadata = serde_json::from_str(metadata).map_err(|error| error.to_string())?;
        let mut named: Vec<(String, &Array)> = all.iter().map(|array| (array.name.clone(), array)).collect();
        if metadata.checksum_with(&mut named) != metadata.checksum {
            return Err("its checksum does not agree with its content".into());
        }
        let mut checkpoint = Self {
            fingerprint: metadata.fingerprint,
            step: metadata.step,
            scores: history::from_csv(metadata.scores.as_bytes()).map_err(|error| error.to_string())?,
            timings: history::from_csv(metadata.timings.as_bytes()).map_err(|error| error.to_string())?,
            ..Self::default()
        };
        for array in all {
            let (group, name) = array.name.split_once('/').ok_or("an array belongs to no group")?;
            let arrays = match group {
                "weights" => &mut checkpoint.weights,
                "average" => &mut checkpoint.average,
                "best" => &mut checkpoint.best,
                "margins" => &mut checkpoint.margins,
                "first" => &mut checkpoint.first_moments,
                "second" => &mut checkpoint.second_moments,
                other => return Err(format!("it has arrays of an unknown group `{other}`")),
            };
            arrays.push(Array { name: name.to_owned(), shape: array.shape, values: array.values });
        }
        if best_epoch(&checkpoint.scores) == Some(checkpoint.scores.len()) {
            checkpoint.best = checkpoint.scored().clone();
        }
        Ok(checkpoint)
    }
}

fn file_name(epoch: usize) -> String {
    format!("epoch-{epoch:04}.safetensors")
}

/// Epoch and path of each checkpoint, the newest first.
fn list(directory: &Path) -> Result<Vec<(usize, PathBuf)>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.context(|| format!("cannot list `{}`", directory.display()))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.context(|| format!("cannot list `{}`", directory.display()))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix("epoch-").and_then(|name| name.strip_suffix(".safetensors"));
        if let Some(epoch) = number.and_then(|number| number.parse().ok()) {
            files.push((epoch, path));
        }
    }
    files.sort_unstable_by(|a, b| b.cmp(a));
    Ok(files)
}

impl Metadata {
    /// BLAKE3 over the rest of the metadata and the arrays, which are put in the order of their names. Every part is
    /// hashed with its length.
    fn checksum_with(&self, arrays: &mut [(String, &Array)]) -> String {
        arrays.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        part(&self.step.to_le_bytes());
        for text in [&self.fingerprint, &self.scores, &self.timings] {
            part(text.as_bytes());
        }
        for (name, array) in arrays {
            part(name.as_bytes());
            array.shape.iter().for_each(|side| part(&(*side as u64).to_le_bytes()));
            array.values.chunks(HASHED_FLOATS).for_each(|values| part(&arrays::little_endian(values)));
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// Removes everything that an earlier run wrote into the directory. Checkpoints go before the other files: without a
/// history they belong to nothing.
///
/// # Errors
/// The disk refuses.
pub(crate) fn clear(model_directory: &Path) -> Result<()> {
    directory::unfinish(model_directory)?;
    Checkpoint::remove_all(model_directory)?;
    directory::clear(model_directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(name: &str, values: &[f32]) -> Array {
        Array { name: name.into(), shape: vec![values.len()], values: values.to_vec() }
    }

    fn newest(directory: &Path) -> Result<Option<Checkpoint>> {
        Ok(match Checkpoint::find(&[directory], |_| true)? {
            Found::In(0, checkpoint) => Some(*checkpoint),
            _ => None,
        })
    }

    /// After as many epochs as there are validation losses.
    fn sample(losses: &[f64]) -> Checkpoint {
        let weights = vec![array("a.bias", &[1.0, 2.0]), array("a.running_mean", &[f32::MIN_POSITIVE])];
        let row = |(at, &validation_loss): (usize, &f64)| EpochScores {
            epoch: at + 1,
            loss: 0.1,
            accuracy: 1.0 / 3.0,
            validation_loss,
            validation_accuracy: 0.5,
            learning_rate: 1e-3,
        };
        Checkpoint {
            fingerprint: "abc".into(),
            margins: vec![array("sums", &[0.5, 1.0])],
            step: 7,
            scores: losses.iter().enumerate().map(row).collect(),
            timings: (1..=losses.len())
                .map(|epoch| EpochTiming { epoch, seconds: 0.5, images_per_second: 9.0 })
                .collect(),
            best: if losses.is_sorted_by(|a, b| a > b) { weights.clone() } else { vec![array("a.bias", &[9.0, 8.0])] },
            weights,
            average: Vec::new(),
            first_moments: vec![array("a.bias", &[0.25, -0.0])],
            second_moments: vec![array("a.bias", &[0.5, 1e-30])],
        }
    }

    #[test]
    fn a_moving_average_comes_back_and_stands_for_the_best() {
        let directory = tempfile::tempdir().unwrap();
        let average = vec![array("a.bias", &[5.0, 6.0])];
        let checkpoint = Checkpoint { best: average.clone(), average, ..sample(&[2.0, 1.0]) };
        checkpoint.write(directory.path()).unwrap();
        assert_eq!(newest(directory.path()).unwrap(), Some(checkpoint));
    }

    #[test]
    fn a_checkpoint_comes_back() {
        for (name, losses) in [("the last epoch is the best", &[2.0, 1.0][..]), ("an earlier one is", &[1.0, 2.0, 3.0])]
        {
            let directory = tempfile::tempdir().unwrap();
            sample(losses).write(directory.path()).unwrap();
            assert_eq!(newest(directory.path()).unwrap(), Some(sample(losses)), "{name}");
            assert_eq!(sample(losses).encode().unwrap(), sample(losses).encode().unwrap(), "{name}");
        }
    }

    #[test]
    fn there_may_be_none() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(newest(directory.path()).unwrap(), None);
        sample(&[1.0]).write(directory.path()).unwrap();
        Checkpoint::remove_all(directory.path()).unwrap();
        assert_eq!(newest(directory.path()).unwrap(), None);
    }

    #[test]
    fn the_newest_two_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        for losses in [&[3.0][..], &[3.0, 2.0], &[3.0, 2.0, 1.0]] {
            sample(losses).write(directory.path()).unwrap();
        }
        let files = list(&directory.path().join(CHECKPOINT_DIRECTORY)).unwrap();
        assert_eq!(files.iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>(), [3, 2]);
    }

    #[test]
    fn a_damaged_one_is_passed_over_and_two_are_an_error() {
        let whole = sample(&[3.0, 2.0]).encode().unwrap();
        let mut altered = whole.clone();
        *altered.last_mut().unwrap() ^= 1;
        let mut other_step = whole.clone();
        let digit = whole.windows(9).position(|window| window == br#"step\":7,"#).unwrap() + 7;
        other_step[digit] = b'8';
        for (name, bytes) in [
            ("another number of steps", other_step),
            ("cut short", whole[..whole.len() - 3].to_vec()),
            ("cut in the header", whole[..20].to_vec()),
            ("empty", Vec::new()),
            ("a bit flipped", altered),
            ("another safetensors file", arrays::encode([("a", &array("a", &[1.0]))], &[]).unwrap()),
        ] {
            let directory = tempfile::tempdir().unwrap();
            sample(&[3.0]).write(directory.path()).unwrap();
            let path = |epoch| directory.path().join(CHECKPOINT_DIRECTORY).join(file_name(epoch));
            fs::write(path(2), &bytes).unwrap();
            assert_eq!(newest(directory.path()).unwrap(), Some(sample(&[3.0])), "{name}");
            fs::write(path(1), &bytes).unwrap();
            let error = newest(directory.path()).unwrap_err().to_string();
            assert!(error.contains("are damaged") && error.contains("hint: remove"), "{name}: {error}");
        }
    }
}

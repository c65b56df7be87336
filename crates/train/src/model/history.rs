//! `history.csv` (what each epoch scored; reproducible to the bit) and `timings.csv` (how long it took).
//!
//! Times are kept apart, so that an interrupted and resumed run ends with the very bytes of an undisturbed one in
//! `history.csv`. Both have a header row named after the fields below and one row an epoch.

use preprocess::stage::atomic_file::write_atomically;
use preprocess::stage::error::Context;
use preprocess::stage::{files, fingerprint};
use preprocess::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// File name in a model's directory.
pub const HISTORY_FILE: &str = "history.csv";
/// File name in a model's directory.
pub(crate) const TIMINGS_FILE: &str = "timings.csv";
/// File name in a model's directory: the checksum of `timings.csv`, as `b3sum` prints it. `config.json`, which is the
/// same for the same inputs, cannot hold it.
pub(crate) const TIMINGS_CHECKSUM_FILE: &str = "timings.csv.b3";

/// Scores of one epoch. The validation scores are NaN where the data set has no validation split.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EpochScores {
    /// From 1.
    pub epoch: usize,
    /// Mean cross-entropy over the training images as they were seen (augmented, dropout on), in nats.
    pub loss: f64,
    /// Fraction of the training images classified rightly as they were seen.
    pub accuracy: f64,
    /// Mean cross-entropy over the validation split after the epoch, in nats.
    pub validation_loss: f64,
    /// Fraction of the validation split classified rightly after the epoch.
    pub validation_accuracy: f64,
    /// The optimiser's learning rate.
    pub learning_rate: f64,
}

/// Duration of one epoch.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EpochTiming {
    /// From 1.
    pub epoch: usize,
    /// Seconds of training and validation.
    pub seconds: f64,
    /// Training images a second, validation left out.
    pub images_per_second: f64,
}

/// Reads `history.csv` of a model's directory.
///
/// # Errors
/// The file is missing or malformed, or its epochs are not 1, 2, 3, ….
pub fn read_scores(model_directory: &Path) -> Result<Vec<EpochScores>> {
    let rows: Vec<EpochScores> = read_table(&model_directory.join(HISTORY_FILE))?;
    check_epochs(rows.iter().map(|row| row.epoch), &model_directory.join(HISTORY_FILE))?;
    Ok(rows)
}

/// Reads `timings.csv` of a model's directory.
///
/// # Errors
/// The file is missing, malformed or not as it was written, or its epochs are not 1, 2, 3, ….
pub fn read_timings(model_directory: &Path) -> Result<Vec<EpochTiming>> {
    let file = model_directory.join(TIMINGS_FILE);
    let written = files::read_to_string(&model_directory.join(TIMINGS_CHECKSUM_FILE)).unwrap_or_default();
    if file.exists() && written != checksum_line(&fingerprint::of_file(&file)?) {
        return Err(Error::new(format!("`{}` is not as it was written", file.display()))
            .because(format!("its checksum is not the one in `{TIMINGS_CHECKSUM_FILE}`"))
            .hint("run `train` again to write it anew"));
    }
    let rows: Vec<EpochTiming> = read_table(&file)?;
    check_epochs(rows.iter().map(|row| row.epoch), &model_directory.join(TIMINGS_FILE))?;
    Ok(rows)
}

/// Writes `history.csv` of a model's directory.
///
/// # Errors
/// The disk refuses.
pub fn write_scores(model_directory: &Path, scores: &[EpochScores]) -> Result<()> {
    write_table(&model_directory.join(HISTORY_FILE), scores)
}

/// Writes `timings.csv` of a model's directory, and its checksum beside it.
///
/// # Errors
/// The disk refuses.
pub fn write_timings(model_directory: &Path, timings: &[EpochTiming]) -> Result<()> {
    write_table(&model_directory.join(TIMINGS_FILE), timings)?;
    let line = checksum_line(&fingerprint::of_bytes(&to_csv(timings)?));
    write_atomically(&model_directory.join(TIMINGS_CHECKSUM_FILE), |writer| writer.write_all(line.as_bytes()))
}

fn checksum_line(blake3: &str) -> String {
    format!("{blake3}  {TIMINGS_FILE}\n")
}

/// CSV text with a header row. Floats are written with the digits that bring back the same float.
///
/// # Errors
/// None in practice: the rows are plain numbers.
pub(crate) fn to_csv<T: Serialize>(rows: &[T]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).context(|| "cannot write a table as CSV".into())?;
    }
    writer.into_inner().context(|| "cannot write a table as CSV".into())
}

/// The rows of CSV text that [`to_csv`] wrote.
///
/// # Errors
/// A column missing or a cell that is no number, with its line.
pub(crate) fn from_csv<T: DeserializeOwned>(text: &[u8]) -> Result<Vec<T>, csv::Error> {
    csv::Reader::from_reader(text).deserialize().collect()
}

fn read_table<T: DeserializeOwned>(file: &Path) -> Result<Vec<T>> {
    let text = files::read(file)
        .context(|| format!("cannot read `{}`", file.display()))
        .map_err(|error| error.hint("run `train` first"))?;
    from_csv(&text)
        .context(|| format!("`{}` is malformed", file.display()))
        .map_err(|error| error.hint("run `train` again to write it anew"))
}

fn write_table<T: Serialize>(file: &Path, rows: &[T]) -> Result<()> {
    let text = to_csv(rows)?;
    write_atomically(file, |writer| writer.write_all(&text))
}

fn check_epochs(epochs: impl Iterator<Item = usize>, file: &Path) -> Result<()> {
    for (epoch, expected) in epochs.zip(1..) {
        if epoch != expected {
            return Err(Error::new(format!("`{}` is malformed", file.display()))
                .because(format!("epoch {epoch} stands where epoch {expected} belongs"))
                .hint("run `train` again to write it anew"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(epoch: usize) -> EpochScores {
        EpochScores {
            epoch,
            loss: 1.0 / 3.0 + epoch as f64,
            accuracy: 2.0 / 7.0,
            validation_loss: 1e-17,
            validation_accuracy: 1.0,
            learning_rate: 0.001,
        }
    }

    #[test]
    fn scores_come_back_to_the_bit() {
        let directory = tempfile::tempdir().unwrap();
        let written = vec![scores(1), scores(2), scores(3)];
        write_scores(directory.path(), &written).unwrap();
        assert_eq!(read_scores(directory.path()).unwrap(), written);
        let text = std::fs::read_to_string(directory.path().join(HISTORY_FILE)).unwrap();
        assert!(text.starts_with("epoch,loss,accuracy,validation_loss,validation_accuracy,learning_rate\n"), "{text}");
    }

    #[test]
    fn altered_timings_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let timings = [EpochTiming { epoch: 1, seconds: 2.0, images_per_second: 3.0 }];
        write_timings(directory.path(), &timings).unwrap();
        assert_eq!(read_timings(directory.path()).unwrap(), timings);
        let file = directory.path().join(TIMINGS_FILE);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("3.0", "9.0")).unwrap();
        let error = read_timings(directory.path()).unwrap_err().to_string();
        assert!(error.contains("not as it was written") && error.contains(TIMINGS_FILE), "{error}");
    }

    #[test]
    fn an_unmeasured_validation_score_stays_nan() {
        let directory = tempfile::tempdir().unwrap();
        write_scores(directory.path(), &[EpochScores { validation_loss: f64::NAN, ..scores(1) }]).unwrap();
        assert!(read_scores(directory.path()).unwrap()[0].validation_loss.is_nan());
    }

    #[test]
    fn malformed_files_are_refused_by_name() {
        let header = "epoch,seconds,images_per_second\n";
        for (name, text, says) in [
            ("a word for a number", format!("{header}1,two,3\n"), "malformed"),
            ("a column too few", "epoch,seconds\n1,2\n".into(), "malformed"),
            ("a row cut short", format!("{header}1,2.0,3.0\n2,1."), "malformed"),
            ("an epoch missing", format!("{header}1,2,3\n3,2,3\n"), "epoch 3 stands where epoch 2 belongs"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let line = checksum_line(&fingerprint::of_bytes(text.as_bytes()));
            std::fs::write(directory.path().join(TIMINGS_FILE), text).unwrap();
            std::fs::write(directory.path().join(TIMINGS_CHECKSUM_FILE), line).unwrap();
            let error = read_timings(directory.path()).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains(TIMINGS_FILE), "{name}: {error}");
        }
        let error = read_timings(Path::new("no-such-directory")).unwrap_err().to_string();
        assert!(error.contains("run `train` first"), "{error}");
    }
}

//! A set whose classes are uneven in training and as they are in validation and test.

use preprocess::stage::error::Context;
use preprocess::stage::random;
use preprocess::{Error, Result};
use std::path::{Path, PathBuf};

/// How many times as many training images the first class keeps as the last.
const RATIO: f64 = 20.0;

/// The parts of each class that are tested and validated on.
const TEST: f64 = 0.25;
const VALIDATION: f64 = 0.1;

/// Class directories below `target/train`, `validation` and `test` of those of `source`. In the order of their names the
/// classes keep from all of their training images down to a twentieth, evenly on a logarithmic scale.
pub fn make(source: &Path, target: &Path, seed: u64) -> Result<()> {
    let done = target.join("done");
    if done.is_file() {
        return Ok(());
    }
    let classes = entries(source)?;
    if classes.len() < 2 {
        return Err(Error::new(format!("`{}` has less than two class directories", source.display()))
            .hint("name them with TRASHNET=DIR"));
    }
    for (at, class) in classes.iter().enumerate() {
        let name = class.file_name().unwrap_or_default();
        let mut files = entries(class)?;
        random::stream(seed, "uneven", &[name.as_encoded_bytes()]).shuffle(&mut files);
        let part = |share: f64| (share * files.len() as f64).round() as usize;
        let (test, rest) = files.split_at(part(TEST));
        let (validation, training) = rest.split_at(part(VALIDATION).min(rest.len()));
        let kept = training.len() as f64 * RATIO.powf(-(at as f64) / (classes.len() - 1) as f64);
        let training = &training[..(kept.round() as usize).clamp(1, training.len())];
        for (split, files) in [("test", test), ("validation", validation), ("train", training)] {
            let directory = target.join(split).join(name);
            std::fs::create_dir_all(&directory).context(|| format!("cannot create `{}`", directory.display()))?;
            for file in files {
                let copy = directory.join(file.file_name().unwrap_or_default());
                std::fs::copy(file, &copy).context(|| format!("cannot copy `{}`", file.display()))?;
            }
        }
    }
    std::fs::write(&done, "").context(|| format!("cannot write `{}`", done.display()))
}

/// What is in a directory, by name.
fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot list `{}`", directory.display());
    let entries = std::fs::read_dir(directory).context(cannot)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().context(cannot)?;
    paths.sort();
    Ok(paths)
}

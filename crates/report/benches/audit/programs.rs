//! A run of the programs on one set of images.

use preprocess::stage::error::Context;
use preprocess::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use train::audit::evidence::Evidence;

/// A pipeline of a head on pretrained features.
pub struct Run {
    /// Class directories.
    pub source: PathBuf,
    /// The pipeline's.
    pub output: PathBuf,
    file: PathBuf,
}

impl Run {
    /// Writes the pipeline file.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn new(name: &str, source: &Path, side: usize, seed: u64) -> Result<Self> {
        let output = Path::new("runs/bench-audit").join(name);
        std::fs::create_dir_all(&output).context(|| format!("cannot create `{}`", output.display()))?;
        let weights = given("WEIGHTS", "timm/tf_efficientnet_lite0.in1k");
        let text = format!(
            "name: bench-audit\noutput: {output:?}\npreprocess:\n  source: {source:?}\n  corrections: {:?}\n  \
             image: {{ width: {side}, height: {side}, filter: bicubic }}\n  split: {{ seed: {seed} }}\ntrain:\n  \
             models:\n    head: {{ architecture: efficientnet-lite0, pretrained: {weights:?}, tune: head }}\n",
            Self::corrections_in(&output),
        );
        let run = Self { source: source.to_owned(), file: output.join("pipeline.yaml"), output };
        std::fs::write(&run.file, text).context(|| format!("cannot write `{}`", run.file.display()))?;
        Ok(run)
    }

    /// The file of labels that are changed.
    pub fn corrections(&self) -> PathBuf {
        Self::corrections_in(&self.output)
    }

    fn corrections_in(output: &Path) -> PathBuf {
        output.join("changed.csv")
    }

    /// Runs the programs named. What is up to date costs nothing.
    ///
    /// # Errors
    /// One of them failed.
    pub fn make(&self, programs: &[&str]) -> Result<Duration> {
        let started = Instant::now();
        for program in programs {
            eprintln!("== {program}, {}", self.output.display());
            let binary = Path::new(env!("CARGO_BIN_EXE_report")).with_file_name(program);
            let mut command = Command::new(&binary);
            command.arg("--pipeline").arg(&self.file).stdin(Stdio::null()).stdout(Stdio::null());
            let status = command.status().context(|| format!("cannot start `{}`", binary.display()))?;
            if !status.success() {
                return Err(Error::new(format!("`{program}` failed on `{}`", self.file.display()))
                    .hint("what is finished is kept: run `make bench-audit` again"));
            }
        }
        Ok(started.elapsed())
    }

    /// What `train` knows of the images.
    ///
    /// # Errors
    /// As [`Evidence::read`].
    pub fn evidence(&self) -> Result<Evidence> {
        Evidence::read(&self.output)
    }
}

/// A variable of the environment, or its default.
pub fn given(name: &str, default: &str) -> String {
    std::env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
}

/// The seeds that `SEEDS` names.
///
/// # Errors
/// It names something else.
pub fn seeds() -> Result<Vec<u64>> {
    let given = given("SEEDS", "1 2 3");
    let seeds: std::result::Result<Vec<u64>, _> = given.split_whitespace().map(str::parse).collect();
    seeds.map_err(|error| {
        Error::new(format!("`SEEDS` is `{given}`"))
            .because(error.to_string())
            .hint("give whole numbers, as SEEDS='1 2 3'")
    })
}

/// The images of class directories: class and path relative to `source`, in the order of their paths.
///
/// # Errors
/// A directory cannot be listed.
pub fn images(source: &Path) -> Result<Vec<(String, String)>> {
    let mut images = Vec::new();
    for class in entries(source)? {
        let name = class.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if class.is_dir() {
            for file in entries(&class)? {
                let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                images.push((name.clone(), format!("{name}/{file}")));
            }
        }
    }
    Ok(images)
}

/// What is in a directory, by name.
fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot list `{}`", directory.display());
    let entries = std::fs::read_dir(directory).context(cannot)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().context(cannot)?;
    paths.sort();
    Ok(paths)
}

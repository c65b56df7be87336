//! The real programs on a pipeline of their own.

use super::{BATCH, SIDE};
use preprocess::pipeline::Pipeline;
use preprocess::stage::error::Context;
use preprocess::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Augmentation as the notebook has it, one copy of each training image.
const AUGMENT: &str = "copies: 1, rotation: 40, shift: [0.2, 0.2], shear: 0.2, zoom: 0.1, brightness: [0.8, 1.2], \
                       horizontal_flip: true, fill: nearest";

/// A pipeline file and its output directory, gone when dropped.
pub struct Programs {
    directory: TempDir,
}

/// What a finished program took.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// From start to end.
    pub time: Duration,
    /// The most memory that was resident at once, in bytes; 0 where the system does not tell.
    pub peak_bytes: u64,
}

impl Programs {
    /// Both models, one epoch each, on the images of `source`, [`BATCH`] of [`SIDE`] a step.
    ///
    /// # Errors
    /// No temporary directory can be had.
    pub fn new(source: &Path) -> Result<Self> {
        Self::of_size(source, SIDE, BATCH)
    }

    /// As [`new`](Self::new), with images of `side` by `side` pixels and `batch` of them a step.
    ///
    /// # Errors
    /// No temporary directory can be had.
    pub fn of_size(source: &Path, side: usize, batch: usize) -> Result<Self> {
        let directory = tempfile::tempdir().context(|| "cannot create a temporary directory".to_owned())?;
        let text = format!(
            "name: bench\noutput: {output:?}\npreprocess:\n  source: {source:?}\n  \
             image: {{ width: {side}, height: {side} }}\n  augment: {{ {AUGMENT} }}\ntrain:\n  batch_size: {batch}\n  \
             models:\n    baseline: {{ architecture: baseline-cnn, epochs: 1 }}\n    \
             resnet: {{ architecture: resnet, augmented: true, epochs: 1 }}\n",
            output = directory.path().join("run"),
        );
        let file = directory.path().join("pipeline.yaml");
        std::fs::write(&file, text).context(|| format!("cannot write `{}`", file.display()))?;
        Ok(Self { directory })
    }

    /// The pipeline file's.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("pipeline.yaml")
    }

    /// The class directories.
    ///
    /// # Errors
    /// As [`Pipeline::load`].
    pub fn source(&self) -> Result<String> {
        Ok(self.pipeline()?.preprocess.source.to_string_lossy().into_owned())
    }

    /// The pipeline.
    ///
    /// # Errors
    /// As [`Pipeline::load`].
    pub fn pipeline(&self) -> Result<Pipeline> {
        Pipeline::load(&self.file(), &[])
    }

    /// Removes all output.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn clear(&self) -> Result<()> {
        let output = self.directory.path().join("run");
        if !output.exists() {
            return Ok(());
        }
        std::fs::remove_dir_all(&output).context(|| format!("cannot remove `{}`", output.display()))
    }

    /// Runs one of the three programs, `arguments` behind the pipeline file's, to a good end.
    ///
    /// # Errors
    /// It is not built, or it failed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<Usage> {
        self.run_watched(program, arguments, || ())
    }

    /// As [`run`](Self::run), with a look at something every millisecond meanwhile.
    ///
    /// # Errors
    /// It is not built, or it failed.
    pub fn run_watched(&self, program: &str, arguments: &[&str], look: impl FnMut()) -> Result<Usage> {
        let binary = Path::new(env!("CARGO_BIN_EXE_report")).with_file_name(program);
        let threads = rayon::current_num_threads().to_string();
        let mut command = Command::new(&binary);
        command.arg("--pipeline").arg(self.file()).args(arguments);
        if program != "report" {
            command.args(["--threads", &threads]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        run(command, program, look).map_err(|error| error.hint("`make bench` builds the programs first"))
    }
}

/// Runs a command to its end, with a look at something every millisecond meanwhile.
///
/// # Errors
/// It does not start, or its exit code is not 0.
pub fn run(mut command: Command, name: &str, look: impl FnMut()) -> Result<Usage> {
    let started = Instant::now();
    let child = command.spawn().context(|| format!("cannot start `{name}`"))?;
    let (succeeded, peak_bytes) = wait(child, look).context(|| format!("cannot wait for `{name}`"))?;
    if !succeeded {
        return Err(Error::new(format!("`{name}` failed")).because(format!("{command:?} ended with an error")));
    }
    Ok(Usage { time: started.elapsed(), peak_bytes })
}

/// How often a running program's memory is looked at.
const LOOK: Duration = Duration::from_millis(1);

/// Whether it succeeded, and its peak of resident memory in bytes (0 where the system does not tell). Not from
/// `getrusage`: that counts what this process held when it started the other one.
fn wait(mut child: std::process::Child, mut look: impl FnMut()) -> std::io::Result<(bool, u64)> {
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak_bytes = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status.success(), peak_bytes));
        }
        // The system keeps the peak; it is gone with the process.
        peak_bytes = peak_bytes.max(peak_of(&status_file).unwrap_or(0));
        look();
        std::thread::sleep(LOOK);
    }
}

fn peak_of(status_file: &str) -> Option<u64> {
    let text = std::fs::read_to_string(status_file).ok()?;
    let kilobytes = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(kilobytes.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

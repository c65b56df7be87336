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
    /// Both models, one epoch each, on the images of `source`.
    ///
    /// # Errors
    /// No temporary directory can be had.
    pub fn new(source: &Path) -> Result<Self> {
        let directory = tempfile::tempdir().context(|| "cannot create a temporary directory".to_owned())?;
        let text = format!(
            "name: bench\noutput: {output:?}\npreprocess:\n  source: {source:?}\n  \
             image: {{ width: {SIDE}, height: {SIDE} }}\n  augment: {{ {AUGMENT} }}\ntrain:\n  batch_size: {BATCH}\n  \
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
        let binary = Path::new(env!("CARGO_BIN_EXE_report")).with_file_name(program);
        let threads = rayon::current_num_threads().to_string();
        let mut command = Command::new(&binary);
        command.arg("--pipeline").arg(self.file()).args(arguments);
        if program != "report" {
            command.args(["--threads", &threads]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        run(command, program).map_err(|error| error.hint("`make bench` builds the programs first"))
    }
}

/// Runs a command to its end.
///
/// # Errors
/// It does not start, or its exit code is not 0.
pub fn run(mut command: Command, name: &str) -> Result<Usage> {
    let started = Instant::now();
    let child = command.spawn().context(|| format!("cannot start `{name}`"))?;
    let (succeeded, peak_bytes) = wait(child).context(|| format!("cannot wait for `{name}`"))?;
    if !succeeded {
        return Err(Error::new(format!("`{name}` failed")).because(format!("{command:?} ended with an error")));
    }
    Ok(Usage { time: started.elapsed(), peak_bytes })
}

/// Whether it succeeded, and its peak of resident memory.
#[cfg(target_os = "linux")]
fn wait(child: std::process::Child) -> std::io::Result<(bool, u64)> {
    let (mut status, id) = (0, child.id() as libc::pid_t);
    // SAFETY: a record of usage is plain numbers; both pointers are valid for the call; nobody else waits for this child.
    let (waited, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(id, &mut status, 0, &mut usage), usage)
    };
    match waited {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok((status == 0, usage.ru_maxrss as u64 * 1024)),
    }
}

#[cfg(not(target_os = "linux"))]
fn wait(mut child: std::process::Child) -> std::io::Result<(bool, u64)> {
    Ok((child.wait()?.success(), 0))
}

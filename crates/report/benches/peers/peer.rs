//! A peer: a Python program that measures when it is asked to.

use preprocess::stage::error::Context;
use preprocess::{Error, Result};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use train::device::cpu::simd::{Level, level};

/// Before each turn: the threads of whoever had the last one spin for a while before they sleep.
const PAUSE: Duration = Duration::from_millis(300);

/// A running peer.
pub struct Peer {
    name: String,
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What comes of starting one.
pub enum Started {
    Ready(Peer),
    /// The name of what is not installed.
    Missing(String),
}

/// `PEERS_PYTHON script arguments`, limited to the threads and the instruction set that ours use.
pub fn command(script: &str, arguments: &[&str]) -> Command {
    let python = std::env::var_os("PEERS_PYTHON").filter(|python| !python.is_empty());
    let mut command = Command::new(python.unwrap_or_else(|| "python3".into()));
    command.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(script)).args(arguments);
    let threads = rayon::current_num_threads().to_string();
    command.env("PEER_THREADS", &threads).env("OMP_NUM_THREADS", &threads).env("PYTHONDONTWRITEBYTECODE", "1");
    if level() == Level::Avx2 {
        // PyTorch's own kernels, oneDNN (PyTorch's and TensorFlow's convolutions), MKL.
        command.env("ATEN_CPU_CAPABILITY", "avx2").env("ONEDNN_MAX_CPU_ISA", "AVX2");
        command.env("MKL_ENABLE_INSTRUCTIONS", "AVX2");
    }
    command
}

impl Peer {
    /// Starts a peer and waits until it is ready.
    ///
    /// # Errors
    /// There is no such Python, or the peer fails for another reason than a missing library.
    pub fn start(name: &str, script: &str, arguments: &[&str]) -> Result<Started> {
        let mut command = command(script, arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context(|| format!("cannot start {:?}", command.get_program()))?;
        let broken = || Error::new(format!("{name} has no pipes"));
        let requests = child.stdin.take().ok_or_else(broken)?;
        let answers = BufReader::new(child.stdout.take().ok_or_else(broken)?);
        let mut peer = Self { name: name.to_owned(), child, requests, answers };
        let first = peer.answer()?;
        match first.split_once(' ') {
            Some(("ready", version)) => {
                eprintln!("{name}: {version}");
                Ok(Started::Ready(peer))
            }
            Some(("missing", library)) => Ok(Started::Missing(library.to_owned())),
            Some(("unusable", why)) => Err(Error::new(format!("{name} cannot be measured")).because(why)),
            _ => Err(Error::new(format!("{name} answers `{first}`"))),
        }
    }

    /// The peer's name in the table.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Has the peer measure something: images a second.
    ///
    /// # Errors
    /// It broke off.
    pub fn measure(&mut self, request: &str) -> Result<f64> {
        std::thread::sleep(PAUSE);
        writeln!(self.requests, "{request}")
            .and_then(|()| self.requests.flush())
            .context(|| format!("{} is gone", self.name))?;
        let answer = self.answer()?;
        answer.parse().context(|| format!("{} answers `{answer}` to `{request}`", self.name))
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line).context(|| format!("{} cannot be read", self.name))?;
        if line.is_empty() {
            return Err(Error::new(format!("{} broke off", self.name))
                .hint("run its script in crates/report/benches/peers by hand to see why"));
        }
        Ok(line.trim().to_owned())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It measures nothing that would be lost.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets the machine settle before ours has its turn.
pub fn pause() {
    std::thread::sleep(PAUSE);
}

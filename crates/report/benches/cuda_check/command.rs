//! Commands whose output goes to a log each.

use crate::Setup;
use preprocess::stage::error::Context;
use preprocess::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Lines of a failed command's output to show.
const SHOWN: usize = 20;

/// A fresh directory for logs, in the target directory.
pub fn logs() -> Result<PathBuf> {
    let logs = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cuda-check");
    let _ = std::fs::remove_dir_all(&logs);
    std::fs::create_dir_all(&logs).context(|| format!("cannot create `{}`", logs.display()))?;
    Ok(logs)
}

/// What a command wrote.
pub struct Written {
    pub succeeded: bool,
    /// Standard output.
    pub stdout: String,
    /// Both.
    pub all: String,
}

/// Runs a command to its end, in the repository's root unless it says otherwise; what it writes goes to `<log>.log`.
///
/// # Errors
/// It does not start; the log cannot be written.
pub fn run(setup: &Setup, log: &str, command: &mut Command) -> Result<Written> {
    if command.get_current_dir().is_none() {
        command.current_dir(&setup.root);
    }
    let name = || command_name(command.get_program());
    let program = name();
    let output = command.stdin(Stdio::null()).output().context(|| format!("cannot start `{program}`"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let all = format!("{command:?}\n\n{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    let file = setup.logs.join(log).with_extension("log");
    std::fs::write(&file, &all).context(|| format!("cannot write `{}`", file.display()))?;
    if !output.status.success() {
        let lines: Vec<&str> = all.lines().collect();
        eprintln!("{}", lines[lines.len().saturating_sub(SHOWN)..].join("\n"));
    }
    Ok(Written { succeeded: output.status.success(), stdout, all })
}

/// As [`run`]; what the command wrote to standard output.
///
/// # Errors
/// It fails.
pub fn run_well(setup: &Setup, log: &str, command: &mut Command) -> Result<String> {
    let written = run(setup, log, command)?;
    if !written.succeeded {
        return Err(Error::new(format!("`{}` failed, see {log}.log", command_name(command.get_program()))));
    }
    Ok(written.stdout)
}

/// One of the three programs.
pub fn program(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_BIN_EXE_report")).with_file_name(name))
}

fn command_name(program: &std::ffi::OsStr) -> String {
    Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned()
}

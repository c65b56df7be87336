//! The tests of training on CUDA, on this GPU; and the parity tests once more under compute-sanitizer.

use crate::findings::Findings;
use crate::{Setup, command};
use preprocess::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The exit code that compute-sanitizer is to end with when it has found something.
const FOUND_SOMETHING: &str = "77";

/// Where compute-sanitizer may be: in `PATH`, in the installed toolkit, or where `toolkit.sh sanitizer` put it.
const SANITIZERS: [&str; 2] = ["bin/compute-sanitizer", "sanitizer/bin/compute-sanitizer"];

/// Every op beside its reference; then the programs.
pub fn parity(setup: &Setup, findings: &mut Findings) -> Result<()> {
    let mut parity = test_command(&test_executable(setup)?, setup);
    judge(findings, "parity tests, every op beside its reference", &command::run(setup, "parity", &mut parity)?);

    let mut modules = cargo();
    modules.args(["--features", "cuda", "-p", "train", "--lib", "cuda"]);
    judge(findings, "unit tests of what is CUDA's own", &command::run(setup, "modules", &mut modules)?);

    let mut programs = cargo();
    programs.args(["--features", "cuda", "-p", "report", "--test", "pipeline", "cuda"]);
    judge(
        findings,
        "the programs: devices agree, are exchanged, repeat to the bit",
        &command::run(setup, "programs", &mut programs)?,
    );
    Ok(())
}

fn judge(findings: &mut Findings, what: &str, written: &command::Written) {
    // `test result: ok. 37 passed; 0 failed; …`
    let result = written.stdout.lines().filter_map(|line| line.strip_prefix("test result: ")).next_back();
    let counts = result.and_then(|line| line.split_once(". ")).map_or("did not end", |(_, counts)| counts);
    let counts: Vec<&str> = counts.split("; ").take(2).collect();
    let ran_some = !counts.first().is_some_and(|passed| passed.starts_with("0 "));
    findings.judge(written.succeeded && ran_some, what, counts.join(", "), "0 failed");
}

/// Reads and writes out of bounds; races on shared memory.
pub fn sanitizer(setup: &Setup, findings: &mut Findings) -> Result<()> {
    let name = |tool: &str| format!("compute-sanitizer {tool} over the parity tests");
    let not_run = |findings: &mut Findings, why: &str| {
        ["memcheck", "racecheck"].into_iter().for_each(|tool| findings.not_run(name(tool), why));
    };
    if setup.gpu.is_emulated() {
        not_run(findings, "it watches real GPUs; the emulator checks bounds itself");
        return Ok(());
    }
    let Some(sanitizer) = find_sanitizer() else {
        not_run(
            findings,
            "no compute-sanitizer in PATH or the toolkit; it comes with CUDA toolkits, or from PyPI with pip at hand",
        );
        return Ok(());
    };
    let tests = test_executable(setup)?;
    for tool in ["memcheck", "racecheck"] {
        let mut run = Command::new(&sanitizer);
        run.args(["--tool", tool, "--error-exitcode", FOUND_SOMETHING]);
        let tests = test_command(&tests, setup);
        run.arg(tests.get_program()).args(tests.get_args()).current_dir(setup.root.join("crates/train"));
        let written = command::run(setup, tool, &mut run)?;
        // `========= ERROR SUMMARY: 0 errors`, `========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0
        // warnings)`
        let summary = written.all.lines().filter_map(|line| line.split_once("SUMMARY: ")).next_back();
        let summary = summary.map_or("it did not end", |(_, summary)| summary);
        findings.judge(written.succeeded && summary.starts_with("0 "), name(tool), summary, "0 errors");
    }
    Ok(())
}

fn find_sanitizer() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|directory| directory.join("compute-sanitizer"));
    let toolkit = std::env::var_os("CUDA_ROOT").map(PathBuf::from).unwrap_or_default();
    in_path.chain(SANITIZERS.map(|file| toolkit.join(file))).find(|file| file.is_file())
}

/// The parity tests as a program, so that compute-sanitizer can be given it.
fn test_executable(setup: &Setup) -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["--features", "cuda", "-p", "train", "--test", "cuda", "--no-run", "--message-format", "json"]);
    let messages = command::run_well(setup, "build-parity", &mut build)?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let executables = messages.filter(|message| message["target"]["name"] == "cuda");
    let executable = executables.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    executable.ok_or_else(|| Error::new("cargo names no program of the parity tests"))
}

/// One test after another: they share the GPU.
fn test_command(executable: &Path, setup: &Setup) -> Command {
    let mut command = Command::new(executable);
    command.arg("--test-threads=1").current_dir(setup.root.join("crates/train"));
    command
}

fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["test", "--release", "--locked"]);
    command
}

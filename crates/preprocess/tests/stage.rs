//! What stage programs share, seen from outside: exit codes, pipes, signals and locks of real processes.
//!
//! Each test starts this very test program again, to do in a process of its own what [`child`] finds in the
//! environment.
#![allow(clippy::expect_used)] // helpers of tests
#![cfg(unix)]

use preprocess::stage::lock::OutputLock;
use preprocess::stage::{interrupt, program};
use preprocess::{Error, say};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const PART: &str = "STAGE_TEST_PART";
const DIRECTORY: &str = "STAGE_TEST_DIRECTORY";

/// No test by itself: the other process of the tests below.
#[test]
fn child() {
    let Ok(part) = std::env::var(PART) else { return };
    let code = program::run("stage", || {
        match part.as_str() {
            "done" => say!("done"),
            "gate" => return Err(Error::gate("accuracy fell by 3.0 points")),
            "error" => return Err(Error::new("cannot read `a.yaml`").because("it is gone").hint("look for it")),
            "lines" => (0..100_000).for_each(|line| say!("line {line}")),
            "lock" => {
                let _lock = OutputLock::acquire(Path::new(&std::env::var(DIRECTORY).expect("given")), "train")?;
                say!("locked");
                std::thread::sleep(Duration::from_secs(60));
            }
            "interrupt" => {
                say!("ready");
                let started = Instant::now();
                while !interrupt::requested() {
                    assert!(started.elapsed() < Duration::from_secs(10), "no signal within 10 s");
                    std::thread::sleep(Duration::from_millis(2));
                }
                say!("asked to stop");
                std::thread::sleep(Duration::from_secs(60));
            }
            other => panic!("no part {other}"),
        }
        Ok(())
    });
    // Past the test program's own report, which is not what is tested.
    std::process::exit((0..3).find(|&number| code == ExitCode::from(number)).map_or(99, i32::from));
}

fn start(part: &str, directory: &Path, stdout: Stdio) -> Child {
    start_in("exec \"$0\" \"$@\"", part, directory, stdout)
}

/// Starts the child from a line of shell.
fn start_in(shell: &str, part: &str, directory: &Path, stdout: Stdio) -> Child {
    Command::new("sh")
        .args(["-c", shell])
        .arg(std::env::current_exe().expect("this program"))
        .args(["child", "--exact", "--nocapture", "--quiet"])
        .env(PART, part)
        .env(DIRECTORY, directory)
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .expect("started")
}

/// Reads the child's stdout up to a line.
fn wait_for(line: &str, child: &mut Child) {
    let mut stdout = BufReader::new(child.stdout.as_mut().expect("piped"));
    let mut read = String::new();
    while stdout.read_line(&mut read).expect("readable") > 0 {
        if read.trim_end() == line {
            return;
        }
        read.clear();
    }
    panic!("the child ended without `{line}`");
}

fn end(mut child: Child) -> (Option<i32>, String) {
    let mut stderr = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("UTF-8");
    (child.wait().expect("ended").code(), stderr)
}

#[test]
fn outcomes_become_exit_codes() {
    for (part, code, stderr) in [
        ("done", 0, ""),
        ("gate", 1, "error: accuracy fell by 3.0 points\n"),
        ("error", 2, "error: cannot read `a.yaml`\n  caused by: it is gone\n  hint: look for it\n"),
    ] {
        let child = start(part, Path::new(""), Stdio::null());
        assert_eq!(end(child), (Some(code), stderr.to_owned()), "{part}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = start("lines", Path::new(""), Stdio::piped());
    wait_for("line 3", &mut child);
    drop(child.stdout.take());
    assert_eq!(end(child), (Some(0), String::new()));
}

#[test]
fn a_lock_ends_with_its_process_however_that_ends() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let mut child = start("lock", directory.path(), Stdio::piped());
    wait_for("locked", &mut child);
    let refusal = OutputLock::acquire(directory.path(), "report").expect_err("held").to_string();
    let holder = format!("is in use by `train` (process {})", child.id());
    assert!(refusal.contains(&holder), "{refusal}");
    child.kill().expect("killed");
    child.wait().expect("ended");
    OutputLock::acquire(directory.path(), "report").expect("free again");
}

fn signal(name: &str, child: &Child) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill runs").success());
}

#[test]
fn the_second_signal_ends_the_process_at_once() {
    let mut child = start("interrupt", Path::new(""), Stdio::piped());
    wait_for("ready", &mut child);
    signal("-INT", &child);
    wait_for("asked to stop", &mut child);
    signal("-TERM", &child);
    let (code, stderr) = end(child);
    assert_eq!(code, Some(2));
    assert_eq!(stderr, "stage: interrupted; stopping at the next safe point (once more to stop at once)\n");
}

#[test]
fn a_closed_terminal_stops_the_stage_unless_nohup_says_otherwise() {
    let mut child = start("interrupt", Path::new(""), Stdio::piped());
    wait_for("ready", &mut child);
    signal("-HUP", &child);
    wait_for("asked to stop", &mut child);
    child.kill().expect("killed");
    child.wait().expect("ended");

    let mut child = start_in("trap '' HUP; exec \"$0\" \"$@\"", "interrupt", Path::new(""), Stdio::piped());
    wait_for("ready", &mut child);
    // Were the hang-up not ignored, the other would be the second request to stop, which ends the process at once.
    signal("-HUP", &child);
    std::thread::sleep(Duration::from_millis(50));
    signal("-TERM", &child);
    wait_for("asked to stop", &mut child);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(child.try_wait().expect("running"), None);
    child.kill().expect("killed");
    child.wait().expect("ended");
}

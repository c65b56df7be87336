//! Drives `train weights import` on files that PyTorch saved (`fixtures/pth.py`).
#![allow(clippy::unwrap_used, missing_docs)]

use safetensors::SafeTensors;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pth").join(name)
}

/// A directory with a copy of a fixture.
fn directory(name: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::copy(fixture(&format!("{name}.pth")), directory.path().join(format!("{name}.pth"))).unwrap();
    directory
}

/// `train weights import ARGUMENTS` in a directory: the exit code, stdout, stderr.
fn import(directory: &TempDir, arguments: &[&str]) -> (Option<i32>, String, String) {
    run(Command::new(env!("CARGO_BIN_EXE_train")).args(["weights", "import"]).args(arguments), directory)
}

fn run(command: &mut Command, directory: &TempDir) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).current_dir(directory.path()).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn names(directory: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_checkpoint_becomes_a_safetensors_file_beside_it() {
    let directory = directory("averaged");
    let (code, stdout, stderr) = import(&directory, &["averaged.pth"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    let written = fs::read(directory.path().join("averaged.safetensors")).unwrap();
    let expected = [
        "averaged.pth: 7 arrays of `state_dict_ema`, 44 values",
        "left out: 1 other state dict: `state_dict`",
        "left out: 1 array of integers: `module._orig_mod.1.num_batches_tracked`",
        "removed from the beginning of all names: `module._orig_mod.`",
        "named in the file, passed over and not executed: `argparse.Namespace`",
        &format!("written: averaged.safetensors, 0.0 MB, BLAKE3 {}", blake3::hash(&written).to_hex()),
    ];
    assert_eq!(stdout.lines().collect::<Vec<_>>(), expected);

    let twin = fs::read(fixture("expected/averaged.safetensors")).unwrap();
    let (written, twin) = (SafeTensors::deserialize(&written).unwrap(), SafeTensors::deserialize(&twin).unwrap());
    let (_, header) =
        SafeTensors::read_metadata(&fs::read(directory.path().join("averaged.safetensors")).unwrap()).unwrap();
    assert_eq!(header.metadata().as_ref().and_then(|metadata| metadata.get("format")).map(String::as_str), Some("pt"));
    assert_eq!(written.len(), twin.len());
    for (name, view) in twin.iter() {
        let found = written.tensor(name).unwrap();
        assert_eq!((found.shape(), found.data()), (view.shape(), view.data()), "{name}");
    }
}

#[test]
fn what_is_there_is_not_replaced() {
    let directory = directory("plain");
    fs::write(directory.path().join("plain.safetensors"), "another").unwrap();
    let (code, _, stderr) = import(&directory, &["plain.pth"]);
    assert_eq!(code, Some(2));
    let expected = "error: `plain.safetensors` is there already\n  \
                    hint: name another file with `--output FILE`, or move that one away\n";
    assert_eq!(stderr, expected);
    assert_eq!(fs::read(directory.path().join("plain.safetensors")).unwrap(), b"another");
    let (code, _, stderr) = import(&directory, &["plain.pth", "--output", "missing/other.safetensors"]);
    assert!(code == Some(2) && stderr.contains("cannot write `missing/other.safetensors`"), "{stderr}");
    let (code, stdout, _) = import(&directory, &["plain.pth", "--output", "other.safetensors"]);
    assert!(code == Some(0) && stdout.contains("written: other.safetensors"), "{stdout}");
    assert_eq!(names(&directory), ["other.safetensors", "plain.pth", "plain.safetensors"]);
}

/// The fixtures would make a file of the name `executed` where they are loaded.
#[test]
fn nothing_in_a_file_is_executed() {
    for (name, code) in [
        ("malicious", Some(0)),
        ("malicious-entry", Some(0)),
        ("malicious-root", Some(2)),
        ("malicious-pickle", Some(2)),
    ] {
        let directory = directory(name);
        let (found, stdout, stderr) = import(&directory, &[&format!("{name}.pth")]);
        assert_eq!(found, code, "{name}: {stdout}{stderr}");
        let mut expected = vec![format!("{name}.pth")];
        expected.extend((code == Some(0)).then(|| format!("{name}.safetensors")));
        assert_eq!(names(&directory), expected, "{name}");
        assert!(code == Some(2) || stdout.contains("passed over and not executed: `posix.system`"), "{name}: {stdout}");
    }
}

/// Files of some hundred bytes that speak of exabytes, where a process has 400 MB of addresses: an allocation of what
/// a number says would end it without a message.
#[test]
#[cfg(target_os = "linux")]
fn no_number_in_a_file_makes_memory_run_out() {
    for name in ["huge-expanded", "huge-shape", "huge-storage", "huge-text", "huge-memo", "beyond"] {
        let directory = directory(name);
        let script = format!("ulimit -v 400000 && exec \"$0\" weights import {name}.pth");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_train")]);
        let (code, stdout, stderr) = run(&mut command, &directory);
        assert_eq!(code, Some(2), "{name}: {stdout}{stderr}");
        let beginning = format!("error: cannot import weights from `{name}.pth`\n  caused by: ");
        assert!(stderr.starts_with(&beginning) && stderr.contains("hint: "), "{name}: {stderr}");
        assert_eq!(names(&directory), [format!("{name}.pth")]);
    }
}

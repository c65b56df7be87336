//! Signals, in a process of their own: the handler is the whole process'.
#![cfg(unix)]

use preprocess::stage::interrupt;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn a_signal_becomes_an_error_at_the_next_check() {
    interrupt::install("stage").expect("installed");
    interrupt::install("stage").expect("a second time does no harm");
    interrupt::check().expect("nobody has asked to stop");

    let pid = std::process::id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
    let deadline = Instant::now() + Duration::from_secs(10);
    while !interrupt::requested() {
        assert!(Instant::now() < deadline, "the signal did not arrive within 10 s");
        std::thread::sleep(Duration::from_millis(5));
    }
    let error = interrupt::check().expect_err("interrupted");
    assert_eq!(error.to_string(), "error: interrupted\n  hint: run the same command again to resume");
    assert_eq!(error.exit_code(), std::process::ExitCode::from(2));
}

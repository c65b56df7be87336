//! The way from a result to an exit code.

use super::{interrupt, output};
use crate::{Error, Result};
use std::process::ExitCode;

/// Runs a stage's work with Ctrl-C handled; prints its error to stderr and turns the outcome into an exit code: 0
/// done, 1 a gate failed, 2 could not run. `name` is the program's, for the notice that Ctrl-C prints.
pub fn run(name: &'static str, work: impl FnOnce() -> Result<()>) -> ExitCode {
    let outcome = interrupt::install(name).and_then(|()| work()).and(output::finish());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            show(&error);
            error.exit_code()
        }
    }
}

/// Prints the error to stderr; a closed stderr is no reason to panic.
fn show(error: &Error) {
    output::note(format_args!("{error}"));
}

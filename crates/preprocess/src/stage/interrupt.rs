//! Ctrl-C and SIGTERM: the stage finishes what must not be cut, then stops with an error. A second one stops it at once.

use super::output::note;
use crate::{Error, Result};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();

/// Takes over Ctrl-C, SIGTERM and SIGHUP for the rest of the process. Called again, it does nothing.
///
/// # Errors
/// The system refuses the handler.
pub fn install(name: &'static str) -> Result<()> {
    let handler = move || {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(2);
        }
        note(format_args!("{name}: interrupted; stopping at the next safe point (once more to stop at once)"));
    };
    INSTALLED
        .get_or_init(|| ctrlc::set_handler(handler).map_err(|error| error.to_string()))
        .clone()
        .map_err(|cause| Error::new("cannot handle Ctrl-C").because(cause))
}

/// Whether the process was asked to stop. For loops that end in order rather than with an error.
pub fn requested() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// To be called between units of work: each image, batch or file.
///
/// # Errors
/// The process was asked to stop.
pub fn check() -> Result<()> {
    if requested() {
        return Err(Error::new("interrupted").hint("run the same command again to resume"));
    }
    Ok(())
}

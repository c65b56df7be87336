//! Ctrl-C and SIGTERM: the stage finishes what must not be cut, then stops with an error. A second one stops it at
//! once.

use super::output::note;
use crate::{Error, ErrorKind, Result};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();

/// Takes over Ctrl-C, SIGTERM and SIGHUP for the rest of the process. Called again, it does nothing. A hang-up that
/// the caller has had ignored, as `nohup` does, stays ignored.
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
        .get_or_init(|| keeping_hangups_ignored(|| ctrlc::set_handler(handler)).map_err(|error| error.to_string()))
        .clone()
        .map_err(|cause| Error::new("cannot handle Ctrl-C").because(cause))
}

/// Runs `install`, which takes SIGHUP over, and gives it back if it was ignored before.
#[cfg(unix)]
fn keeping_hangups_ignored<T>(install: impl FnOnce() -> T) -> T {
    // SAFETY: `signal` with these constants has no preconditions; no handler of ours runs before `install`.
    let before = unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    let installed = install();
    if before == libc::SIG_IGN {
        // SAFETY: as above; the handler that is replaced stays valid for a signal under way.
        unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    }
    installed
}

#[cfg(not(unix))]
fn keeping_hangups_ignored<T>(install: impl FnOnce() -> T) -> T {
    install()
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
        return Err(Error::new("interrupted")
            .of_kind(ErrorKind::Interrupted)
            .hint("run the same command again to resume"));
    }
    Ok(())
}

//! Printing that survives `report | head`: where the reader of stdout has gone, further lines are dropped without a word and
//! the stage goes on with its work. Any other failure to print is kept until [`finish`].

use crate::Result;
use crate::stage::error::Context;
use std::fmt;
use std::io::{self, Write};
use std::sync::Mutex;

/// Whether stdout still takes lines, and why not.
static FAILURE: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints a line to stdout, as `println!` does, but never panics. See [`say!`](crate::say).
pub fn say(line: fmt::Arguments<'_>) {
    let mut failure = FAILURE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if failure.is_some() {
        return;
    }
    let mut stdout = io::stdout().lock();
    // Flushed line by line: progress goes to stderr, and the two should keep their order in a log.
    if let Err(error) = writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        *failure = Some(error);
    }
}

/// Prints a line to stderr, as `eprintln!` does, but never panics. For what a person should know while the work goes on.
pub fn note(line: fmt::Arguments<'_>) {
    // A stderr that cannot be written to leaves nowhere to say so.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Whether everything that was said has reached stdout, or its reader did not want it.
///
/// # Errors
/// Stdout could not be written to (a full disk, say) for another reason than a closed pipe.
pub fn finish() -> Result<()> {
    match FAILURE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context(|| "cannot write to the standard output".to_owned())
        }
        _ => Ok(()),
    }
}

/// Prints a line to stdout; see [`output::say`](crate::stage::output::say).
#[macro_export]
macro_rules! say {
    () => { $crate::stage::output::say(format_args!("")) };
    ($($argument:tt)+) => { $crate::stage::output::say(format_args!($($argument)+)) };
}

/// Prints a line to stderr; see [`output::note`](crate::stage::output::note).
#[macro_export]
macro_rules! note {
    ($($argument:tt)+) => { $crate::stage::output::note(format_args!($($argument)+)) };
}

//! Printing that survives `report | head`: where the reader of stdout has gone, further lines are dropped without a
//! word and the stage goes on with its work. Any other failure to print is kept until [`finish`]. Control characters
//! of names that a caller has not escaped do not get through.

use crate::Result;
use crate::stage::error::Context;
use crate::stage::names::shown_lines;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

static STDOUT: Mutex<Lines> = Mutex::new(Lines { failure: None });

/// Lines on their way to a person, up to the first that could not be written.
struct Lines {
    failure: Option<io::Error>,
}

impl Lines {
    fn write(&mut self, to: &mut impl Write, line: fmt::Arguments<'_>) {
        if self.failure.is_none() {
            // Flushed line by line: progress goes to stderr, and the two should keep their order in a log.
            self.failure = writeln!(to, "{}", shown_lines(&line.to_string())).and_then(|()| to.flush()).err();
        }
    }

    fn finish(&mut self) -> Result<()> {
        match self.failure.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(error).context(|| "cannot write to the standard output".to_owned())
            }
            _ => Ok(()),
        }
    }
}

fn stdout_lines() -> MutexGuard<'static, Lines> {
    STDOUT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints a line to stdout, as `println!` does, but never panics. See [`say!`](crate::say).
pub fn say(line: fmt::Arguments<'_>) {
    stdout_lines().write(&mut io::stdout().lock(), line);
}

/// Prints a line to stderr, as `eprintln!` does, but never panics. For what a person should know while the work goes
/// on.
pub fn note(line: fmt::Arguments<'_>) {
    // A stderr that cannot be written to leaves nowhere to say so.
    let _ = writeln!(io::stderr().lock(), "{}", shown_lines(&line.to_string()));
}

/// Whether everything that was said has reached stdout, or its reader did not want it.
///
/// # Errors
/// Stdout could not be written to (a full disk, say) for another reason than a closed pipe.
pub(crate) fn finish() -> Result<()> {
    stdout_lines().finish()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails from the second line on.
    struct Broken {
        with: io::ErrorKind,
        taken: usize,
    }

    impl Write for Broken {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.taken > 0 && !bytes.is_empty() {
                return Err(self.with.into());
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            self.taken += 1;
            Ok(())
        }
    }

    #[test]
    fn only_a_reader_may_refuse_what_is_said() {
        for (with, outcome) in [
            (io::ErrorKind::BrokenPipe, Ok(())),
            (
                io::ErrorKind::StorageFull,
                Err("error: cannot write to the standard output\n  caused by: no storage space".to_owned()),
            ),
        ] {
            let (mut lines, mut to) = (Lines { failure: None }, Broken { with, taken: 0 });
            for number in 0..3 {
                lines.write(&mut to, format_args!("line {number}"));
            }
            assert_eq!(to.taken, 1, "{with}");
            assert_eq!(lines.finish().map_err(|error| error.to_string()), outcome, "{with}");
        }
    }
}

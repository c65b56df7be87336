//! What every stage program shares: errors and exit code, output, progress, interruption, the lock on its output
//! directory, files that appear whole or not at all, files that vouch for their content, names that are safe to print,
//! and randomness that does not depend on threads.

pub mod atomic_file;
pub mod contained;
pub mod error;
pub mod files;
pub mod fingerprint;
pub mod interrupt;
pub mod lock;
pub mod names;
pub mod output;
pub mod owned;
pub mod program;
pub mod progress;
pub mod random;
pub mod sealed;

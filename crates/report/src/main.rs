//! Turns predictions into tables, figures and a gate.

use std::process::ExitCode;

fn main() -> ExitCode {
    report::cli::main()
}

//! Fits models on Parquet shards.

use std::process::ExitCode;

fn main() -> ExitCode {
    train::cli::main()
}

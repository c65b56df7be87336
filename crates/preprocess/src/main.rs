//! Turns class directories into Parquet shards.

use std::process::ExitCode;

fn main() -> ExitCode {
    preprocess::cli::main()
}

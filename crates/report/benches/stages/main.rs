//! `make bench`: what every stage and every op does on this machine, in one table, beside what the machine could do.
//!
//! About a minute. `IMAGES=DIR` takes the photographs from class directories of yours, `ONLY='preprocess train report'` some of the
//! sections, `TRAIN_SIMD=avx2` a lower instruction set, `RAYON_NUM_THREADS=1` another number of threads.

#[path = "../shared/mod.rs"]
mod shared;

mod preprocess_stage;
mod report_stage;
mod rows;
mod train_stage;

use rows::Rows;
use shared::peak::Peak;
use shared::photos::Photos;
use shared::programs::Programs;
use shared::sections::Sections;
use shared::{BATCH, SIDE, machine};
use std::process::ExitCode;

/// Photographs: enough for some steps of training an epoch.
const PHOTOS: usize = 384;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> preprocess::Result<()> {
    let sections = Sections::from_environment(&["preprocess", "train", "report"])?;
    let peak = Peak::measure();
    let photos = Photos::gather(PHOTOS)?;
    let programs = Programs::new(photos.directory())?;
    println!("{}; {}; {BATCH} images of {SIDE}x{SIDE} a step.", machine::describe(), photos.origin);
    println!();
    println!(
        "Peaks, all threads: {:.0} GFLOP/s of multiply-adds in registers; {:.1} GB/s of copying, read and written.",
        peak.flops / 1e9,
        peak.bytes / 1e9
    );
    println!();
    let mut rows = Rows::new(peak);
    let whole = programs.run("preprocess", &[])?;
    if sections.want("preprocess") {
        preprocess_stage::measure(&photos, &programs, whole, &mut rows)?;
    }
    if sections.want("train") {
        train_stage::measure(&programs, &mut rows)?;
    }
    if sections.want("report") {
        report_stage::measure(&programs, &mut rows)?;
    }
    rows.print();
    Ok(())
}

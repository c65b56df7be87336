//! `make bench`: what every stage and every op does on this machine, in one table, beside what the machine could do.
//!
//! About a minute. `IMAGES=DIR` takes the photographs from class directories of yours, `ONLY='preprocess train
//! report'` some of the sections, `TRAIN_SIMD=avx2` a lower instruction set, `RAYON_NUM_THREADS=1` another number of
//! threads. Built with CUDA, the networks are measured on the GPU.

#[path = "../shared/mod.rs"]
mod shared;

#[cfg(feature = "cuda")]
mod gpu_stage;
mod preprocess_stage;
mod report_stage;
mod rows;
// On a GPU, its ops only.
#[cfg_attr(feature = "cuda", allow(dead_code))]
mod train_stage;

use rows::Rows;
use shared::machine;
use shared::peak::Peak;
use shared::photos::Photos;
use shared::programs::Programs;
use shared::sections::Sections;
use std::process::ExitCode;

/// Photographs: enough for some steps of training an epoch.
#[cfg(not(feature = "cuda"))]
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
    #[cfg(feature = "cuda")]
    let gpu = shared::gpu::Gpu::open()?;
    let peak = Peak::measure();
    #[cfg(feature = "cuda")]
    let (photos, side, batch) = (gpu.sizes.photos, gpu.sizes.side, gpu.sizes.batches[0]);
    #[cfg(not(feature = "cuda"))]
    let (photos, side, batch) = (PHOTOS, shared::SIDE, shared::BATCH);
    let photos = Photos::gather(photos)?;
    let programs = Programs::of_size(photos.directory(), side, batch)?;
    println!("{}; {}; {batch} images of {side}x{side} a step.", machine::describe(), photos.origin);
    println!();
    println!(
        "Peaks, all threads: {:.0} GFLOP/s of multiply-adds in registers; {:.1} GB/s of copying, read and written.",
        peak.flops / 1e9,
        peak.bytes / 1e9
    );
    println!();
    #[cfg(feature = "cuda")]
    println!("{}\n", gpu.describe());
    let mut rows = Rows::new(peak);
    let whole = programs.run("preprocess", &[])?;
    if sections.want("preprocess") {
        preprocess_stage::measure(&photos, &programs, whole, &mut rows)?;
    }
    if sections.want("train") {
        #[cfg(feature = "cuda")]
        gpu_stage::measure(&gpu, &programs, &mut rows)?;
        #[cfg(not(feature = "cuda"))]
        train_stage::measure(&programs, &mut rows)?;
    }
    if sections.want("report") {
        report_stage::measure(&programs, &mut rows)?;
    }
    rows.print();
    Ok(())
}

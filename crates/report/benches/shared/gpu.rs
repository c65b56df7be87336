//! The GPU that a benchmark built with CUDA runs on.

use super::peak::Peak;
use super::{BATCH, SIDE};
use dfdx::tensor::Cuda;
use preprocess::pipeline::Precision;
use preprocess::{Error, Result};
use std::time::Duration;
use train::device::cuda;
use train::device::cuda::peak::{self, DevicePeak};

/// What convolutions are measured with, the default first.
pub const PRECISIONS: [Precision; 2] = [Precision::Tf32, Precision::Fp32];

/// The name that the emulated driver of tests gives its device.
const EMULATED: &str = "Emulated GPU";

/// A GPU that works, with its ceilings.
pub struct Gpu {
    pub device: Cuda,
    /// `cuda:0, NVIDIA H100 80GB HBM3, 79.2 GiB, driver for CUDA 13.0`.
    pub description: String,
    pub peak: DevicePeak,
    pub sizes: Sizes,
}

/// What networks are measured on. An emulated GPU gets by with less: its figures mean nothing, it is there to test the
/// benchmarks.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Width and height of the images.
    pub side: usize,
    /// Images a step.
    pub batches: [usize; 2],
    /// Training images at least.
    pub photos: usize,
    /// For each measurement.
    pub budget: Duration,
}

const FULL: Sizes = Sizes { side: SIDE, batches: [BATCH, 256], photos: 512, budget: Duration::from_secs(2) };
const EMULATOR: Sizes = Sizes { side: 24, batches: [2, 4], photos: 24, budget: Duration::ZERO };

impl Gpu {
    /// The first GPU that the driver finds, and its ceilings: about a second.
    ///
    /// # Errors
    /// There is none that works.
    pub fn open() -> Result<Self> {
        let (device, description) = cuda::open(0).map_err(|why| {
            Error::new("there is no GPU to measure")
                .because(why)
                .hint("`nvidia-smi` lists the GPUs that the driver finds; without CUDA=1 the benchmarks measure the processor")
        })?;
        let peak = peak::measure(&device)?;
        let sizes = if description.contains(EMULATED) { EMULATOR } else { FULL };
        Ok(Self { device, description, peak, sizes })
    }

    /// Whether it is the tests' emulator.
    pub fn is_emulated(&self) -> bool {
        self.description.contains(EMULATED)
    }

    /// What the GPU is and could do, in two lines.
    pub fn describe(&self) -> String {
        let DevicePeak { fp32, tf32, bytes, launch, round_trip } = self.peak;
        let microseconds = |time: Duration| time.as_secs_f64() * 1e6;
        let remark = if self.is_emulated() { ": the tests' emulator, its figures mean nothing" } else { "" };
        format!(
            "GPU: {}{remark}; networks in tf32 and fp32, images of {side}x{side}.\n\n\
             Peaks of the GPU: {:.1} TFLOP/s of multiply-adds in registers (fp32), {:.1} of TF32 products on tensor cores; {:.0} GB/s of \
             copying, read and written. Asking for a kernel takes {:.1} µs, one that does nothing has ended after {:.1} µs.",
            self.description,
            fp32 / 1e12,
            tf32 / 1e12,
            bytes / 1e9,
            microseconds(launch),
            microseconds(round_trip),
            side = self.sizes.side,
        )
    }

    /// The ceilings for networks that compute with this precision, which is that of all models from now on.
    pub fn select(&self, precision: Precision) -> Peak {
        cuda::set_precision(precision);
        let flops = match precision {
            Precision::Tf32 => self.peak.tf32,
            Precision::Fp32 => self.peak.fp32,
        };
        Peak { flops, bytes: self.peak.bytes }
    }

    /// Bytes of its memory that are in use, by whatever program.
    ///
    /// # Errors
    /// The device failed.
    pub fn used_memory(&self) -> Result<u64> {
        let (free, all) = peak::memory(&self.device)?;
        Ok(all - free)
    }
}

/// `tf32` or `fp32`.
pub fn name(precision: Precision) -> &'static str {
    match precision {
        Precision::Tf32 => "tf32",
        Precision::Fp32 => "fp32",
    }
}

//! No op of a network: what a GPU could do, measured, for benchmarks to hold the ops against.

use crate::device::cuda::CudaPool;
use crate::tensor::failure::device_error;
use crate::tensor::memory::Memory;
use cudarc::driver::sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
use cudarc::driver::{DeviceSlice, result};
use dfdx::tensor::{Cuda, CudaError, Synchronize};
use std::time::{Duration, Instant};

/// Threads of a block: eight warps.
const BLOCK: usize = 256;
/// Blocks of a multiprocessor: as many as it holds at once at most.
const BLOCKS: usize = 8;
/// `CHAINS` multiply-adds a thread, as in the kernel.
const FP32_FLOPS: usize = 16 * 2 * BLOCK;
/// `TILES` products of 16x8 by 8x16 a warp, as in the kernel.
const TF32_FLOPS: usize = 8 * (16 * 16 * 8 * 2) * (BLOCK / 32);
/// Floats that are copied: far more than the second-level cache holds.
const COPIED: usize = 1 << 26;
/// A measurement lasts at least so long, so that the launch and the wait for it do not count.
const LONG: Duration = Duration::from_millis(20);
/// Measurements, of which the best counts: a ceiling is what was reached once.
const PASSES: usize = 5;
/// Launches of a measurement of what they cost.
const LAUNCHES: u32 = 200;

/// Ceilings of one GPU.
#[derive(Debug, Clone, Copy)]
pub struct DevicePeak {
    /// Floating-point operations a second of multiply-adds in registers, single precision.
    pub fp32: f64,
    /// Floating-point operations a second of TF32 products on tensor cores, operands in registers.
    pub tf32: f64,
    /// Bytes a second of a copy within the device's memory, those read and those written added.
    pub bytes: f64,
    /// What the processor takes to ask for a kernel.
    pub launch: Duration,
    /// From asking for a kernel that has nothing to do until it is known to have ended.
    pub round_trip: Duration,
}

/// Measures them, while nothing else runs: about a second.
///
/// # Errors
/// The device failed.
pub fn measure(device: &Cuda) -> preprocess::Result<DevicePeak> {
    let measure = || {
        let bench = Bench::new(device)?;
        let (launch, round_trip) = bench.launches()?;
        let fp32 = bench.arithmetic("peak_fp32", FP32_FLOPS)?;
        let tf32 = bench.arithmetic("peak_tf32", TF32_FLOPS)?;
        Ok::<_, CudaError>(DevicePeak { fp32, tf32, bytes: copy(device)?, launch, round_trip })
    };
    measure().map_err(device_error("the measurement of its ceilings"))
}

/// Bytes of the device's memory that are free, and all of them: of all programs that use it.
///
/// # Errors
/// The device failed.
pub fn memory(device: &Cuda) -> preprocess::Result<(u64, u64)> {
    let ask = || {
        device.pool()?.context().bind()?;
        Ok::<_, CudaError>(result::mem_get_info()?)
    };
    ask().map(|(free, all)| (free as u64, all as u64)).map_err(device_error("a look at its memory"))
}

struct Bench<'a> {
    device: &'a Cuda,
    pool: CudaPool,
    blocks: usize,
}

impl<'a> Bench<'a> {
    fn new(device: &'a Cuda) -> Result<Self, CudaError> {
        let pool = device.pool()?;
        let processors = pool.context().device().attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
        Ok(Self { device, pool, blocks: BLOCKS * usize::try_from(processors).unwrap_or(1).max(1) })
    }

    /// Operations a second of a kernel in which a block computes `block_flops` a step.
    fn arithmetic(&self, kernel: &'static str, block_flops: usize) -> Result<f64, CudaError> {
        let mut steps = 1u32;
        while self.run(kernel, steps)? < LONG && steps < 1 << 24 {
            steps *= 2;
        }
        let times = (0..PASSES).map(|_| self.run(kernel, steps));
        let fastest = times.collect::<Result<Vec<_>, _>>()?.into_iter().min().unwrap_or_default();
        Ok((self.blocks * block_flops) as f64 * f64::from(steps) / fastest.as_secs_f64())
    }

    fn run(&self, kernel: &'static str, steps: u32) -> Result<Duration, CudaError> {
        let out = self.pool.take(self.blocks * BLOCK)?;
        let parameters = (out.pointer(), 0.999f32, 0.001f32, steps);
        self.device.try_synchronize()?;
        let started = Instant::now();
        // SAFETY: the parameters are the kernel's; it writes a float a thread.
        unsafe { self.pool.context().launch(kernel, [self.blocks, 1, 1], BLOCK, parameters) }?;
        self.device.try_synchronize()?;
        Ok(started.elapsed())
    }

    /// What asking for a kernel takes, and what it takes until it has ended; the latter is the fastest of all.
    fn launches(&self) -> Result<(Duration, Duration), CudaError> {
        let out = self.pool.take(BLOCK)?;
        let launch = || {
            let parameters = (out.pointer(), 0.999f32, 0.001f32, 0u32);
            // SAFETY: as above, with one block.
            unsafe { self.pool.context().launch("peak_fp32", [1, 1, 1], BLOCK, parameters) }
        };
        launch()?;
        self.device.try_synchronize()?;
        let mut round_trip = Duration::MAX;
        for _ in 0..LAUNCHES {
            let started = Instant::now();
            launch()?;
            self.device.try_synchronize()?;
            round_trip = round_trip.min(started.elapsed());
        }
        let started = Instant::now();
        (0..LAUNCHES).try_for_each(|_| launch())?;
        let asked = started.elapsed() / LAUNCHES;
        self.device.try_synchronize()?;
        Ok((asked, round_trip))
    }
}

fn copy(device: &Cuda) -> Result<f64, CudaError> {
    let pool = device.pool()?;
    let fetch = || -> Result<_, CudaError> { Ok(pool.context().device().alloc_zeros::<f32>(COPIED)?) };
    let (from, mut to) = (fetch()?, fetch()?);
    let mut fastest = Duration::MAX;
    for _ in 0..=PASSES {
        device.try_synchronize()?;
        let started = Instant::now();
        pool.context().device().dtod_copy(&from, &mut to)?;
        device.try_synchronize()?;
        fastest = fastest.min(started.elapsed());
    }
    Ok((2 * from.len() * size_of::<f32>()) as f64 / fastest.as_secs_f64())
}

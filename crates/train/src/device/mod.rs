//! The device that a program computes on: chosen by the pipeline file or the command line, opened once, and named on
//! stderr.

pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod images;

use crate::device::cpu::simd::{self, Level};
use dfdx::tensor::Cpu;
use preprocess::pipeline::{DeviceChoice, Precision};
use preprocess::{Error, Result, note};

/// A device that is ready.
#[derive(Debug)]
pub enum Device {
    /// The processor, with rayon's threads.
    Cpu(Cpu),
    /// An NVIDIA GPU.
    #[cfg(feature = "cuda")]
    Cuda(dfdx::tensor::Cuda),
}

/// Runs an expression with the device, of whichever type it is.
#[macro_export]
macro_rules! on_device {
    ($device:expr, |$inner:ident| $body:expr) => {
        match $device {
            $crate::device::Device::Cpu($inner) => $body,
            #[cfg(feature = "cuda")]
            $crate::device::Device::Cuda($inner) => $body,
        }
    };
}

/// Opens the device and says on stderr what the work will run on.
///
/// # Errors
/// A GPU was asked for, and there is none that works, or the program was built without CUDA.
pub fn open(choice: DeviceChoice, precision: Precision) -> Result<Device> {
    match choice {
        DeviceChoice::Cpu => Ok(cpu()),
        DeviceChoice::Auto => gpu(0, precision).or_else(|why| {
            if cfg!(feature = "cuda") {
                note!("device: {why}, so the work runs on the processor");
            }
            Ok(cpu())
        }),
        DeviceChoice::Cuda(number) => gpu(number, precision).map_err(|why| {
            let hint = if cfg!(feature = "cuda") {
                "`nvidia-smi` lists the GPUs that the driver finds; `auto` or `cpu` computes on the processor"
            } else {
                "build with `make build CUDA=1`, or choose `auto` or `cpu`"
            };
            Error::new(format!("cannot compute on `{choice}`")).because(why).hint(hint)
        }),
    }
}

fn cpu() -> Device {
    let threads = rayon::current_num_threads();
    let instructions = match simd::level() {
        Level::Reference => "reference ops",
        Level::Portable => "portable instructions",
        Level::Avx2 => "AVX2",
        Level::Avx512 => "AVX-512",
    };
    note!("device: cpu, {threads} {}, {instructions}", if threads == 1 { "thread" } else { "threads" });
    Device::Cpu(Cpu::default())
}

#[cfg(feature = "cuda")]
fn gpu(number: usize, precision: Precision) -> std::result::Result<Device, String> {
    use crate::device::cuda;
    cuda::set_precision(precision);
    let (device, description) = cuda::open(number)?;
    let computes = match precision {
        Precision::Fp32 => "fp32",
        Precision::Tf32 => "tf32",
    };
    note!("device: {description}, {computes}");
    Ok(Device::Cuda(device))
}

#[cfg(not(feature = "cuda"))]
fn gpu(_: usize, _: Precision) -> std::result::Result<Device, String> {
    Err("this program was built without CUDA".into())
}

//! Finding a GPU and making sure that it works, before anything is computed on it.

use super::{CudaPool, pointer};
use crate::tensor::failure::DeviceFailure;
use cudarc::driver::result;
use cudarc::driver::sys::{CUdevice_attribute, CUresult, cuDeviceGetName, cuDriverGetVersion};
use dfdx::tensor::{Cache, Cuda, CudaError};
use preprocess::pipeline::Precision;
use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};

/// The first of NVIDIA's generations with TF32, Ampere: what the kernels are compiled for.
const OLDEST: (i32, i32) = (8, 0);

/// Set once, when the program opens its device.
static FULL_PRECISION: AtomicBool = AtomicBool::new(false);

/// Sets what convolutions on GPUs compute with, for the whole program.
pub fn set_precision(precision: Precision) {
    FULL_PRECISION.store(precision == Precision::Fp32, Ordering::Relaxed);
}

pub(super) fn precision() -> Precision {
    if FULL_PRECISION.load(Ordering::Relaxed) { Precision::Fp32 } else { Precision::Tf32 }
}

/// Opens a GPU, counted from 0, and describes it: its name, its memory, the driver.
///
/// # Errors
/// In words: there is no driver, no such GPU, or it does not work.
pub fn open(number: usize) -> Result<(Cuda, String), String> {
    // dfdx and cudarc panic where these fail.
    result::init().map_err(|error| explain_driver(&error))?;
    let count = result::device::get_count().map_err(|error| explain_driver(&error))?;
    let found = |count| if count == 1 { "there is 1".to_owned() } else { format!("there are {count}") };
    if usize::try_from(count).is_ok_and(|count| number >= count) {
        return Err(format!("GPU {number} was asked for, counted from 0, and {}", found(count)));
    }
    let failed = |error: result::DriverError| name(&error);
    let handle = result::device::get(number as i32).map_err(failed)?;
    let gpu = gpu_name(handle)?;
    let capability = |attribute| {
        // SAFETY: the handle is the driver's own.
        unsafe { result::device::get_attribute(handle, attribute) }.map_err(failed)
    };
    let found = (
        capability(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
        capability(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
    );
    if found < OLDEST {
        let ((major, minor), (oldest, _)) = (found, OLDEST);
        return Err(format!(
            "the {gpu} has compute capability {major}.{minor}, and {oldest}.0 (Ampere) is the oldest supported"
        ));
    }
    let device =
        Cuda::try_build(number, 0).map_err(|error| format!("the {gpu} cannot be opened: {}", error.in_words()))?;
    verify(&device).map_err(|why| format!("the {gpu} does not work: {why}"))?;
    // SAFETY: as above.
    let memory = unsafe { result::device::total_mem(handle) }.map_err(failed)?;
    let gib = memory as f64 / (1u64 << 30) as f64;
    Ok((device, format!("cuda:{number}, {gpu}, {gib:.1} GiB, driver for CUDA {}", driver_version()?)))
}

/// Loads the kernels and checks that tensors lie where they are looked for.
fn verify(device: &Cuda) -> Result<(), String> {
    let said = |error: CudaError| error.in_words();
    device.try_enable_cache().map_err(said)?;
    if !pointer::check(device).map_err(said)? {
        return Err(
            "tensors do not lie where they are looked for; was the program built with another version of dfdx?".into(),
        );
    }
    CudaPool::new(device).map_err(|error| {
        format!(
            "its driver does not take the kernels: {}; update the driver, or build with an older CUDA toolkit",
            error.in_words()
        )
    })?;
    Ok(())
}

fn gpu_name(handle: c_int) -> Result<String, String> {
    let mut text: [c_char; 256] = [0; 256];
    // SAFETY: the driver writes at most as many characters as it is told, the last a zero.
    let name = unsafe {
        cuDeviceGetName(text.as_mut_ptr(), text.len() as c_int, handle).result().map_err(|error| name(&error))?;
        CStr::from_ptr(text.as_ptr())
    };
    Ok(name.to_string_lossy().into_owned())
}

fn driver_version() -> Result<String, String> {
    let mut version = 0;
    // SAFETY: the driver writes one number.
    unsafe { cuDriverGetVersion(&mut version).result().map_err(|error| name(&error))? };
    Ok(format!("{}.{}", version / 1000, version % 1000 / 10))
}

/// What the driver calls an error. Its text, which `Debug` asks for, may be missing where there is no driver.
fn name(error: &result::DriverError) -> String {
    format!("{:?}", error.0)
}

fn explain_driver(error: &result::DriverError) -> String {
    format!("no NVIDIA GPU, or no driver for it, was found ({})", name(error))
}

impl DeviceFailure for CudaError {
    fn in_words(&self) -> String {
        match self {
            Self::Driver(error) => name(error),
            other => format!("{other:?}"),
        }
    }

    fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Driver(error) if error.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY)
    }
}

//! A device with our kernels on it.

use cudarc::driver::{CudaDevice, CudaFunction, DriverError, LaunchAsync, LaunchConfig};
use dfdx::tensor::{Cuda, CudaError, Storage};
use preprocess::pipeline::Precision;
use std::collections::HashMap;
use std::sync::Arc;

// `MODULES: &[Module]`, one an op.
include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

/// The kernels of one op, as the build script compiled them.
struct Module {
    /// The op's folder.
    op: &'static str,
    ptx: &'static str,
    kernels: &'static [&'static str],
}

/// Kernels by their name, and the device that they run on.
#[derive(Debug)]
pub(crate) struct Context {
    device: Arc<CudaDevice>,
    kernels: HashMap<&'static str, CudaFunction>,
    precision: Precision,
}

impl Context {
    /// Loads the kernels, unless the device has them already. The driver compiles them for its GPU the first time ever.
    pub(super) fn new(device: &Cuda, precision: Precision) -> Result<Self, CudaError> {
        // dfdx shows its device to nobody, but memory knows where it is.
        let device = Storage::<f32>::try_alloc_len(device, 1)?.device();
        let mut kernels = HashMap::new();
        for Module { op, ptx, kernels: names } in MODULES {
            if !names.iter().all(|name| device.has_func(op, name)) {
                device.load_ptx((*ptx).into(), op, names)?;
            }
            kernels.extend(names.iter().filter_map(|name| Some((*name, device.get_func(op, name)?))));
        }
        Ok(Self { device, kernels, precision })
    }

    pub(crate) fn device(&self) -> &Arc<CudaDevice> {
        &self.device
    }

    /// What convolutions compute with.
    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    /// Makes the device this thread's own: for calls of the driver's that do not name it.
    pub(crate) fn bind(&self) -> Result<(), DriverError> {
        self.device.bind_to_thread()
    }

    /// Puts a kernel on dfdx's stream.
    ///
    /// # Safety
    /// `parameters` are the kernel's, in number, order and type; its pointers are of live memory of this device, as
    /// long as the kernel takes them to be; no other thread uses what it writes.
    pub(crate) unsafe fn launch<P>(
        &self,
        kernel: &'static str,
        grid: [usize; 3],
        block: usize,
        parameters: P,
    ) -> Result<(), CudaError>
    where
        CudaFunction: LaunchAsync<P>,
    {
        let function = self.kernels.get(kernel).unwrap_or_else(|| panic!("there is no kernel `{kernel}`")).clone();
        let [x, y, z] = grid.map(|blocks| blocks as u32);
        assert!(
            grid[0] < 1 << 31 && grid[1] < 1 << 16 && grid[2] < 1 << 16 && grid.iter().all(|&blocks| blocks > 0),
            "`{kernel}` cannot run on a grid of {grid:?} blocks"
        );
        let config = LaunchConfig { grid_dim: (x, y, z), block_dim: (block as u32, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: the caller's promise.
        Ok(unsafe { function.launch(config, parameters) }?)
    }
}

/// Blocks of `block` threads with a thread for each of `count` elements, up to a limit that a kernel with a
/// grid-stride loop can do with.
pub(crate) fn blocks(count: usize, block: usize) -> [usize; 3] {
    const MOST: usize = 1 << 20;
    [count.div_ceil(block).clamp(1, MOST), 1, 1]
}

/// A size as kernels take it.
///
/// # Panics
/// It has more than 32 bits.
pub(crate) fn kernel_size(size: usize) -> u32 {
    u32::try_from(size).unwrap_or_else(|_| panic!("{size} is more than a kernel can count"))
}

//! Device memory for activations, reused from step to step.

use super::context::Context;
use cudarc::driver::sys::CUresult;
use cudarc::driver::{CudaSlice, DevicePtr, DeviceSlice};
use dfdx::tensor::{Cuda, CudaError};
use preprocess::pipeline::Precision;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

/// Buffers are this many floats long or a multiple: 1 KiB, so that lengths that hardly differ share.
const GRAIN: usize = 256;

/// A buffer may be longer than asked for by one in so many, as on the CPU.
const SPARE_SHARE: usize = 2;

/// Free buffers by their length in floats, and what was taken from the device.
#[derive(Debug, Default)]
struct Shelf {
    free: RefCell<BTreeMap<usize, Vec<CudaSlice<f32>>>>,
    /// Floats in all buffers, free or not.
    taken: Cell<usize>,
}

/// Free buffers of all lengths, and what is needed to work on them. Clones share them. A buffer that is dropped goes
/// back to its pool.
#[derive(Debug, Clone)]
pub struct CudaPool {
    shelf: Rc<Shelf>,
    context: Rc<Context>,
}

impl CudaPool {
    /// An empty pool; what kernels compute with is the precision that was set for the whole program.
    pub(super) fn new(device: &Cuda) -> Result<Self, CudaError> {
        Self::with_precision(device, super::open::precision())
    }

    /// An empty pool whose convolutions compute with this precision.
    ///
    /// # Errors
    /// The device failed.
    pub fn with_precision(device: &Cuda, precision: Precision) -> Result<Self, CudaError> {
        Ok(Self { shelf: Rc::default(), context: Rc::new(Context::new(device, precision)?) })
    }

    /// A buffer of `len` floats (at least one). Its content is unspecified.
    pub(crate) fn take(&self, len: usize) -> Result<CudaBuffer, CudaError> {
        let count = len.max(1).div_ceil(GRAIN) * GRAIN;
        let largest = count + count / SPARE_SHARE;
        let recycled = self.shelf.free.borrow_mut().range_mut(count..=largest).find_map(|(_, list)| list.pop());
        let memory = recycled.map_or_else(|| self.fetch(count), Ok)?;
        let (home, context) = (Rc::downgrade(&self.shelf), Rc::clone(&self.context));
        Ok(CudaBuffer { memory: Some(memory), len, home, context })
    }

    /// Memory of the device's. Where it has none left, what is free here is given back first.
    fn fetch(&self, count: usize) -> Result<CudaSlice<f32>, CudaError> {
        let device = self.context.device();
        // SAFETY: who takes a buffer writes it before reading it.
        let fetch = || unsafe { device.alloc::<f32>(count) };
        let memory = fetch().or_else(|error| match error.0 {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                self.shelf.taken.set(self.shelf.taken.get() - self.free_bytes() / size_of::<f32>());
                self.shelf.free.borrow_mut().clear();
                // What was given back is whole again only once the device has come that far.
                device.synchronize()?;
                fetch()
            }
            _ => Err(error),
        })?;
        self.shelf.taken.set(self.shelf.taken.get() + count);
        Ok(memory)
    }

    /// Bytes in all buffers, free or not.
    pub(crate) fn taken_bytes(&self) -> u64 {
        (self.shelf.taken.get() * size_of::<f32>()) as u64
    }

    /// Kernels, and the device that they run on.
    pub(crate) fn context(&self) -> &Rc<Context> {
        &self.context
    }

    /// Bytes in the buffers that are free at the moment.
    pub(crate) fn free_bytes(&self) -> usize {
        self.shelf.free.borrow().iter().map(|(len, list)| len * list.len() * size_of::<f32>()).sum()
    }
}

/// Floats in device memory.
#[derive(Debug)]
pub struct CudaBuffer {
    /// None only while it is dropped.
    memory: Option<CudaSlice<f32>>,
    len: usize,
    home: Weak<Shelf>,
    context: Rc<Context>,
}

impl CudaBuffer {
    /// Floats.
    #[allow(clippy::len_without_is_empty)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The address of the first float; as long as the buffer lives.
    pub(crate) fn pointer(&self) -> u64 {
        self.memory.as_ref().map_or(0, |memory| *memory.device_ptr())
    }

    /// Kernels, and the device that they run on.
    pub(crate) fn context(&self) -> &Rc<Context> {
        &self.context
    }

    /// Overwrites all floats.
    ///
    /// # Panics
    /// If there are not as many values.
    pub(crate) fn copy_from_host(&mut self, values: &[f32]) -> Result<(), CudaError> {
        assert_eq!(values.len(), self.len, "a buffer of another length");
        let Some(memory) = &mut self.memory else { return Ok(()) };
        let device = memory.device();
        Ok(device.htod_sync_copy_into(values, &mut memory.slice_mut(..self.len))?)
    }

    /// A copy of all floats, once the device has computed them.
    pub(crate) fn to_host(&self) -> Result<Vec<f32>, CudaError> {
        let Some(memory) = &self.memory else { return Ok(Vec::new()) };
        let mut values = vec![0.0; self.len];
        memory.device().dtoh_sync_copy_into(&memory.slice(..self.len), &mut values)?;
        Ok(values)
    }
}

impl Drop for CudaBuffer {
    fn drop(&mut self) {
        if let (Some(shelf), Some(memory)) = (self.home.upgrade(), self.memory.take()) {
            shelf.free.borrow_mut().entry(memory.len()).or_default().push(memory);
        }
    }
}

//! Images on their way to a GPU, and in its memory.
//!
//! Readers decode into pinned memory of the host. From there the GPU copies by itself, on a stream of its own, while
//! dfdx's stream computes; events order the two where one must not be ahead of the other. Batches that lack images
//! alternate between two lanes:
//!
//! ```text
//! copies    ─ wait until lane 0 is read ─ batch 2 ─ lane 0 is sent ─ wait until lane 1 is read ─ batch 3 ─ lane 1 is sent ─
//! compute   ─ wait until lane 1 is sent ─ gather batch 1 ─ lane 1 is read ─ step 1 ─ wait until lane 0 is sent ─ gather batch 2 ─
//! ```
//! The host waits for an event only before readers may fill the pinned memory of a lane's batch again. That batch has
//! long arrived: it is the last but one. A batch of which the GPU has every image costs neither a copy nor an event.

use super::{CudaBuffer, CudaPool, Indices, stream};
use crate::data::store::{Arrangement, ImageMemory, LANES, Store};
use crate::device::images;
use crate::tensor::failure::device_error;
use crate::tensor::memory::Memory;
use crate::tensor::standardization::Standardization;
use cudarc::driver::result::{self, DriverError, event};
use cudarc::driver::sys::{self, CUevent, CUevent_flags, CUevent_wait_flags, CUresult, CUstream};
use cudarc::driver::{CudaDevice, result::stream as streams};
use dfdx::tensor::{Cuda, CudaError};
use preprocess::{Error, Result};
use std::cell::{Cell, RefCell};
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

/// The images of a split take at most one in so many of the bytes that are free: training needs memory for more than
/// images.
const SHARE: usize = 2;

/// Images of one split in a GPU's memory.
#[derive(Debug)]
pub struct CudaStore {
    shared: Rc<Shared>,
    pinned: Arc<PinnedPool>,
    /// Of the epoch's images, in their order.
    places: Option<Rc<Indices>>,
    /// Gives kernels only.
    pool: CudaPool,
    slots: usize,
}

/// What a store and its batches use.
#[derive(Debug)]
struct Shared {
    // Fields are dropped in this order.
    lanes: [Lane; LANES],
    copies: Stream,
    memory: DeviceMemory,
    image_bytes: usize,
    /// Batches sent so far. A batch is good until as many as there are lanes were sent after it.
    sent: Cell<usize>,
    device: Arc<CudaDevice>,
}

/// One of the places for a batch that is sent or read.
#[derive(Debug)]
struct Lane {
    /// The batch's images have arrived.
    sent: Event,
    /// They are floats now: their place may be taken by others.
    read: Event,
    /// Where they come from.
    staging: RefCell<Option<Staging>>,
}

impl ImageMemory for Cuda {
    type Store = CudaStore;

    fn store(&self, keep: usize, batch_size: usize, image_bytes: usize) -> Result<CudaStore, CudaError> {
        let pool = self.pool()?;
        let device = pool.context().device();
        // Memory given back counts as used until the device has come that far.
        device.synchronize()?;
        let passing = LANES * batch_size;
        let (free, _) = result::mem_get_info()?;
        let fitting = (free / SHARE / image_bytes).saturating_sub(passing);
        let slots = keep.min(fitting).min((u32::MAX as usize).saturating_sub(passing));
        let (memory, slots) = match DeviceMemory::new(device, (slots + passing) * image_bytes) {
            Ok(memory) => (memory, slots),
            // What is free may be in pieces. Images that only pass need little.
            Err(DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
                (DeviceMemory::new(device, passing * image_bytes)?, 0)
            }
            Err(error) => return Err(error.into()),
        };
        let pinned = PinnedPool { device: Arc::clone(device), bytes: batch_size * image_bytes, free: Mutex::default() };
        let shared = Shared {
            lanes: [Lane::new(device)?, Lane::new(device)?],
            copies: Stream::new(device)?,
            memory,
            image_bytes,
            sent: Cell::new(0),
            device: Arc::clone(device),
        };
        Ok(CudaStore { shared: Rc::new(shared), pinned: Arc::new(pinned), places: None, pool, slots })
    }

    fn receive_images(
        &self,
        pool: &CudaPool,
        shape: [usize; 4],
        pixels: &CudaPixels,
        standardization: Standardization,
    ) -> Result<CudaBuffer, CudaError> {
        pixels.gather(pool, shape, standardization)
    }
}

impl Store for CudaStore {
    type Staging = Staging;
    type Pixels = CudaPixels;
    const AHEAD: usize = 1;

    /// All cores: they have little else to do.
    fn readers(&self) -> usize {
        rayon::current_num_threads()
    }

    fn slots(&self) -> usize {
        self.slots
    }

    fn staging(&self) -> Arc<dyn Fn(usize) -> Result<Staging> + Send + Sync> {
        let pinned = Arc::clone(&self.pinned);
        Arc::new(move |bytes| Staging::new(&pinned, bytes).map_err(cannot_pin))
    }

    fn begin(&mut self, places: &[usize]) -> Result<()> {
        let limit = self.shared.memory.bytes / self.shared.image_bytes;
        // An epoch that was left early may have sent what it did not read; its successor writes to the same slots.
        self.shared.wait_for_all().map_err(CudaError::from).map_err(device_error("wait for images"))?;
        self.shared.sent.set(self.shared.sent.get() + LANES);
        let indices = (!places.is_empty()).then(|| Indices::new(&self.pool, places, limit)).transpose();
        self.places = indices.map_err(device_error("send the order of images"))?.map(Rc::new);
        Ok(())
    }

    fn send(&mut self, batch: &Arrangement, staging: Option<Staging>) -> Result<CudaPixels> {
        let places = self.places.clone().ok_or_else(|| Error::new("a batch was sent outside of an epoch"))?;
        let lane = staging.is_some().then_some(batch.lane);
        if let Some(staging) = staging {
            self.shared.copy(batch, staging).map_err(CudaError::from).map_err(device_error("send images"))?;
        }
        self.shared.sent.set(self.shared.sent.get() + 1);
        let number = self.shared.sent.get();
        Ok(CudaPixels { shared: Rc::clone(&self.shared), places, images: batch.images.clone(), lane, number })
    }
}

fn cannot_pin(error: DriverError) -> Error {
    Error::new("the system gives no pinned memory for batches of images")
        .because(format!("{:?}", error.0))
        .hint("set a smaller `train.batch_size`, or fewer reading threads with RAYON_NUM_THREADS")
}

impl Shared {
    /// Puts the copies of what a batch lacks on the stream.
    fn copy(&self, batch: &Arrangement, staging: Staging) -> Result<(), DriverError> {
        self.device.bind_to_thread()?;
        let lane = &self.lanes[batch.lane];
        lane.sent.wait()?;
        // The memory of the lane's last batch goes back to the readers; this one's stays until it has arrived.
        let mut held = lane.staging.borrow_mut();
        let staging = held.insert(staging);
        self.copies.wait_for(&lane.read)?;
        let (staying, passing) = staging.split_at(batch.staying.len() * self.image_bytes);
        for (slots, bytes) in [(&batch.staying, staying), (&batch.passing, passing)] {
            assert_eq!(bytes.len(), slots.len() * self.image_bytes, "bytes of another number of images");
            let start = slots.start * self.image_bytes;
            if !bytes.is_empty() {
                // SAFETY: the bytes are pinned and the lane's until `sent` has happened; the lane's last images were
                // read, and nobody was told of the slots before.
                unsafe {
                    result::memcpy_htod_async(self.memory.at(start..start + bytes.len()), bytes, self.copies.raw)
                }?;
            }
        }
        lane.sent.record(self.copies.raw)
    }

    /// Returns when all copies are done, and all that was asked of the device before.
    fn wait_for_all(&self) -> Result<(), DriverError> {
        self.device.bind_to_thread()?;
        // SAFETY: the stream lives.
        unsafe { streams::synchronize(self.copies.raw) }?;
        self.device.synchronize()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Where the device has failed, there is nothing left to wait for.
        let _ = self.wait_for_all();
    }
}

/// The images of a batch, on the device or on their way.
#[derive(Debug)]
pub struct CudaPixels {
    shared: Rc<Shared>,
    places: Rc<Indices>,
    /// Of the epoch's images.
    images: Range<usize>,
    /// None if nothing had to be sent.
    lane: Option<usize>,
    number: usize,
}

impl CudaPixels {
    /// `[n, 3, h, w]` floats.
    fn gather(
        &self,
        pool: &CudaPool,
        [n, c, h, w]: [usize; 4],
        standardization: Standardization,
    ) -> Result<CudaBuffer, CudaError> {
        let Shared { lanes, memory, image_bytes, sent, device, .. } = &*self.shared;
        assert!(sent.get() - self.number < LANES, "a batch was kept until others took its place");
        assert_eq!((n, c * h * w), (self.images.len(), *image_bytes), "images of another number or size");
        device.bind_to_thread()?;
        let lane = self.lane.map(|lane| &lanes[lane]);
        lane.map_or(Ok(()), |lane| lane.sent.hold(stream()))?;
        // SAFETY: all places are within the memory, and what lies there has arrived: with this batch, or with one
        // before it.
        let floats = unsafe {
            images::gather(pool, memory.pointer, self.places.pointer(&self.images), n, [h, w], standardization)
        }?;
        lane.map_or(Ok(()), |lane| lane.read.record(stream()))?;
        Ok(floats)
    }
}

/// Bytes on the device that do not come from a stream's pool: all streams may use them at once.
#[derive(Debug)]
struct DeviceMemory {
    pointer: u64,
    bytes: usize,
    device: Arc<CudaDevice>,
}

impl DeviceMemory {
    fn new(device: &Arc<CudaDevice>, bytes: usize) -> Result<Self, DriverError> {
        device.bind_to_thread()?;
        // SAFETY: freed once, when this is dropped.
        let pointer = unsafe { result::malloc_sync(bytes) }?;
        Ok(Self { pointer, bytes, device: Arc::clone(device) })
    }

    /// The address of a range of it.
    fn at(&self, range: Range<usize>) -> u64 {
        assert!(range.start <= range.end && range.end <= self.bytes, "{range:?} of {} bytes", self.bytes);
        self.pointer + range.start as u64
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        if self.device.bind_to_thread().is_ok() {
            // SAFETY: `Shared` has waited for all that uses it. A device that failed has nothing to free.
            let _ = unsafe { result::free_sync(self.pointer) };
        }
    }
}

/// A stream that does not wait for dfdx's.
#[derive(Debug)]
struct Stream {
    raw: CUstream,
    device: Arc<CudaDevice>,
}

impl Stream {
    fn new(device: &Arc<CudaDevice>) -> Result<Self, DriverError> {
        Ok(Self { raw: streams::create(streams::StreamKind::NonBlocking)?, device: Arc::clone(device) })
    }

    /// What is put on the stream from now on begins after the event.
    fn wait_for(&self, event: &Event) -> Result<(), DriverError> {
        event.hold(self.raw)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.device.bind_to_thread().is_ok() {
            // SAFETY: made by `create`, destroyed once.
            let _ = unsafe { streams::destroy(self.raw) };
        }
    }
}

/// A moment in a stream. Before it is recorded for the first time it counts as past.
#[derive(Debug)]
struct Event {
    raw: CUevent,
    device: Arc<CudaDevice>,
}

impl Event {
    fn new(device: &Arc<CudaDevice>) -> Result<Self, DriverError> {
        Ok(Self { raw: event::create(CUevent_flags::CU_EVENT_DISABLE_TIMING)?, device: Arc::clone(device) })
    }

    /// Now, in a stream of this device.
    fn record(&self, stream: CUstream) -> Result<(), DriverError> {
        // SAFETY: the event lives, and the module gives only streams that do.
        unsafe { event::record(self.raw, stream) }
    }

    /// What is put on the stream from now on begins after the event.
    fn hold(&self, stream: CUstream) -> Result<(), DriverError> {
        // SAFETY: as above.
        unsafe { streams::wait_event(stream, self.raw, CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT) }
    }

    /// Returns when the event has happened.
    fn wait(&self) -> Result<(), DriverError> {
        // SAFETY: the event lives.
        unsafe { sys::cuEventSynchronize(self.raw) }.result()
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if self.device.bind_to_thread().is_ok() {
            // SAFETY: made by `create`, destroyed once.
            let _ = unsafe { event::destroy(self.raw) };
        }
    }
}

impl Lane {
    fn new(device: &Arc<CudaDevice>) -> Result<Self, DriverError> {
        Ok(Self { sent: Event::new(device)?, read: Event::new(device)?, staging: RefCell::default() })
    }
}

/// Pinned memory that is free. Each piece has room for a batch.
#[derive(Debug)]
struct PinnedPool {
    device: Arc<CudaDevice>,
    bytes: usize,
    free: Mutex<Vec<Pinned>>,
}

/// Memory of the host that stays where it is, so that the device can read it by itself.
#[derive(Debug)]
struct Pinned {
    pointer: NonNull<u8>,
    device: Arc<CudaDevice>,
}

// SAFETY: the memory belongs to whoever has this, as a box's would.
unsafe impl Send for Pinned {}

impl Pinned {
    fn new(device: &Arc<CudaDevice>, bytes: usize) -> Result<Self, DriverError> {
        device.bind_to_thread()?;
        let mut pointer = std::ptr::null_mut();
        // SAFETY: the driver writes the address of so many bytes, which are zeroed before anybody reads them.
        let pointer = unsafe {
            sys::cuMemHostAlloc(&mut pointer, bytes, 0).result()?;
            pointer.cast::<u8>().write_bytes(0, bytes);
            NonNull::new_unchecked(pointer.cast())
        };
        Ok(Self { pointer, device: Arc::clone(device) })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.device.bind_to_thread().is_ok() {
            // SAFETY: made by `cuMemHostAlloc`, freed once, and no copy reads it: lanes hold what copies read.
            let _ = unsafe { sys::cuMemFreeHost(self.pointer.as_ptr().cast()) };
        }
    }
}

/// Pinned memory for the images of a batch. Dropped, it goes back to its pool.
#[derive(Debug)]
pub struct Staging {
    /// None only while it is dropped.
    memory: Option<Pinned>,
    len: usize,
    home: Arc<PinnedPool>,
}

impl Staging {
    fn new(pool: &Arc<PinnedPool>, len: usize) -> Result<Self, DriverError> {
        assert!(len <= pool.bytes, "{len} bytes of images in a batch of {}", pool.bytes);
        let recycled = pool.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let memory = recycled.map_or_else(|| Pinned::new(&pool.device, pool.bytes), Ok)?;
        Ok(Self { memory: Some(memory), len, home: Arc::clone(pool) })
    }

    fn pointer(&self) -> NonNull<u8> {
        self.memory.as_ref().map_or(NonNull::dangling(), |memory| memory.pointer)
    }
}

impl Deref for Staging {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the pool's pieces have at least `len` initialised bytes.
        unsafe { std::slice::from_raw_parts(self.pointer().as_ptr(), self.len) }
    }
}

impl DerefMut for Staging {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.pointer().as_ptr(), self.len) }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.home.free.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
        }
    }
}

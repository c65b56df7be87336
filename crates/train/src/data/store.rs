//! Memory of a device for images.

use crate::tensor::memory::Memory;
use crate::tensor::standardization::Standardization;
use preprocess::Result;
use std::ops::{DerefMut, Range};
use std::sync::Arc;

/// Batches that a store must be able to hold beside the images that it keeps: one that the network reads, one that is
/// on its way.
pub(crate) const LANES: usize = 2;

/// Memory for images, as bytes, on a device. It has slots for images that stay, and behind them [`LANES`] times as
/// many as a batch has images, for those that only pass.
pub trait Store {
    /// Host memory that images are decoded into.
    type Staging: DerefMut<Target = [u8]> + Send + 'static;
    /// The images of one batch.
    type Pixels;
    /// Batches that each reading thread may be ahead of the network.
    const AHEAD: usize;

    /// Threads that read and decode.
    fn readers(&self) -> usize;

    /// Number of images that can stay.
    fn slots(&self) -> usize;

    /// Makes host memory of so many bytes, on any thread.
    fn staging(&self) -> Arc<dyn Fn(usize) -> Result<Self::Staging> + Send + Sync>;

    /// Begins an epoch: `places` are the slots of all of its images in their order. What earlier epochs sent has
    /// arrived when it returns.
    ///
    /// # Errors
    /// The device failed.
    fn begin(&mut self, places: &[usize]) -> Result<()>;

    /// Sends what a batch lacks and does not wait until it has arrived. `staging` is none if it lacks nothing.
    ///
    /// # Errors
    /// The device failed.
    fn send(&mut self, batch: &Arrangement, staging: Option<Self::Staging>) -> Result<Self::Pixels>;
}

/// Where a batch's images are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrangement {
    /// Which of the epoch's images, in their order.
    pub images: Range<usize>,
    /// Slots of those that have to be read and stay. They come first in the staging memory.
    pub staying: Range<usize>,
    /// Slots of those that have to be read and do not stay: they begin at a lane's beginning.
    pub passing: Range<usize>,
    /// Batches that lack images take turns, so that one can be sent while the network reads the other.
    pub lane: usize,
}

/// A device that batches of images come to.
pub trait ImageMemory: Memory {
    /// Where it keeps them.
    type Store: Store;

    /// A store for batches of `batch_size` images of `image_bytes`. Of `keep` images it keeps as many as there is
    /// memory for.
    ///
    /// # Errors
    /// Not even a batch fits into the memory that is free.
    fn store(&self, keep: usize, batch_size: usize, image_bytes: usize) -> Result<Self::Store, Self::Err>;

    /// The images of a batch that was sent, for a network's first convolution.
    fn receive_images(
        &self,
        pool: &Self::Pool,
        shape: [usize; 4],
        pixels: &Pixels<Self>,
        standardization: Standardization,
    ) -> Result<Self::Buffer, Self::Err>;
}

/// The images of a batch, as a device gets them.
pub(crate) type Pixels<B> = <<B as ImageMemory>::Store as Store>::Pixels;

/// A store that keeps nothing: batches stay where they were decoded, in the host's memory.
#[derive(Debug, Clone, Copy)]
pub struct HostStore;

impl Store for HostStore {
    type Staging = Vec<u8>;
    type Pixels = Vec<u8>;
    const AHEAD: usize = 2;

    fn readers(&self) -> usize {
        2
    }

    fn slots(&self) -> usize {
        0
    }

    fn staging(&self) -> Arc<dyn Fn(usize) -> Result<Vec<u8>> + Send + Sync> {
        Arc::new(|bytes| Ok(vec![0; bytes]))
    }

    fn begin(&mut self, _places: &[usize]) -> Result<()> {
        Ok(())
    }

    fn send(&mut self, _batch: &Arrangement, staging: Option<Vec<u8>>) -> Result<Vec<u8>> {
        Ok(staging.unwrap_or_default())
    }
}

//! Labelled images, the order in which an epoch sees them, and the threads that read and decode them ahead of the
//! network.

use preprocess::Result;
use preprocess::dataset::Rows;
use preprocess::stage::random;

/// Labelled images with random access from many threads.
pub trait Images: Send + Sync + 'static {
    /// Number of images.
    fn count(&self) -> usize;

    /// Index of the image's class.
    fn label(&self, image: usize) -> usize;

    /// Number of the image's group of near-copies; different images of no group have different numbers.
    fn group(&self, image: usize) -> u64 {
        image as u64
    }

    /// Reads the image: 8-bit RGB `[height, width, 3]`.
    ///
    /// # Errors
    /// It cannot be read.
    fn read_pixels(&self, image: usize, pixels: &mut [u8]) -> Result<()>;

    /// Number of different images that the epochs of a run show. A device may keep them under their [`key`](Self::key).
    fn keys(&self) -> usize {
        self.count()
    }

    /// What tells the image's pixels from all others that the epochs of a run show; less than [`keys`](Self::keys).
    fn key(&self, image: usize) -> usize {
        image
    }
}

impl Images for Rows {
    fn count(&self) -> usize {
        self.len()
    }

    fn label(&self, image: usize) -> usize {
        Rows::label(self, image)
    }

    fn group(&self, image: usize) -> u64 {
        Rows::group(self, image) as u64
    }

    fn read_pixels(&self, image: usize, pixels: &mut [u8]) -> Result<()> {
        Rows::read_pixels(self, image, pixels)
    }
}

/// The order in which an epoch (from 0) sees the images: a shuffle of all of them that follows from the seed and the
/// epoch.
pub fn shuffled(count: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    random::stream(seed, "shuffle", &[&(epoch as u64).to_le_bytes()]).shuffle(&mut order);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_and_epochs_give_different_orders() {
        let base = shuffled(100, 1, 0);
        assert_eq!(base, shuffled(100, 1, 0));
        assert_ne!(base, shuffled(100, 1, 1));
        assert_ne!(base, shuffled(100, 2, 0));
    }
}

//! Labelled images.

use preprocess::Result;
use preprocess::dataset::Rows;

/// Labelled images with random access from many threads.
pub trait Images: Send + Sync + 'static {
    /// Number of images.
    fn count(&self) -> usize;

    /// Index of the image's class.
    fn label(&self, image: usize) -> usize;

    /// The image's name in the data set.
    fn source(&self, image: usize) -> &str;

    /// Number of the image's group of near-copies; different images of no group have different numbers.
    fn group(&self, image: usize) -> u64 {
        image as u64
    }

    /// Reads the image: 8-bit RGB `[height, width, 3]`.
    ///
    /// # Errors
    /// It cannot be read.
    fn read_pixels(&self, image: usize, pixels: &mut [u8]) -> Result<()>;

    /// Number of different images that the epochs of a run show; 0 if none comes again. A device may keep them under their
    /// [`key`](Self::key).
    fn keys(&self) -> usize {
        self.count()
    }

    /// What tells the image's pixels from all others that the epochs of a run show; less than [`keys`](Self::keys), if
    /// that is not 0.
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

    fn source(&self, image: usize) -> &str {
        Rows::source(self, image)
    }

    fn group(&self, image: usize) -> u64 {
        Rows::group(self, image) as u64
    }

    fn read_pixels(&self, image: usize, pixels: &mut [u8]) -> Result<()> {
        Rows::read_pixels(self, image, pixels)
    }
}

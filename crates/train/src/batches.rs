//! Batches of images, read and decoded ahead of the network by threads of their own.
//!
//! The order is settled before the threads start and each batch has its place in it, so that neither the number of threads
//! nor their pace changes what the network sees. Memory is bounded by the number of batches that are ahead.

use preprocess::dataset::Rows;
use preprocess::stage::random;
use preprocess::{Error, Result};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Threads that read and decode.
const READERS: usize = 2;

/// Batches that each thread may be ahead of the network.
const AHEAD: usize = 2;

/// Labelled images with random access from many threads.
pub trait Images: Send + Sync + 'static {
    /// Number of images.
    fn count(&self) -> usize;

    /// Index of the image's class.
    fn label(&self, image: usize) -> usize;

    /// Reads the image: 8-bit RGB `[height, width, 3]`.
    ///
    /// # Errors
    /// It cannot be read.
    fn read_pixels(&self, image: usize, pixels: &mut [u8]) -> Result<()>;
}

impl Images for Rows {
    fn count(&self) -> usize {
        self.len()
    }

    fn label(&self, image: usize) -> usize {
        Rows::label(self, image)
    }

    fn read_pixels(&self, image: usize, pixels: &mut [u8]) -> Result<()> {
        Rows::read_pixels(self, image, pixels)
    }
}

/// Images of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// 8-bit RGB `[images, height, width, 3]`.
    pub pixels: Vec<u8>,
    /// Index of each image's class.
    pub labels: Vec<usize>,
}

/// The order in which an epoch (from 0) sees the images: a shuffle of all of them that follows from the seed and the epoch.
pub fn shuffled(count: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    random::stream(seed, "shuffle", &[&(epoch as u64).to_le_bytes()]).shuffle(&mut order);
    order
}

/// The images in a given order, batch by batch; the last batch may be smaller. Dropped early, it stops its threads.
#[derive(Debug)]
pub struct Batches {
    /// Batch `i` comes from reader `i % readers`.
    readers: Vec<Reader>,
    next: usize,
    count: usize,
}

#[derive(Debug)]
struct Reader {
    batches: Option<Receiver<Result<Batch>>>,
    thread: Option<JoinHandle<()>>,
}

impl Batches {
    /// Starts to read `images` in `order`; `bytes` is the size of one image.
    ///
    /// # Panics
    /// If `batch_size` is 0, which no checked plan has.
    pub fn start<I: Images>(images: &Arc<I>, order: Vec<usize>, batch_size: usize, bytes: usize) -> Self {
        let count = order.len().div_ceil(batch_size);
        let order = Arc::new(order);
        let readers = READERS.min(count);
        let start = |first: usize| {
            let (sender, batches) = sync_channel(AHEAD);
            let (images, order) = (Arc::clone(images), Arc::clone(&order));
            let work = move || {
                let own = order.chunks(batch_size).skip(first).step_by(readers);
                send_batches(&*images, own, bytes, &sender);
            };
            Reader { batches: Some(batches), thread: Some(std::thread::spawn(work)) }
        };
        Self { readers: (0..readers).map(start).collect(), next: 0, count }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        if self.next == self.count {
            return None;
        }
        let reader = self.next % self.readers.len();
        self.next += 1;
        let received = self.readers[reader].batches.as_ref()?.recv();
        let batch = received.unwrap_or_else(|_| Err(Error::new("the thread that reads images ended early")));
        if batch.is_err() {
            // Later batches would be served as if none were missing.
            self.next = self.count;
        }
        Some(batch)
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        for reader in &mut self.readers {
            // A reader that waits to hand over a batch finds nobody there, and ends.
            reader.batches = None;
        }
        for thread in self.readers.iter_mut().filter_map(|reader| reader.thread.take()) {
            // A panic of a reader has already shown as a batch that never came.
            let _ = thread.join();
        }
    }
}

fn send_batches<'a>(
    images: &impl Images,
    batches: impl Iterator<Item = &'a [usize]>,
    bytes: usize,
    sender: &SyncSender<Result<Batch>>,
) {
    for rows in batches {
        let batch = read_batch(images, rows, bytes);
        let failed = batch.is_err();
        if sender.send(batch).is_err() || failed {
            return;
        }
    }
}

fn read_batch(images: &impl Images, rows: &[usize], bytes: usize) -> Result<Batch> {
    let mut pixels = vec![0; rows.len() * bytes];
    for (&row, pixels) in rows.iter().zip(pixels.chunks_exact_mut(bytes)) {
        images.read_pixels(row, pixels)?;
    }
    Ok(Batch { pixels, labels: rows.iter().map(|&row| images.label(row)).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Image `i` is two bytes: its index. `broken` cannot be read.
    struct Numbers {
        count: usize,
        broken: Option<usize>,
    }

    impl Images for Numbers {
        fn count(&self) -> usize {
            self.count
        }

        fn label(&self, image: usize) -> usize {
            image % 7
        }

        fn read_pixels(&self, image: usize, pixels: &mut [u8]) -> Result<()> {
            if self.broken == Some(image) {
                return Err(Error::new(format!("image {image} is broken")));
            }
            pixels.copy_from_slice(&(image as u16).to_le_bytes());
            Ok(())
        }
    }

    fn seen(batch: &Batch) -> Vec<usize> {
        batch.pixels.as_chunks().0.iter().map(|&bytes| usize::from(u16::from_le_bytes(bytes))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn an_epoch_sees_each_image_once_in_the_order_of_its_seed(
            count in 0usize..200, batch_size in 1usize..40, seed: u64, epoch in 0usize..1000,
        ) {
            let images = Arc::new(Numbers { count, broken: None });
            let order = shuffled(count, seed, epoch);
            let batches: Vec<Batch> =
                Batches::start(&images, order.clone(), batch_size, 2).collect::<Result<_>>().unwrap();
            let rows: Vec<usize> = batches.iter().flat_map(seen).collect();
            prop_assert_eq!(&rows, &order);
            let labels: Vec<usize> = batches.iter().flat_map(|batch| batch.labels.clone()).collect();
            prop_assert_eq!(labels, rows.iter().map(|row| row % 7).collect::<Vec<_>>());
            prop_assert!(batches.iter().rev().skip(1).all(|batch| batch.labels.len() == batch_size));
            let mut sorted = rows;
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn seeds_and_epochs_give_different_orders() {
        let base = shuffled(100, 1, 0);
        assert_eq!(base, shuffled(100, 1, 0));
        assert_ne!(base, shuffled(100, 1, 1));
        assert_ne!(base, shuffled(100, 2, 0));
    }

    #[test]
    fn a_broken_image_ends_the_epoch_with_its_error() {
        let images = Arc::new(Numbers { count: 100, broken: Some(42) });
        let results: Vec<_> = Batches::start(&images, (0..100).collect(), 10, 2).collect();
        assert_eq!(results.len(), 5);
        assert!(results[..4].iter().all(Result::is_ok));
        assert_eq!(results[4].as_ref().unwrap_err().message(), "image 42 is broken");
    }

    #[test]
    fn an_epoch_left_early_leaves_no_thread_behind() {
        let images = Arc::new(Numbers { count: 1000, broken: None });
        let mut batches = Batches::start(&images, (0..1000).collect(), 10, 2);
        assert!(batches.next().unwrap().is_ok());
        drop(batches);
        assert_eq!(Arc::strong_count(&images), 1);
    }
}

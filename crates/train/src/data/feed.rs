//! Batches on their way to the device.
//!
//! The order of an epoch is settled before it starts. So is what must be read for it: images that the device keeps in
//! its memory from an earlier batch are not read again. The rest is decoded ahead by threads of their own, and one
//! batch is on its way to the device while the network computes with the one before it. Nothing of this changes what
//! the network sees.

use crate::data::images::Images;
use crate::data::order;
use crate::data::readers::{Readers, Reading};
use crate::data::store::{Arrangement, LANES, Store};
use preprocess::Result;
use std::ops::Range;
use std::sync::Arc;

/// Images of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<P> {
    /// 8-bit RGB `[images, height, width, 3]`, in the device's own form.
    pub pixels: P,
    /// Index of each image's class.
    pub labels: Vec<usize>,
}

/// Brings the images of one split to a device, epoch after epoch.
#[derive(Debug)]
pub struct Feed<S> {
    store: S,
    image_bytes: usize,
    batch_size: usize,
    residents: Residents,
}

/// Which images a store keeps.
#[derive(Debug, Clone, Default)]
struct Residents {
    /// By the image's key.
    slots: Vec<Option<usize>>,
    /// Slots that are taken: the first ones.
    taken: usize,
}

impl<S: Store> Feed<S> {
    /// `image_bytes` is the size of one image. The store must have been made for the same sizes.
    pub fn new(store: S, image_bytes: usize, batch_size: usize) -> Self {
        Self { store, image_bytes, batch_size, residents: Residents::default() }
    }

    /// Number of images that the device can keep.
    pub fn slots(&self) -> usize {
        self.store.slots()
    }

    /// Bytes of one image.
    pub(crate) fn image_bytes(&self) -> usize {
        self.image_bytes
    }

    /// Starts to bring `images` in `order`, in batches of nearly the same size, the batch size at most. The keys of all epochs'
    /// images must be of one kind.
    ///
    /// # Errors
    /// The device failed.
    ///
    /// # Panics
    /// If the batch size is 0, which no checked plan has.
    pub fn epoch<I: Images>(&mut self, images: &Arc<I>, order: Vec<usize>) -> Result<Epoch<'_, S, I>> {
        if self.store.slots() > 0 && self.residents.slots.len() < images.keys() {
            self.residents.slots.resize(images.keys(), None);
        }
        let mut residents = self.residents.clone();
        let Schedule { batches, lists, places } =
            schedule(&**images, &order, self.batch_size, &mut residents, self.store.slots());
        self.store.begin(&places)?;
        let reading = Reading {
            threads: self.store.readers(),
            ahead: S::AHEAD,
            image_bytes: self.image_bytes,
            memory: self.store.staging(),
        };
        let readers = Readers::start(images, lists, reading);
        Ok(Epoch { feed: self, residents, images: Arc::clone(images), order, batches, readers, next: 0, sent: None })
    }
}

/// All that an epoch does.
#[derive(Debug, Default, PartialEq, Eq)]
struct Schedule {
    batches: Vec<Arrangement>,
    /// The images to be read for each batch that lacks some.
    lists: Vec<Vec<usize>>,
    /// The slot of each image of the order.
    places: Vec<usize>,
}

/// As images come first in the order, they take the slots that are free.
fn schedule(
    images: &impl Images,
    order: &[usize],
    batch_size: usize,
    residents: &mut Residents,
    slots: usize,
) -> Schedule {
    let mut schedule = Schedule::default();
    for batch in order::batches(order.len(), batch_size).map(|batch| &order[batch]) {
        let lane = schedule.lists.len() % LANES;
        let (mut staying, lane_start) = (residents.taken..residents.taken, slots + lane * batch_size);
        let (mut passing, mut list) = (lane_start..lane_start, Vec::new());
        for &image in batch {
            let resident = residents.slots.get_mut(images.key(image));
            let place = match resident {
                Some(Some(slot)) => *slot,
                Some(free) if staying.end < slots => {
                    *free = Some(staying.end);
                    next_of(&mut staying, &mut list, image)
                }
                _ => next_of(&mut passing, &mut list, image),
            };
            schedule.places.push(place);
        }
        residents.taken = staying.end;
        let start = schedule.places.len() - batch.len();
        schedule.batches.push(Arrangement { images: start..schedule.places.len(), staying, passing, lane });
        if !list.is_empty() {
            schedule.lists.push(list);
        }
    }
    schedule
}

/// Adds the image to those that are read and gives it the next slot.
fn next_of(slots: &mut Range<usize>, list: &mut Vec<usize>, image: usize) -> usize {
    list.push(image);
    slots.end += 1;
    slots.end - 1
}

/// The batches of one epoch. Dropped early, it stops its threads.
pub struct Epoch<'a, S: Store, I> {
    feed: &'a mut Feed<S>,
    /// What the device keeps once all batches are sent.
    residents: Residents,
    images: Arc<I>,
    order: Vec<usize>,
    batches: Vec<Arrangement>,
    readers: Readers<S::Staging>,
    /// The batch that is to be sent next.
    next: usize,
    /// The batch before that one, on its way.
    sent: Option<Result<Batch<S::Pixels>>>,
}

impl<S: Store, I: Images> Iterator for Epoch<'_, S, I> {
    type Item = Result<Batch<S::Pixels>>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.sent.take().or_else(|| self.send(true))?;
        if batch.is_ok() {
            // It travels while the network computes. One that is still being read is not waited for.
            self.sent = self.send(false);
        }
        Some(batch)
    }
}

impl<S: Store, I: Images> Epoch<'_, S, I> {
    /// Sends the next batch. None if there is none; or if its images have not been read yet and `wait` is not set.
    fn send(&mut self, wait: bool) -> Option<Result<Batch<S::Pixels>>> {
        let arrangement = self.batches.get(self.next)?;
        let is_complete = arrangement.staying.is_empty() && arrangement.passing.is_empty();
        let staging = if is_complete { Ok(None) } else { self.readers.next(wait)?.map(Some) };
        let sent = staging.and_then(|staging| self.feed.store.send(arrangement, staging));
        let labels = || self.order[arrangement.images.clone()].iter().map(|&image| self.images.label(image)).collect();
        let batch = sent.map(|pixels| Batch { pixels, labels: labels() });
        // After an error, later batches would be served as if none were missing.
        self.next = if batch.is_ok() { self.next + 1 } else { self.batches.len() };
        if batch.is_ok() && self.next == self.batches.len() {
            self.feed.residents = std::mem::take(&mut self.residents);
        }
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::order::{batches, shuffled};
    use crate::data::store::HostStore;
    use preprocess::Error;
    use proptest::prelude::*;
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Image `i` is two bytes: its key. `broken` cannot be read.
    struct Numbers {
        count: usize,
        copy: usize,
        copies: usize,
        broken: Option<usize>,
        /// By key.
        reads: Arc<Vec<AtomicUsize>>,
    }

    fn numbers(count: usize, copies: usize) -> Numbers {
        let reads = (0..count * copies).map(|_| AtomicUsize::new(0)).collect();
        Numbers { count, copy: 0, copies, broken: None, reads: Arc::new(reads) }
    }

    impl Images for Numbers {
        fn count(&self) -> usize {
            self.count
        }

        fn label(&self, image: usize) -> usize {
            image % 7
        }

        fn source(&self, _image: usize) -> &str {
            "a number"
        }

        fn read_pixels(&self, image: usize, pixels: &mut [u8]) -> Result<()> {
            if self.broken == Some(image) {
                return Err(Error::new(format!("image {image} is broken")));
            }
            self.reads[self.key(image)].fetch_add(1, Ordering::Relaxed);
            pixels.copy_from_slice(&(self.key(image) as u16).to_le_bytes());
            Ok(())
        }

        fn keys(&self) -> usize {
            self.copies * self.count
        }

        fn key(&self, image: usize) -> usize {
            self.copy * self.count + image
        }
    }

    /// A device in plain memory. Like a real one it may copy at once or, `lazy`, not before it has to.
    struct Shelf {
        slots: usize,
        batch_size: usize,
        lazy: bool,
        memory: Rc<RefCell<Memory>>,
        places: Rc<Vec<usize>>,
    }

    #[derive(Default)]
    struct Memory {
        bytes: Vec<u8>,
        copies: Vec<(Range<usize>, Vec<u8>)>,
    }

    impl Memory {
        fn copy(&mut self) {
            for (slots, bytes) in std::mem::take(&mut self.copies) {
                self.bytes[slots.start * 2..slots.end * 2].copy_from_slice(&bytes);
            }
        }
    }

    struct OnShelf {
        memory: Rc<RefCell<Memory>>,
        places: Rc<Vec<usize>>,
        images: Range<usize>,
        is_sent: bool,
    }

    impl OnShelf {
        /// The keys of the batch's images, which is what a network would see.
        fn keys(&self) -> Vec<usize> {
            let mut memory = self.memory.borrow_mut();
            if self.is_sent {
                memory.copy();
            }
            let key = |&place: &usize| usize::from(u16::from_le_bytes(memory.bytes.as_chunks().0[place]));
            self.places[self.images.clone()].iter().map(key).collect()
        }
    }

    fn shelf(slots: usize, batch_size: usize, lazy: bool) -> Feed<Shelf> {
        let bytes = vec![0xff; (slots + LANES * batch_size) * 2];
        let memory = Rc::new(RefCell::new(Memory { bytes, copies: Vec::new() }));
        Feed::new(Shelf { slots, batch_size, lazy, memory, places: Rc::default() }, 2, batch_size)
    }

    impl Store for Shelf {
        type Staging = Vec<u8>;
        type Pixels = OnShelf;
        const AHEAD: usize = 1;

        fn readers(&self) -> usize {
            3
        }

        fn slots(&self) -> usize {
            self.slots
        }

        fn staging(&self) -> Arc<dyn Fn(usize) -> Result<Vec<u8>> + Send + Sync> {
            Arc::new(|bytes| Ok(vec![0; bytes]))
        }

        fn begin(&mut self, places: &[usize]) -> Result<()> {
            self.memory.borrow_mut().copy();
            self.places = Rc::new(places.to_vec());
            Ok(())
        }

        fn send(&mut self, batch: &Arrangement, staging: Option<Vec<u8>>) -> Result<OnShelf> {
            let lane = self.slots + batch.lane * self.batch_size;
            assert!(batch.staying.end <= self.slots);
            assert!(batch.passing.start == lane && batch.passing.len() <= self.batch_size);
            let (mut memory, is_sent) = (self.memory.borrow_mut(), staging.is_some());
            let mut bytes = staging.unwrap_or_default();
            assert_eq!(bytes.len(), 2 * (batch.staying.len() + batch.passing.len()));
            let passing = bytes.split_off(2 * batch.staying.len());
            memory.copies.extend([(batch.staying.clone(), bytes), (batch.passing.clone(), passing)]);
            if !self.lazy {
                memory.copy();
            }
            drop(memory);
            let (memory, places) = (Rc::clone(&self.memory), Rc::clone(&self.places));
            Ok(OnShelf { memory, places, images: batch.images.clone(), is_sent })
        }
    }

    /// Keys and labels of an epoch.
    fn seen(feed: &mut Feed<Shelf>, images: &Arc<Numbers>, order: &[usize]) -> Vec<(Vec<usize>, Vec<usize>)> {
        let batches = feed.epoch(images, order.to_vec()).unwrap();
        batches.map(|batch| batch.map(|batch| (batch.pixels.keys(), batch.labels)).unwrap()).collect()
    }

    fn expected(images: &Numbers, order: &[usize], batch_size: usize) -> Vec<(Vec<usize>, Vec<usize>)> {
        let of = |batch: &[usize]| {
            (
                batch.iter().map(|&image| images.key(image)).collect(),
                batch.iter().map(|&image| images.label(image)).collect(),
            )
        };
        batches(order.len(), batch_size).map(|batch| of(&order[batch])).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn whatever_the_device_keeps_every_epoch_sees_the_images_in_the_order_of_its_seed(
            count in 0usize..120, batch_size in 1usize..40, copies in 1usize..4, slots in 0usize..400, lazy: bool, seed: u64,
        ) {
            let (mut feed, base) = (shelf(slots, batch_size, lazy), numbers(count, copies));
            for epoch in 0..5 {
                let images = Arc::new(Numbers { copy: epoch % copies, reads: Arc::clone(&base.reads), ..base });
                let order = shuffled(count, seed, epoch);
                prop_assert_eq!(seen(&mut feed, &images, &order), expected(&images, &order, batch_size));
                let mut sorted = order;
                sorted.sort_unstable();
                prop_assert_eq!(sorted, (0..count).collect::<Vec<_>>());
            }
            let reads: Vec<usize> = base.reads.iter().map(|reads| reads.load(Ordering::Relaxed)).collect();
            let kept = reads.iter().filter(|&&reads| reads == 1).count();
            prop_assert!(kept >= slots.min(count * copies), "{} slots, {} images read once", slots, kept);
        }

        #[test]
        fn the_host_sees_the_same(count in 0usize..200, batch_size in 1usize..40, seed: u64) {
            let (mut feed, images) = (Feed::new(HostStore, 2, batch_size), Arc::new(numbers(count, 1)));
            let order = shuffled(count, seed, 0);
            let batches: Vec<_> = feed.epoch(&images, order.clone()).unwrap().map(Result::unwrap).collect();
            let key = |&bytes: &[u8; 2]| usize::from(u16::from_le_bytes(bytes));
            let seen: Vec<(Vec<usize>, Vec<usize>)> = batches
                .into_iter()
                .map(|batch| (batch.pixels.as_chunks().0.iter().map(key).collect(), batch.labels))
                .collect();
            prop_assert_eq!(seen, expected(&images, &order, batch_size));
        }
    }

    #[test]
    fn an_image_that_an_order_holds_twice_is_read_once() {
        let (mut feed, images) = (shelf(10, 3, true), Arc::new(numbers(10, 1)));
        let order = [4, 5, 6, 6, 5, 1, 5, 9, 5, 5, 5];
        assert_eq!(seen(&mut feed, &images, &order), expected(&images, &order, 3));
        assert_eq!(images.reads.iter().map(|reads| reads.load(Ordering::Relaxed)).max(), Some(1));
    }

    #[test]
    fn a_broken_image_ends_the_epoch_with_its_error() {
        let images = Arc::new(Numbers { broken: Some(42), ..numbers(100, 1) });
        for slots in [0, 35, 100] {
            let mut feed = shelf(slots, 10, true);
            let results: Vec<_> = feed.epoch(&images, (0..100).collect()).unwrap().collect();
            assert_eq!(results.len(), 5);
            assert!(results[..4].iter().all(Result::is_ok));
            assert_eq!(results[4].as_ref().err().unwrap().message(), "image 42 is broken");
        }
    }

    #[test]
    fn an_epoch_left_early_leaves_no_thread_behind_and_the_next_one_is_whole() {
        let images = Arc::new(numbers(1000, 1));
        for slots in [0, 500, 1000] {
            let mut feed = shelf(slots, 10, true);
            let mut batches = feed.epoch(&images, (0..1000).collect()).unwrap();
            assert!(batches.next().unwrap().is_ok());
            drop(batches);
            assert_eq!(Arc::strong_count(&images), 1);
            let order = shuffled(1000, 1, 1);
            assert_eq!(seen(&mut feed, &images, &order), expected(&images, &order, 10));
        }
    }
}

//! The threads that read and decode images ahead of the network.

use super::images::Images;
use preprocess::{Error, Result};
use std::ops::DerefMut;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

/// Who reads, and into what.
pub(crate) struct Reading<M> {
    /// Threads that read and decode.
    pub threads: usize,
    /// Lists that each thread may be ahead.
    pub ahead: usize,
    /// Bytes of one image.
    pub image_bytes: usize,
    /// Memory of so many bytes for the images of one list.
    pub memory: Arc<dyn Fn(usize) -> Result<M> + Send + Sync>,
}

/// Images read by threads of their own, list by list in a given order: neither the number of threads nor their pace
/// changes it. Memory is bounded by the number of lists that are ahead. Dropped early, it stops its threads.
#[derive(Debug)]
pub(crate) struct Readers<M> {
    /// List `i` comes from reader `i % readers`.
    readers: Vec<Reader<M>>,
    next: usize,
}

#[derive(Debug)]
struct Reader<M> {
    lists: Option<Receiver<Result<M>>>,
    thread: Option<JoinHandle<()>>,
}

impl<M: DerefMut<Target = [u8]> + Send + 'static> Readers<M> {
    /// Starts to read the lists of images.
    pub(crate) fn start<I: Images>(images: &Arc<I>, lists: Vec<Vec<usize>>, reading: Reading<M>) -> Self {
        let readers = reading.threads.min(lists.len());
        let (lists, reading) = (Arc::new(lists), Arc::new(reading));
        let start = |first: usize| {
            let (sender, received) = sync_channel(reading.ahead);
            let (images, lists, reading) = (Arc::clone(images), Arc::clone(&lists), Arc::clone(&reading));
            let work = move || {
                let own = lists.iter().skip(first).step_by(readers);
                send_lists(&*images, own, &reading, &sender);
            };
            Reader { lists: Some(received), thread: Some(std::thread::spawn(work)) }
        };
        Self { readers: (0..readers).map(start).collect(), next: 0 }
    }

    /// The images of the next list; none if they are not there yet and `wait` is not set.
    ///
    /// # Panics
    /// If there was no list at all.
    pub(crate) fn next(&mut self, wait: bool) -> Option<Result<M>> {
        let reader = self.next % self.readers.len();
        let lists = self.readers[reader].lists.as_ref()?;
        let received = if wait { lists.recv().map_err(|_| TryRecvError::Disconnected) } else { lists.try_recv() };
        if matches!(received, Err(TryRecvError::Empty)) {
            return None;
        }
        self.next += 1;
        Some(received.unwrap_or_else(|_| Err(Error::new("a thread that reads images stopped before its last batch"))))
    }
}

impl<M> Drop for Readers<M> {
    fn drop(&mut self) {
        for reader in &mut self.readers {
            // A reader that waits to hand over a list finds nobody there, and ends.
            reader.lists = None;
        }
        for thread in self.readers.iter_mut().filter_map(|reader| reader.thread.take()) {
            // A panic of a reader has already shown as a list that never came.
            let _ = thread.join();
        }
    }
}

fn send_lists<'a, M: DerefMut<Target = [u8]>>(
    images: &impl Images,
    lists: impl Iterator<Item = &'a Vec<usize>>,
    reading: &Reading<M>,
    sender: &SyncSender<Result<M>>,
) {
    for list in lists {
        let read = read_list(images, list, reading);
        let failed = read.is_err();
        if sender.send(read).is_err() || failed {
            return;
        }
    }
}

fn read_list<M: DerefMut<Target = [u8]>>(images: &impl Images, list: &[usize], reading: &Reading<M>) -> Result<M> {
    let mut memory = (reading.memory)(list.len() * reading.image_bytes)?;
    for (&image, pixels) in list.iter().zip(memory.chunks_exact_mut(reading.image_bytes)) {
        images.read_pixels(image, pixels)?;
    }
    Ok(memory)
}

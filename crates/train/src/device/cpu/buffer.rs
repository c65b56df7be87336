//! Cache-line aligned memory on the CPU, reused from step to step.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Floats in a cache line, and lanes in a channel block.
const LINE_FLOATS: usize = 16;

/// A buffer may be longer than asked for by one in so many: then the last, smaller batch of a validation mostly finds
/// buffers too.
const SPARE_SHARE: usize = 2;

/// One cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE_FLOATS]);

/// Free lines by their number.
type FreeLists = BTreeMap<usize, Vec<Vec<Line>>>;

/// Free buffers of all lengths. Clones share them. A buffer that is dropped goes back to its pool.
#[derive(Debug, Clone, Default)]
pub struct BufferPool {
    free: Arc<Mutex<FreeLists>>,
}

impl BufferPool {
    /// A buffer of `len` floats aligned to 64 bytes; zeros, or whatever its last user left behind.
    pub(crate) fn take(&self, len: usize) -> Buffer {
        let count = len.div_ceil(LINE_FLOATS);
        let largest = count + count / SPARE_SHARE;
        let recycled = lock(&self.free).range_mut(count..=largest).find_map(|(_, list)| list.pop());
        let lines = recycled.unwrap_or_else(|| vec![Line([0.0; LINE_FLOATS]); count]);
        Buffer { lines, len, home: Arc::downgrade(&self.free) }
    }

    /// Bytes in the buffers that are free at the moment.
    #[cfg(test)]
    fn free_bytes(&self) -> usize {
        lock(&self.free).iter().map(|(lines, list)| lines * list.len() * size_of::<Line>()).sum()
    }
}

/// Floats aligned to 64 bytes; dereferences to a slice.
#[derive(Debug)]
pub struct Buffer {
    lines: Vec<Line>,
    len: usize,
    home: Weak<Mutex<FreeLists>>,
}

impl Buffer {
    /// The same memory as bytes: four for every float.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        // SAFETY: the lines are initialised, contiguous, and any byte of a float is a valid u8.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len * 4) }
    }

    /// The same memory as bytes: four for every float.
    pub(crate) fn as_bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; any bytes make valid floats, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len * 4) }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `lines` holds at least `len` initialised, contiguous floats: Line is repr(C) without padding.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(free) = self.home.upgrade() {
            let lines = std::mem::take(&mut self.lines);
            lock(&free).entry(lines.len()).or_default().push(lines);
        }
    }
}

/// Lists of free memory are whole at any time, so that a thread that panicked does not spoil them.
fn lock(free: &Mutex<FreeLists>) -> MutexGuard<'_, FreeLists> {
    free.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_reused() {
        let pool = BufferPool::default();
        let mut first = pool.take(33);
        first[32] = 7.0;
        let address = first.as_ptr() as usize;
        assert_eq!(address % 64, 0);
        drop(first);
        assert_eq!(pool.free_bytes(), 3 * 64);
        assert_eq!(pool.take(16).as_ptr() as usize % 64, 0, "too short for the buffer that is free");
        let second = pool.take(40);
        assert_eq!((second.as_ptr() as usize, second.len(), second[32]), (address, 40, 7.0));
        assert_eq!(pool.free_bytes(), 64);
        drop(pool);
        assert_eq!(second.as_bytes().len(), 160);
    }
}

//! Cache-line aligned memory on the CPU, reused from step to step.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::rc::{Rc, Weak};

/// Floats in a cache line, and lanes in a channel block.
const LINE_FLOATS: usize = 16;

/// One cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE_FLOATS]);

/// Free lines by their number.
type FreeLists = RefCell<HashMap<usize, Vec<Vec<Line>>>>;

/// Free buffers, by length. Clones share them. A buffer that is dropped goes back to its pool.
#[derive(Debug, Clone, Default)]
pub struct BufferPool {
    free: Rc<FreeLists>,
}

impl BufferPool {
    /// A buffer of `len` floats aligned to 64 bytes; zeros, or whatever its last user left behind.
    pub fn take(&self, len: usize) -> Buffer {
        let count = len.div_ceil(LINE_FLOATS);
        let recycled = self.free.borrow_mut().get_mut(&count).and_then(Vec::pop);
        let lines = recycled.unwrap_or_else(|| vec![Line([0.0; LINE_FLOATS]); count]);
        Buffer { lines, len, home: Rc::downgrade(&self.free) }
    }

    /// Bytes in the buffers that are free at the moment.
    pub fn free_bytes(&self) -> usize {
        self.free.borrow().iter().map(|(lines, list)| lines * list.len() * size_of::<Line>()).sum()
    }
}

/// Floats aligned to 64 bytes; dereferences to a slice.
#[derive(Debug)]
pub struct Buffer {
    lines: Vec<Line>,
    len: usize,
    home: Weak<FreeLists>,
}

impl Buffer {
    /// The same memory as bytes: four for every float.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: the lines are initialised, contiguous, and any byte of a float is a valid u8.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len * 4) }
    }

    /// The same memory as bytes: four for every float.
    pub fn as_bytes_mut(&mut self) -> &mut [u8] {
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
            free.borrow_mut().entry(lines.len()).or_default().push(lines);
        }
    }
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
        let second = pool.take(40);
        assert_eq!((second.as_ptr() as usize, second.len(), second[32]), (address, 40, 7.0));
        drop(pool);
        assert_eq!(second.as_bytes().len(), 160);
    }
}

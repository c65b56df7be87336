//! How much memory images may take, all threads together.
//!
//! A file's header says how many pixels it holds, and its format how many bytes of each are held at once while it is
//! decoded. A thread reserves so many before it allocates any; while there are too few left it waits for others to
//! give theirs back, and an image that would take more than all of them is refused with the figures. Two pools, one
//! for files as they are read (a quarter) and one for decoding and resizing: a thread that holds of the first and
//! waits for the second is in nobody's way who could give it some.

use super::error::ImageError;
use crate::pipeline::limits::DEFAULT_MEMORY;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

const MEGABYTE: u64 = 1_000_000;

static FILES: Pool = Pool::new(DEFAULT_MEMORY as u64 * MEGABYTE / 4);
static PIXELS: Pool = Pool::new(DEFAULT_MEMORY as u64 * MEGABYTE / 4 * 3);

/// Bytes to be shared.
struct Pool {
    state: Mutex<State>,
    given_back: Condvar,
}

struct State {
    limit: u64,
    used: u64,
    /// Who holds some.
    holders: Vec<ThreadId>,
}

impl Pool {
    const fn new(limit: u64) -> Self {
        Self { state: Mutex::new(State { limit, used: 0, holders: Vec::new() }), given_back: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `bytes`, now or when there are as many; the limit itself if that is less. A thread that holds some
    /// already gets more at once: nobody could give it any while others wait likewise.
    fn take(&'static self, bytes: u64) -> Result<Held, u64> {
        let mut state = self.state();
        if bytes > state.limit {
            return Err(state.limit);
        }
        let thread = std::thread::current().id();
        while state.used > 0 && state.used + bytes > state.limit && !state.holders.contains(&thread) {
            state = self.given_back.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.used += bytes;
        state.holders.push(thread);
        Ok(Held { _all: Arc::new(Reservation { pool: self, bytes, thread }) })
    }
}

/// Bytes that are reserved until this and all clones are dropped.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    _all: Arc<Reservation>,
}

/// Nothing about a picture.
impl PartialEq for Held {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

struct Reservation {
    pool: &'static Pool,
    bytes: u64,
    thread: ThreadId,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.used -= self.bytes;
        if let Some(at) = state.holders.iter().position(|holder| *holder == self.thread) {
            state.holders.swap_remove(at);
        }
        drop(state);
        self.pool.given_back.notify_all();
    }
}

impl std::fmt::Debug for Reservation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.bytes)
    }
}

/// Sets the limit for this process, in megabytes.
pub fn limit_memory(megabytes: usize) {
    let bytes = (megabytes as u64).saturating_mul(MEGABYTE);
    FILES.state().limit = bytes / 4;
    PIXELS.state().limit = bytes / 4 * 3;
}

/// What is needed beside decoding, given the picture's width and height.
pub(super) type Beside<'a> = &'a dyn Fn([usize; 2]) -> u64;

/// Takes the bytes that decoding an image of that size needs, and those beside.
///
/// # Errors
/// It is more than there are in all.
pub(super) fn reserve(bytes: u64, size: [usize; 2], beside: Beside) -> Result<Held, ImageError> {
    let bytes = bytes.saturating_add(beside(size));
    PIXELS.take(bytes).map_err(|limit| too_large(bytes, size, limit))
}

/// Whether [`reserve`] would take as many, sooner or later.
///
/// # Errors
/// It would not.
pub(super) fn fits(bytes: u64, size: [usize; 2], beside: Beside) -> Result<(), ImageError> {
    let (bytes, limit) = (bytes.saturating_add(beside(size)), PIXELS.state().limit);
    if bytes > limit { Err(too_large(bytes, size, limit)) } else { Ok(()) }
}

fn too_large(bytes: u64, [width, height]: [usize; 2], limit: u64) -> ImageError {
    ImageError::new(format_args!(
        "it is too large: decoding {width}x{height} pixels takes {} MB of memory, more than the {} MB for one image",
        bytes.div_ceil(MEGABYTE),
        limit / MEGABYTE
    ))
}

/// Takes the bytes of a file.
///
/// # Errors
/// It is more than there are in all.
pub(super) fn reserve_file(bytes: u64) -> Result<Held, ImageError> {
    FILES.take(bytes).map_err(|limit| {
        ImageError::new(format_args!(
            "it is too large: the file has {} MB, more than the {} MB for one file",
            bytes.div_ceil(MEGABYTE),
            limit / MEGABYTE
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn threads_wait_for_one_another_and_never_take_more_than_there_is() {
        static POOL: Pool = Pool::new(100);
        let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (now, most) = (&now, &most);
                scope.spawn(move || {
                    for round in 0..50 {
                        let bytes = 10 + (thread * 7 + round * 13) % 80;
                        let held = POOL.take(bytes).expect("less than the limit");
                        most.fetch_max(now.fetch_add(bytes, Ordering::SeqCst) + bytes, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(bytes, Ordering::SeqCst);
                        drop(held);
                    }
                });
            }
        });
        let most = most.into_inner();
        assert!((50..=100).contains(&most), "{most} at once");
        assert_eq!(POOL.state().used, 0);
        assert!(POOL.state().holders.is_empty());
        assert_eq!(POOL.take(101).map(drop), Err(100));
        // Within one thread nothing waits for itself.
        let _both = (POOL.take(80).expect("there"), POOL.take(80).expect("there"));
    }
}

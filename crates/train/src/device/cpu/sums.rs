//! Sums over the pixels of a plane of 16 channels, lane by lane.
//!
//! Four sums side by side, pixel by pixel in turn, so that additions do not wait for each other; after some hundred
//! pixels they are added to the plane's, which keeps rounding errors small. The order is the same at every level.

use super::layout::LANES;
use super::simd::{Kernel, Level, Simd, dispatch};

/// One number a lane.
pub(crate) type Lanes = [f32; LANES];

/// Pixels after which the sums are added to the plane's.
const RUN: usize = 512;

/// Sums that are kept side by side.
const SUMS: usize = 4;

/// What is summed: `N` values for every pixel.
pub(crate) trait Terms<const N: usize> {
    /// The values of the pixel whose first float has this index. Must be `#[inline(always)]`.
    ///
    /// # Safety
    /// The machine has `S`' instruction set, and the pixel is one of the plane.
    unsafe fn at<S: Simd>(&self, at: usize) -> [S::Block; N];
}

/// The sums of `terms` over a plane of `len` floats.
///
/// # Safety
/// The machine has `S`' instruction set, and `len` floats are whole pixels of the plane.
// Indices rather than iterators over arrays: those are not always inlined into the instruction set.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
pub(crate) unsafe fn sum<S: Simd, const N: usize>(len: usize, terms: &impl Terms<N>) -> [Lanes; N] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut totals = [S::splat(0.0); N];
        for start in (0..len).step_by(RUN * LANES) {
            let end = (start + RUN * LANES).min(len);
            let mut sums = [[S::splat(0.0); N]; SUMS];
            let mut at = start;
            while at + SUMS * LANES <= end {
                for turn in 0..SUMS {
                    let values = terms.at::<S>(at + turn * LANES);
                    for n in 0..N {
                        sums[turn][n] = S::add(sums[turn][n], values[n]);
                    }
                }
                at += SUMS * LANES;
            }
            while at < end {
                let values = terms.at::<S>(at);
                for n in 0..N {
                    sums[0][n] = S::add(sums[0][n], values[n]);
                }
                at += LANES;
            }
            for n in 0..N {
                let halves = [S::add(sums[0][n], sums[1][n]), S::add(sums[2][n], sums[3][n])];
                totals[n] = S::add(totals[n], S::add(halves[0], halves[1]));
            }
        }
        let mut lanes = [[0.0; LANES]; N];
        for n in 0..N {
            S::store(lanes[n].as_mut_ptr(), totals[n]);
        }
        lanes
    }
}

/// Adds the sum of a plane's pixels to `sums`.
pub(crate) fn add_pixels(level: Level, plane: &[f32], sums: &mut [f32]) {
    assert_eq!((plane.len() % LANES, sums.len()), (0, LANES));
    // SAFETY: `level` is the machine's, and the plane holds whole pixels.
    unsafe { dispatch(level, AddPixels { plane, sums }) };
}

struct AddPixels<'a> {
    plane: &'a [f32],
    sums: &'a mut [f32],
}

impl Terms<1> for &[f32] {
    #[inline(always)]
    unsafe fn at<S: Simd>(&self, at: usize) -> [S::Block; 1] {
        // SAFETY: the caller's promise.
        unsafe { [S::load(self.as_ptr().add(at))] }
    }
}

impl Kernel for AddPixels<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's promise.
        let [total] = unsafe { sum::<S, 1>(self.plane.len(), &self.plane) };
        self.sums.iter_mut().zip(total).for_each(|(sum, total)| *sum += total);
    }
}

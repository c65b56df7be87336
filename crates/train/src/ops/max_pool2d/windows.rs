//! Windows of any size and step, on planes of 16 channels.
//!
//! Sizes that networks use are compiled for each: a window's maxima stay in registers until all its pixels are seen.

use super::Window;
use crate::device::cpu::layout::LANES;
use std::ops::Range;

/// One value a channel.
type Pixel = [f32; LANES];

/// What lies around the image: never larger than a pixel.
const OUTSIDE: &Pixel = &[f32::NEG_INFINITY; LANES];

/// One plane's pooling: rows and columns of input and output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plane {
    pub(super) window: Window,
    pub(super) input: [usize; 2],
    pub(super) output: [usize; 2],
}

/// The first rows that are given of a plane.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Start {
    pub(super) output: usize,
    pub(super) input: usize,
}

impl Plane {
    /// Output rows whose windows reach over so many floats of the input, at least one; and the input rows they reach.
    pub(super) fn band(&self, floats: usize) -> [usize; 2] {
        let Window { size, stride, .. } = self.window;
        let rows = (floats / (self.input[1] * LANES)).saturating_sub(size) / stride + 1;
        let rows = rows.min(self.output[0]);
        [rows, ((rows - 1) * stride + size).min(self.input[0])]
    }

    /// The input rows that the windows of these output rows reach.
    pub(super) fn reach(&self, outputs: Range<usize>) -> Range<usize> {
        let Window { size, stride, padding } = self.window;
        let end = (outputs.end - 1) * stride + size - padding;
        (outputs.start * stride).saturating_sub(padding)..end.min(self.input[0])
    }

    /// The rows (or columns) of the window of output `at` that lie in the image.
    fn inside(&self, at: usize, axis: usize) -> Range<usize> {
        let Window { size, stride, padding } = self.window;
        let start = at * stride;
        padding.saturating_sub(start)..size.min((self.input[axis] + padding).saturating_sub(start))
    }

    /// The output columns whose windows lie in the image from the first column to the last.
    fn whole_columns(&self) -> Range<usize> {
        let Window { size, stride, padding } = self.window;
        let end = (self.input[1] + padding).checked_sub(size).map_or(0, |last| last / stride + 1).min(self.output[1]);
        padding.div_ceil(stride).min(end)..end
    }

    /// Where pixel `(u, v)` of the window of output `(i, j)` begins, from input row `first` on.
    #[inline(always)]
    fn place(&self, first: usize, [i, j]: [usize; 2], [u, v]: [usize; 2]) -> usize {
        let Window { stride, padding, .. } = self.window;
        ((i * stride + u - padding - first) * self.input[1] + j * stride + v - padding) * LANES
    }

    /// The maxima of the output rows from `start` on, and their numbers.
    #[inline(always)]
    pub(super) fn pool(&self, start: Start, x: &[f32], y: &mut [f32], largest: &mut [u8]) {
        match self.window.size {
            2 => self.pool_sized::<2>(start, x, y, largest),
            3 => self.pool_sized::<3>(start, x, y, largest),
            5 => self.pool_sized::<5>(start, x, y, largest),
            _ => self.pool_any(start, x, y, largest),
        }
    }

    #[inline(always)]
    fn pool_sized<const SIZE: usize>(&self, start: Start, x: &[f32], y: &mut [f32], largest: &mut [u8]) {
        let (out_row, row, whole) = (self.output[1] * LANES, self.input[1] * LANES, self.whole_columns());
        for (at, (y, largest)) in y.chunks_exact_mut(out_row).zip(largest.chunks_exact_mut(out_row)).enumerate() {
            let i = start.output + at;
            let rows = self.inside(i, 0);
            let all_rows = rows.len() == SIZE;
            let outputs = y.as_chunks_mut::<LANES>().0.iter_mut().zip(largest.as_chunks_mut::<LANES>().0);
            for (j, (y, largest)) in outputs.enumerate() {
                let mut pixels = [[OUTSIDE; SIZE]; SIZE];
                if all_rows && whole.contains(&j) {
                    let first = self.place(start.input, [i, j], [0, 0]);
                    for (u, pixels) in pixels.iter_mut().enumerate() {
                        let (row, _) = x[first + u * row..][..SIZE * LANES].as_chunks::<LANES>();
                        for v in 0..SIZE {
                            pixels[v] = &row[v];
                        }
                    }
                    maximum(&pixels, 0, y, largest);
                    continue;
                }
                let columns = self.inside(j, 1);
                for u in rows.clone() {
                    let first = self.place(start.input, [i, j], [u, columns.start]);
                    let (row, _) = x[first..][..columns.len() * LANES].as_chunks::<LANES>();
                    pixels[u][columns.clone()].iter_mut().zip(row).for_each(|(pixel, row)| *pixel = row);
                }
                maximum(&pixels, (rows.start * SIZE + columns.start) as u8, y, largest);
            }
        }
    }

    #[inline(always)]
    fn pool_any(&self, start: Start, x: &[f32], y: &mut [f32], largest: &mut [u8]) {
        let pixels = y.as_chunks_mut::<LANES>().0.iter_mut().zip(largest.as_chunks_mut::<LANES>().0);
        for (at, (y, largest)) in pixels.enumerate() {
            let output = [start.output + at / self.output[1], at % self.output[1]];
            let (rows, columns) = (self.inside(output[0], 0), self.inside(output[1], 1));
            let first = (rows.start * self.window.size + columns.start) as u8;
            (*y, *largest) = (*OUTSIDE, [first; LANES]);
            for u in rows {
                for v in columns.clone() {
                    let Some(x) = x[self.place(start.input, output, [u, v])..].first_chunk() else { continue };
                    take_larger(x, (u * self.window.size + v) as u8, y, largest);
                }
            }
        }
    }

    /// Adds to `dx`, window by window in their order.
    #[inline(always)]
    pub(super) fn spread(&self, largest: &[u8], dy: &[f32], dx: &mut [f32]) {
        match self.window.size {
            2 => self.spread_sized::<2>(largest, dy, dx),
            3 => self.spread_sized::<3>(largest, dy, dx),
            5 => self.spread_sized::<5>(largest, dy, dx),
            _ => self.spread_any(largest, dy, dx),
        }
    }

    // Indices rather than iterators over arrays: those are not always inlined into the instruction set.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    fn spread_sized<const SIZE: usize>(&self, largest: &[u8], dy: &[f32], dx: &mut [f32]) {
        let (out_row, row, whole) = (self.output[1] * LANES, self.input[1] * LANES, self.whole_columns());
        for (i, (dy, largest)) in dy.chunks_exact(out_row).zip(largest.chunks_exact(out_row)).enumerate() {
            let rows = self.inside(i, 0);
            let all_rows = rows.len() == SIZE;
            let windows = dy.as_chunks::<LANES>().0.iter().zip(largest.as_chunks::<LANES>().0);
            for (j, (dy, largest)) in windows.enumerate() {
                if !all_rows || !whole.contains(&j) {
                    self.spread_window([i, j], largest, dy, dx);
                    continue;
                }
                let first = self.place(0, [i, j], [0, 0]);
                // Copies, of which the compiler knows that writing to `dx` does not change them.
                let (largest, dy) = (largest.map(u32::from), *dy);
                for u in 0..SIZE {
                    let (row, _) = dx[first + u * row..][..SIZE * LANES].as_chunks_mut::<LANES>();
                    for v in 0..SIZE {
                        for lane in 0..LANES {
                            row[v][lane] += if largest[lane] == (u * SIZE + v) as u32 { dy[lane] } else { 0.0 };
                        }
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn spread_any(&self, largest: &[u8], dy: &[f32], dx: &mut [f32]) {
        let windows = dy.as_chunks::<LANES>().0.iter().zip(largest.as_chunks::<LANES>().0);
        for (at, (dy, largest)) in windows.enumerate() {
            self.spread_window([at / self.output[1], at % self.output[1]], largest, dy, dx);
        }
    }

    #[inline(always)]
    fn spread_window(&self, output: [usize; 2], largest: &[u8; LANES], dy: &Pixel, dx: &mut [f32]) {
        let columns = self.inside(output[1], 1);
        for u in self.inside(output[0], 0) {
            for v in columns.clone() {
                let place = self.place(0, output, [u, v]);
                let Some(dx) = dx[place..].first_chunk_mut() else { continue };
                add_share((u * self.window.size + v) as u8, largest, dy, dx);
            }
        }
    }
}

/// The maxima of a window's pixels, and which they are; `first` is the number of the first one in the image.
// Indices rather than iterators over arrays: those are not always inlined into the instruction set.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
fn maximum<const SIZE: usize>(pixels: &[[&Pixel; SIZE]; SIZE], first: u8, y: &mut Pixel, largest: &mut [u8; LANES]) {
    for lane in 0..LANES {
        let (mut best, mut at) = (f32::NEG_INFINITY, first);
        for u in 0..SIZE {
            for v in 0..SIZE {
                let value = pixels[u][v][lane];
                let larger = value > best || value.is_nan();
                at = if larger { (u * SIZE + v) as u8 } else { at };
                best = if larger { value } else { best };
            }
        }
        y[lane] = best;
        largest[lane] = at;
    }
}

/// Of equals the first wins, and what is no number over numbers.
#[inline(always)]
fn take_larger(x: &Pixel, number: u8, y: &mut Pixel, largest: &mut [u8; LANES]) {
    for lane in 0..LANES {
        let larger = x[lane] > y[lane] || x[lane].is_nan();
        y[lane] = if larger { x[lane] } else { y[lane] };
        largest[lane] = if larger { number } else { largest[lane] };
    }
}

/// The gradient goes to the pixel with this number where it was the largest.
#[inline(always)]
fn add_share(number: u8, largest: &[u8; LANES], dy: &Pixel, dx: &mut Pixel) {
    for lane in 0..LANES {
        dx[lane] += if largest[lane] == number { dy[lane] } else { 0.0 };
    }
}

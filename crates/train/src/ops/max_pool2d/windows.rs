//! Windows of any size and step, on planes of 16 channels.

use super::Window;
use crate::device::cpu::layout::LANES;
use std::ops::Range;

/// One plane's pooling: rows and columns of input and output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plane {
    pub window: Window,
    pub input: [usize; 2],
    pub output: [usize; 2],
}

impl Plane {
    /// The rows (or columns) of the window of output `at` that lie in the image.
    fn inside(&self, at: usize, axis: usize) -> Range<usize> {
        let Window { size, stride, padding } = self.window;
        let start = at * stride;
        padding.saturating_sub(start)..size.min((self.input[axis] + padding).saturating_sub(start))
    }

    /// Where pixel `(u, v)` of the window of output `(i, j)` begins in the plane.
    fn place(&self, [i, j]: [usize; 2], [u, v]: [usize; 2]) -> usize {
        let Window { stride, padding, .. } = self.window;
        ((i * stride + u - padding) * self.input[1] + j * stride + v - padding) * LANES
    }

    #[inline(always)]
    pub(crate) fn pool(&self, x: &[f32], y: &mut [f32], largest: &mut [u8]) {
        let pixels = y.as_chunks_mut::<LANES>().0.iter_mut().zip(largest.as_chunks_mut::<LANES>().0);
        for (at, (y, largest)) in pixels.enumerate() {
            let output = [at / self.output[1], at % self.output[1]];
            let (rows, columns) = (self.inside(output[0], 0), self.inside(output[1], 1));
            let first = (rows.start * self.window.size + columns.start) as u8;
            (*y, *largest) = ([f32::NEG_INFINITY; LANES], [first; LANES]);
            for u in rows {
                for v in columns.clone() {
                    let Some(x) = x[self.place(output, [u, v])..].first_chunk::<LANES>() else { continue };
                    let number = (u * self.window.size + v) as u8;
                    for lane in 0..LANES {
                        let larger = x[lane] > y[lane] || x[lane].is_nan();
                        y[lane] = if larger { x[lane] } else { y[lane] };
                        largest[lane] = if larger { number } else { largest[lane] };
                    }
                }
            }
        }
    }

    /// Adds to `dx`, window by window in their order.
    #[inline(always)]
    pub(crate) fn spread(&self, largest: &[u8], dy: &[f32], dx: &mut [f32]) {
        let pixels = dy.as_chunks::<LANES>().0.iter().zip(largest.as_chunks::<LANES>().0);
        for (at, (dy, largest)) in pixels.enumerate() {
            let output = [at / self.output[1], at % self.output[1]];
            let (rows, columns) = (self.inside(output[0], 0), self.inside(output[1], 1));
            for u in rows {
                for v in columns.clone() {
                    let place = self.place(output, [u, v]);
                    let Some(dx) = dx[place..].first_chunk_mut::<LANES>() else { continue };
                    let number = (u * self.window.size + v) as u8;
                    for lane in 0..LANES {
                        dx[lane] += if largest[lane] == number { dy[lane] } else { 0.0 };
                    }
                }
            }
        }
    }
}

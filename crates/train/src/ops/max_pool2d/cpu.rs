//! The pooling on the CPU: one task a plane of 16 channels.

use super::windows::Plane;
use super::{MaxPool2dKernel, Window, reference};
use crate::device::cpu::layout::{self, LANES, blocked_len};
use crate::device::cpu::simd::{is_reference, vectorized};
use crate::device::cpu::{Buffer, BufferPool};
use crate::tensor::memory::Accumulate;
use dfdx::tensor::{Cpu, HasErr};
use rayon::prelude::*;

impl MaxPool2dKernel for Cpu {
    fn max_pool2d(
        &self,
        pool: &BufferPool,
        window: Window,
        shapes @ [[_, _, h, w], out @ [_, _, out_h, out_w]]: [[usize; 4]; 2],
        x: &Buffer,
        y: &mut Buffer,
    ) -> Result<Buffer, <Self as HasErr>::Err> {
        let mut largest = pool.take(blocked_len(out).div_ceil(4));
        if is_reference() {
            reference_pool(window, shapes, x, y, largest.as_bytes_mut());
            return Ok(largest);
        }
        let plane = Plane { window, input: [h, w], output: [out_h, out_w] };
        let out_plane = out_h * out_w * LANES;
        y.par_chunks_mut(out_plane)
            .zip(largest.as_bytes_mut().par_chunks_mut(out_plane))
            .zip(x.par_chunks(h * w * LANES))
            .for_each(|((y, largest), x)| match window {
                Window::HALVING => vectorized(|| halve_plane(w, x, y, largest)),
                _ => vectorized(|| plane.pool(x, y, largest)),
            });
        Ok(largest)
    }

    fn max_pool2d_gradient(
        &self,
        window: Window,
        shapes @ [[_, _, h, w], [_, _, out_h, out_w]]: [[usize; 4]; 2],
        largest: &Buffer,
        dy: &Buffer,
        dx: &mut Buffer,
        accumulate: Accumulate,
    ) -> Result<(), <Self as HasErr>::Err> {
        if is_reference() {
            reference_gradient(window, shapes, largest.as_bytes(), dy, accumulate, dx);
            return Ok(());
        }
        let plane = Plane { window, input: [h, w], output: [out_h, out_w] };
        let halving = window == Window::HALVING;
        let all_written = halving && h % 2 == 0 && w % 2 == 0;
        let out_plane = out_h * out_w * LANES;
        dx.par_chunks_mut(h * w * LANES)
            .zip(largest.as_bytes().par_chunks(out_plane))
            .zip(dy.par_chunks(out_plane))
            .for_each(|((dx, largest), dy)| {
                if accumulate == Accumulate::Overwrite && !all_written {
                    dx.fill(0.0);
                }
                match (halving, accumulate) {
                    (true, Accumulate::Overwrite) => vectorized(|| double_plane::<false>(w, largest, dy, dx)),
                    (true, Accumulate::Add) => vectorized(|| double_plane::<true>(w, largest, dy, dx)),
                    (false, _) => vectorized(|| plane.spread(largest, dy, dx)),
                }
            });
        Ok(())
    }
}

/// [`reference::forward`] on the blocked layout.
pub(super) fn reference_pool(
    window: Window,
    shapes @ [shape, out]: [[usize; 4]; 2],
    x: &[f32],
    y: &mut [f32],
    largest: &mut [u8],
) {
    let (values, numbers) = reference::forward(window, shapes, &layout::plain(x, shape));
    layout::put(&values, out, Accumulate::Overwrite, y);
    let numbers: Vec<f32> = numbers.iter().map(|&number| number as f32).collect();
    let mut blocked = vec![0.0; blocked_len(out)];
    layout::put(&numbers, out, Accumulate::Overwrite, &mut blocked);
    largest.iter_mut().zip(blocked).for_each(|(largest, number)| *largest = number as u8);
}

/// [`reference::gradient`] on the blocked layout.
pub(super) fn reference_gradient(
    window: Window,
    shapes @ [shape, out]: [[usize; 4]; 2],
    largest: &[u8],
    dy: &[f32],
    accumulate: Accumulate,
    dx: &mut [f32],
) {
    let numbers: Vec<f32> = largest.iter().take(blocked_len(out)).map(|&number| f32::from(number)).collect();
    let numbers: Vec<usize> = layout::plain(&numbers, out).into_iter().map(|number| number as usize).collect();
    layout::put(&reference::gradient(window, shapes, &numbers, &layout::plain(dy, out)), shape, accumulate, dx);
}

#[inline(always)]
fn halve_plane(w: usize, x: &[f32], y: &mut [f32], largest: &mut [u8]) {
    let out_row = w / 2 * LANES;
    let rows = y.chunks_exact_mut(out_row).zip(largest.chunks_exact_mut(out_row)).zip(x.chunks_exact(2 * w * LANES));
    for ((y, largest), x) in rows {
        let (top, bottom) = x.split_at(w * LANES);
        let pixels = y.chunks_exact_mut(LANES).zip(largest.chunks_exact_mut(LANES));
        let windows = top.chunks_exact(2 * LANES).zip(bottom.chunks_exact(2 * LANES));
        for ((y, largest), (top, bottom)) in pixels.zip(windows) {
            for lane in 0..LANES {
                let (mut best, mut at) = (top[lane], 0);
                for (value, index) in [(top[lane + LANES], 1), (bottom[lane], 2), (bottom[lane + LANES], 3)] {
                    let larger = value > best || value.is_nan();
                    at = if larger { index } else { at };
                    best = if larger { value } else { best };
                }
                y[lane] = best;
                largest[lane] = at;
            }
        }
    }
}

#[inline(always)]
fn double_plane<const ADD: bool>(w: usize, largest: &[u8], dy: &[f32], dx: &mut [f32]) {
    let out_row = w / 2 * LANES;
    let rows = dy.chunks_exact(out_row).zip(largest.chunks_exact(out_row)).zip(dx.chunks_exact_mut(2 * w * LANES));
    for ((dy, largest), dx) in rows {
        let (top, bottom) = dx.split_at_mut(w * LANES);
        let pixels = dy.chunks_exact(LANES).zip(largest.chunks_exact(LANES));
        let windows = top.chunks_exact_mut(2 * LANES).zip(bottom.chunks_exact_mut(2 * LANES));
        for ((dy, largest), (top, bottom)) in pixels.zip(windows) {
            for lane in 0..LANES {
                let share = |index| if largest[lane] == index { dy[lane] } else { 0.0 };
                store::<ADD>(&mut top[lane], share(0));
                store::<ADD>(&mut top[lane + LANES], share(1));
                store::<ADD>(&mut bottom[lane], share(2));
                store::<ADD>(&mut bottom[lane + LANES], share(3));
            }
        }
    }
}

#[inline(always)]
fn store<const ADD: bool>(target: &mut f32, value: f32) {
    *target = if ADD { *target + value } else { value };
}

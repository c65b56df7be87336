//! The pooling on the CPU: one task a plane of 16 channels. What is pending is applied band by band, so that it is read
//! from the cache.

use super::windows::{Plane, Start};
use super::{MaxPool2dKernel, Window, reference};
use crate::device::cpu::layout::{self, LANES, blocked_len, blocks};
use crate::device::cpu::simd::{Kernel, Simd, dispatch, is_reference, level};
use crate::device::cpu::{Buffer, BufferPool, host};
use crate::ops::batch_norm2d::{LaneAffine, reference::affine as apply};
use crate::tensor::memory::Accumulate;
use crate::tensor::pending::Affine;
use dfdx::tensor::{Cpu, HasErr};
use rayon::prelude::*;

/// Floats of a band to which what is pending is applied: a part of a second-level cache.
const BAND_FLOATS: usize = 32 * 1024;

impl MaxPool2dKernel for Cpu {
    fn max_pool2d(
        &self,
        pool: &BufferPool,
        window: Window,
        shapes @ [[_, c, h, w], out @ [_, _, out_h, out_w]]: [[usize; 4]; 2],
        x: &Buffer,
        affine: Option<&Affine<Self>>,
        y: &mut Buffer,
    ) -> Result<Buffer, <Self as HasErr>::Err> {
        let mut largest = pool.take(blocked_len(out).div_ceil(4));
        if is_reference() {
            reference_pool(window, shapes, x, affine, y, largest.as_bytes_mut());
            return Ok(largest);
        }
        let plane = Plane { window, input: [h, w], output: [out_h, out_w] };
        let (affine, out_plane) = (affine.map(LaneAffine::new), out_h * out_w * LANES);
        y.par_chunks_mut(out_plane)
            .zip(largest.as_bytes_mut().par_chunks_mut(out_plane))
            .zip(x.par_chunks(h * w * LANES))
            .enumerate()
            .for_each(|(at, ((y, largest), x))| match &affine {
                Some(affine) => pool_pending(plane, pool, (affine, at % blocks(c)), x, y, largest),
                None => pool_rows(plane, Start::default(), x, y, largest),
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
        let all_written = window == Window::HALVING && h % 2 == 0 && w % 2 == 0;
        let out_plane = out_h * out_w * LANES;
        dx.par_chunks_mut(h * w * LANES)
            .zip(largest.as_bytes().par_chunks(out_plane))
            .zip(dy.par_chunks(out_plane))
            .for_each(|((dx, largest), dy)| {
                if accumulate == Accumulate::Overwrite && !all_written {
                    dx.fill(0.0);
                }
                // SAFETY: `level` is the machine's; the kernel asks for nothing else.
                unsafe { dispatch(level(), Spread { plane, accumulate, largest, dy, dx }) };
            });
        Ok(())
    }
}

/// Pools the rows of a plane from `start` on.
fn pool_rows(plane: Plane, start: Start, x: &[f32], y: &mut [f32], largest: &mut [u8]) {
    // SAFETY: `level` is the machine's; the kernel asks for nothing else.
    unsafe { dispatch(level(), Pool { plane, start, x, y, largest }) };
}

/// Kernels rather than closures: those are too long to be inlined into the instruction set unasked.
struct Pool<'a> {
    plane: Plane,
    start: Start,
    x: &'a [f32],
    y: &'a mut [f32],
    largest: &'a mut [u8],
}

impl Kernel for Pool<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { plane, start, x, y, largest } = self;
        match plane.window {
            Window::HALVING => halve_plane(plane.input[1], x, y, largest),
            _ => plane.pool(start, x, y, largest),
        }
    }
}

/// Adds to `dx`, or writes it where every pixel has one window.
struct Spread<'a> {
    plane: Plane,
    accumulate: Accumulate,
    largest: &'a [u8],
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl Kernel for Spread<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { plane, accumulate, largest, dy, dx } = self;
        let w = plane.input[1];
        match (plane.window, accumulate) {
            (Window::HALVING, Accumulate::Overwrite) => double_plane::<false>(w, largest, dy, dx),
            (Window::HALVING, Accumulate::Add) => double_plane::<true>(w, largest, dy, dx),
            _ => plane.spread(largest, dy, dx),
        }
    }
}

/// Pools a plane of a channel block whose values are still to be computed.
fn pool_pending(
    plane: Plane,
    pool: &BufferPool,
    (affine, block): (&LaneAffine, usize),
    x: &[f32],
    y: &mut [f32],
    largest: &mut [u8],
) {
    let (out_row, row) = (plane.output[1] * LANES, plane.input[1] * LANES);
    let [rows, reach] = plane.band(BAND_FLOATS);
    let mut applied = pool.take(reach * row);
    let bands = y.chunks_mut(rows * out_row).zip(largest.chunks_mut(rows * out_row));
    for (band, (y, largest)) in bands.enumerate() {
        let top = band * rows;
        let reach = plane.reach(top..top + y.len() / out_row);
        let x = &x[reach.start * row..reach.end * row];
        let applied = &mut applied[..x.len()];
        affine.apply(level(), block, x, applied);
        pool_rows(plane, Start { output: top, input: reach.start }, applied, y, largest);
    }
}

/// [`reference::forward`] on the blocked layout.
pub(super) fn reference_pool(
    window: Window,
    shapes @ [shape, out]: [[usize; 4]; 2],
    x: &[f32],
    affine: Option<&Affine<Cpu>>,
    y: &mut [f32],
    largest: &mut [u8],
) {
    let x = layout::plain(x, shape);
    let x = match affine {
        Some(of) => apply(shape, &x, &host(&of.scale), &host(&of.shift), of.activation),
        None => x,
    };
    let (values, numbers) = reference::forward(window, shapes, &x);
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

//! The pooling on the CPU: one task a plane of 16 channels.

use super::{MaxPool2dKernel, reference};
use crate::device::cpu::layout::{self, LANES, blocks};
use crate::device::cpu::simd::{is_reference, vectorized};
use crate::device::cpu::{Buffer, BufferPool};
use crate::tensor::memory::Accumulate;
use dfdx::tensor::{Cpu, HasErr};
use rayon::prelude::*;

impl MaxPool2dKernel for Cpu {
    fn max_pool2d(
        &self,
        pool: &BufferPool,
        [n, c, h, w]: [usize; 4],
        x: &Buffer,
        y: &mut Buffer,
    ) -> Result<Buffer, <Self as HasErr>::Err> {
        let outputs = n * blocks(c) * (h / 2) * (w / 2) * LANES;
        let mut largest = pool.take(outputs.div_ceil(4));
        if is_reference() {
            reference_pool([n, c, h, w], x, y, largest.as_bytes_mut());
            return Ok(largest);
        }
        let out_plane = (h / 2) * (w / 2) * LANES;
        y.par_chunks_mut(out_plane)
            .zip(largest.as_bytes_mut().par_chunks_mut(out_plane))
            .zip(x.par_chunks(h * w * LANES))
            .for_each(|((y, largest), x)| vectorized(|| pool_plane(w, x, y, largest)));
        Ok(largest)
    }

    fn max_pool2d_gradient(
        &self,
        shape: [usize; 4],
        largest: &Buffer,
        dy: &Buffer,
        dx: &mut Buffer,
        accumulate: Accumulate,
    ) -> Result<(), <Self as HasErr>::Err> {
        let [_, _, h, w] = shape;
        if is_reference() {
            reference_gradient(shape, largest.as_bytes(), dy, accumulate, dx);
            return Ok(());
        }
        let out_plane = (h / 2) * (w / 2) * LANES;
        dx.par_chunks_mut(h * w * LANES)
            .zip(largest.as_bytes().par_chunks(out_plane))
            .zip(dy.par_chunks(out_plane))
            .for_each(|((dx, largest), dy)| {
                if accumulate == Accumulate::Overwrite && (h % 2 == 1 || w % 2 == 1) {
                    dx.fill(0.0);
                }
                match accumulate {
                    Accumulate::Overwrite => vectorized(|| spread_plane::<false>(w, largest, dy, dx)),
                    Accumulate::Add => vectorized(|| spread_plane::<true>(w, largest, dy, dx)),
                }
            });
        Ok(())
    }
}

/// [`reference::forward`] on the blocked layout.
fn reference_pool(shape: [usize; 4], x: &[f32], y: &mut [f32], largest: &mut [u8]) {
    let [n, c, h, w] = shape;
    let out = [n, c, h / 2, w / 2];
    let (values, best) = reference::forward(shape, &layout::plain(x, shape));
    layout::put(&values, out, Accumulate::Overwrite, y);
    let which = best.iter().map(|&at| ((at / w % h % 2) * 2 + at % w % 2) as f32).collect::<Vec<_>>();
    let mut blocked = vec![0.0; layout::blocked_len(out)];
    layout::put(&which, out, Accumulate::Overwrite, &mut blocked);
    largest.iter_mut().zip(blocked).for_each(|(largest, which)| *largest = which as u8);
}

/// [`reference::gradient`] on the blocked layout.
fn reference_gradient(shape: [usize; 4], largest: &[u8], dy: &[f32], accumulate: Accumulate, dx: &mut [f32]) {
    let [n, c, h, w] = shape;
    let out = [n, c, h / 2, w / 2];
    let which: Vec<f32> = largest.iter().take(layout::blocked_len(out)).map(|&which| f32::from(which)).collect();
    let index = |(at, which): (usize, f32)| {
        let (plane, i, j) = (at / (h / 2 * (w / 2)), at / (w / 2) % (h / 2), at % (w / 2));
        (plane * h + 2 * i + which as usize / 2) * w + 2 * j + which as usize % 2
    };
    let best: Vec<usize> = layout::plain(&which, out).into_iter().enumerate().map(index).collect();
    layout::put(&reference::gradient(shape, &best, &layout::plain(dy, out)), shape, accumulate, dx);
}

#[inline(always)]
fn pool_plane(w: usize, x: &[f32], y: &mut [f32], largest: &mut [u8]) {
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
                    at = if value > best { index } else { at };
                    best = if value > best { value } else { best };
                }
                y[lane] = best;
                largest[lane] = at;
            }
        }
    }
}

#[inline(always)]
fn spread_plane<const ADD: bool>(w: usize, largest: &[u8], dy: &[f32], dx: &mut [f32]) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{assert_close, noise};
    use crate::tensor::memory::Memory;

    #[test]
    fn fast_equals_reference() {
        let (device, pool) = (Cpu::default(), BufferPool::default());
        for shape in [[1, 1, 2, 2], [2, 3, 5, 4], [1, 17, 3, 7], [3, 16, 8, 8], [1, 33, 2, 9]] {
            let out = [shape[0], shape[1], shape[2] / 2, shape[3] / 2];
            // Few different values, so that windows have ties.
            let x: Vec<f32> = noise(1, shape.iter().product()).iter().map(|v| (v * 4.0).round()).collect();
            let (dy, start) = (noise(2, out.iter().product()), noise(3, x.len()));
            let (expected, best) = reference::forward(shape, &x);
            let blocked = device.upload(&pool, shape, &x).unwrap();
            let mut y = device.allocate(&pool, out).unwrap();
            let largest = device.max_pool2d(&pool, shape, &blocked, &mut y).unwrap();
            assert_close(&format!("{shape:?}"), &device.download(out, &y).unwrap(), &expected);

            let dy_blocked = device.upload(&pool, out, &dy).unwrap();
            let expected = reference::gradient(shape, &best, &dy);
            let mut dx = device.upload(&pool, shape, &start).unwrap();
            device.max_pool2d_gradient(shape, &largest, &dy_blocked, &mut dx, Accumulate::Add).unwrap();
            let sum: Vec<f32> = start.iter().zip(&expected).map(|(a, b)| a + b).collect();
            assert_close(&format!("{shape:?}, added"), &device.download(shape, &dx).unwrap(), &sum);
            device.max_pool2d_gradient(shape, &largest, &dy_blocked, &mut dx, Accumulate::Overwrite).unwrap();
            assert_close(&format!("{shape:?}, overwritten"), &device.download(shape, &dx).unwrap(), &expected);

            // The reference level's way to the same loops.
            let (mut plain_y, mut plain_largest) = (vec![0.0; y.len()], vec![0; y.len()]);
            reference_pool(shape, &blocked, &mut plain_y, &mut plain_largest);
            assert!(plain_y == y[..] && plain_largest == largest.as_bytes()[..y.len()], "{shape:?}");
            let mut plain_dx = vec![0.0; dx.len()];
            reference_gradient(shape, &plain_largest, &dy_blocked, Accumulate::Overwrite, &mut plain_dx);
            assert_eq!(plain_dx, dx[..], "{shape:?}");
        }
    }
}

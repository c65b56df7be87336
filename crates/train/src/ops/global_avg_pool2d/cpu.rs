//! The mean on the CPU: one task a plane of 16 channels.

use super::{GlobalAvgPool2dKernel, reference};
use crate::device::cpu::Buffer;
use crate::device::cpu::layout::{self, LANES};
use crate::device::cpu::simd::{is_reference, level, vectorized};
use crate::device::cpu::sums::add_pixels;
use crate::tensor::memory::Accumulate;
use dfdx::tensor::{Cpu, HasErr};
use rayon::prelude::*;

impl GlobalAvgPool2dKernel for Cpu {
    fn global_avg_pool2d(
        &self,
        shape @ [n, c, h, w]: [usize; 4],
        x: &Buffer,
        y: &mut Buffer,
    ) -> Result<(), <Self as HasErr>::Err> {
        if is_reference() {
            let means = reference::forward(shape, &layout::plain(x, shape));
            layout::put(&means, [n, c, 1, 1], Accumulate::Overwrite, y);
            return Ok(());
        }
        let factor = 1.0 / (h * w) as f32;
        y.par_chunks_mut(LANES).zip(x.par_chunks(h * w * LANES)).for_each(|(y, x)| {
            y.fill(0.0);
            add_pixels(level(), x, y);
            y.iter_mut().for_each(|y| *y *= factor);
        });
        Ok(())
    }

    fn global_avg_pool2d_gradient(
        &self,
        shape @ [n, c, h, w]: [usize; 4],
        dy: &Buffer,
        dx: &mut Buffer,
        accumulate: Accumulate,
    ) -> Result<(), <Self as HasErr>::Err> {
        if is_reference() {
            let values = reference::gradient(shape, &layout::plain(dy, [n, c, 1, 1]));
            layout::put(&values, shape, accumulate, dx);
            return Ok(());
        }
        let factor = 1.0 / (h * w) as f32;
        dx.par_chunks_mut(h * w * LANES).zip(dy.par_chunks(LANES)).for_each(|(dx, dy)| {
            let shares: [f32; LANES] = std::array::from_fn(|lane| dy[lane] * factor);
            vectorized(|| spread(dx, &shares, accumulate));
        });
        Ok(())
    }
}

#[inline(always)]
fn spread(dx: &mut [f32], shares: &[f32; LANES], accumulate: Accumulate) {
    for pixel in dx.as_chunks_mut::<LANES>().0 {
        match accumulate {
            Accumulate::Overwrite => *pixel = *shares,
            Accumulate::Add => pixel.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu::BufferPool;
    use crate::ops::testing::{assert_close, noise};
    use crate::tensor::memory::Memory;

    #[test]
    fn fast_equals_reference() {
        let (device, pool) = (Cpu::default(), BufferPool::default());
        for shape @ [n, c, _, _] in [[1, 1, 1, 1], [2, 3, 5, 4], [1, 17, 3, 7], [3, 16, 8, 8], [1, 33, 31, 40]] {
            let (x, dy) = (noise(1, shape.iter().product()), noise(2, n * c));
            let blocked = device.upload(&pool, shape, &x).unwrap();
            let mut y = device.allocate(&pool, [n, c, 1, 1]).unwrap();
            device.global_avg_pool2d(shape, &blocked, &mut y).unwrap();
            let computed = device.download([n, c, 1, 1], &y).unwrap();
            assert_close(&format!("{shape:?}"), &computed, &reference::forward(shape, &x));
            assert!(y.chunks_exact(LANES).all(|lanes| lanes[c.min(LANES)..].iter().all(|v| *v == 0.0)), "spare lanes");

            let dy_blocked = device.upload(&pool, [n, c, 1, 1], &dy).unwrap();
            let expected = reference::gradient(shape, &dy);
            let mut dx = device.upload(&pool, shape, &x).unwrap();
            device.global_avg_pool2d_gradient(shape, &dy_blocked, &mut dx, Accumulate::Add).unwrap();
            let sum: Vec<f32> = x.iter().zip(&expected).map(|(a, b)| a + b).collect();
            assert_close(&format!("{shape:?}, added"), &device.download(shape, &dx).unwrap(), &sum);
            device.global_avg_pool2d_gradient(shape, &dy_blocked, &mut dx, Accumulate::Overwrite).unwrap();
            assert_close(&format!("{shape:?}, overwritten"), &device.download(shape, &dx).unwrap(), &expected);
        }
    }
}

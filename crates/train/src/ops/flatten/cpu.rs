//! Flattening on the CPU: a transposition from 16 channels side by side to one plane after another; one task an image.

use super::{FlattenKernel, reference};
use crate::device::cpu::Buffer;
use crate::device::cpu::layout::{self, LANES, blocks};
use crate::device::cpu::simd::is_reference;
use crate::tensor::memory::Accumulate;
use dfdx::tensor::{Cpu, HasErr};
use rayon::prelude::*;

impl FlattenKernel for Cpu {
    fn flatten(&self, shape: [usize; 4], x: &Buffer, y: &mut Buffer) -> Result<(), <Self as HasErr>::Err> {
        let [n, c, h, w] = shape;
        if is_reference() {
            layout::put(&reference::flatten(layout::plain(x, shape)), [n, c * h * w, 1, 1], Accumulate::Overwrite, y);
            return Ok(());
        }
        let (features, image) = (c * h * w, layout::blocked_len([1, c, h, w]));
        y.par_chunks_mut(blocks(features) * LANES).zip(x.par_chunks(image)).for_each(|(y, x)| {
            let (values, spare) = y.split_at_mut(features);
            layout::unblock(x, [1, c, h, w], values);
            spare.fill(0.0);
        });
        Ok(())
    }

    fn flatten_gradient(
        &self,
        shape: [usize; 4],
        dy: &Buffer,
        dx: &mut Buffer,
        accumulate: Accumulate,
    ) -> Result<(), <Self as HasErr>::Err> {
        let [n, c, h, w] = shape;
        if is_reference() {
            let dy = layout::plain(dy, [n, c * h * w, 1, 1]);
            layout::put(&reference::flatten_gradient(dy), shape, accumulate, dx);
            return Ok(());
        }
        let (features, image) = (c * h * w, layout::blocked_len([1, c, h, w]));
        dx.par_chunks_mut(image).zip(dy.par_chunks(blocks(features) * LANES)).for_each(|(dx, dy)| match accumulate {
            Accumulate::Overwrite => layout::block(&dy[..features], [1, c, h, w], dx),
            Accumulate::Add => {
                let mut share = vec![0.0; image];
                layout::block(&dy[..features], [1, c, h, w], &mut share);
                dx.iter_mut().zip(&share).for_each(|(dx, share)| *dx += share);
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu::BufferPool;
    use crate::ops::testing::noise;
    use crate::tensor::memory::Memory;

    #[test]
    fn order_is_that_of_the_planes_forth_and_back() {
        let (device, pool) = (Cpu::default(), BufferPool::default());
        for shape @ [n, c, h, w] in [[1, 1, 1, 1], [2, 3, 2, 5], [3, 17, 5, 7], [1, 32, 4, 9]] {
            let features = [n, c * h * w, 1, 1];
            let (values, start) = (noise(1, shape.iter().product()), noise(2, shape.iter().product()));
            let x = device.upload(&pool, shape, &values).unwrap();
            let mut y = device.allocate(&pool, features).unwrap();
            y.fill(f32::NAN);
            device.flatten(shape, &x, &mut y).unwrap();
            assert_eq!(device.download(features, &y).unwrap(), values, "{shape:?}");
            assert!(y.iter().all(|v| !v.is_nan()), "{shape:?}: spare lanes");
            let mut dx = device.upload(&pool, shape, &start).unwrap();
            device.flatten_gradient(shape, &y, &mut dx, Accumulate::Add).unwrap();
            let sum: Vec<f32> = start.iter().zip(&values).map(|(a, b)| a + b).collect();
            assert_eq!(device.download(shape, &dx).unwrap(), sum, "{shape:?}, added");
            device.flatten_gradient(shape, &y, &mut dx, Accumulate::Overwrite).unwrap();
            assert_eq!(&dx[..], &x[..], "{shape:?}, overwritten");
        }
    }
}

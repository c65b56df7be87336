//! The mean on the CPU: one task a plane of 16 channels.

use super::{GlobalAvgPool2dKernel, reference};
use crate::device::cpu::layout::{self, LANES, blocks};
use crate::device::cpu::simd::{is_reference, level, vectorized};
use crate::device::cpu::sums::add_pixels;
use crate::device::cpu::{Buffer, host};
use crate::ops::batch_norm2d::{LaneAffine, reference::affine as apply};
use crate::tensor::memory::Accumulate;
use crate::tensor::pending::Affine;
use dfdx::tensor::{Cpu, HasErr};
use rayon::prelude::*;

impl GlobalAvgPool2dKernel for Cpu {
    fn global_avg_pool2d(
        &self,
        shape @ [_, c, h, w]: [usize; 4],
        x: &Buffer,
        affine: Option<&Affine<Self>>,
        y: &mut Buffer,
    ) -> Result<(), <Self as HasErr>::Err> {
        if is_reference() {
            reference_means(shape, x, affine, y);
            return Ok(());
        }
        let (affine, factor) = (affine.map(LaneAffine::new), 1.0 / (h * w) as f32);
        y.par_chunks_mut(LANES).zip(x.par_chunks(h * w * LANES)).enumerate().for_each(|(at, (y, x))| {
            y.fill(0.0);
            match &affine {
                Some(affine) => affine.add_pixels(level(), at % blocks(c), x, y),
                None => add_pixels(level(), x, y),
            }
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

/// [`reference::forward`] on the blocked layout.
fn reference_means(shape @ [n, c, _, _]: [usize; 4], x: &[f32], affine: Option<&Affine<Cpu>>, y: &mut [f32]) {
    let x = layout::plain(x, shape);
    let x = match affine {
        Some(of) => apply(shape, &x, &host(&of.scale), &host(&of.shift), of.activation),
        None => x,
    };
    layout::put(&reference::forward(shape, &x), [n, c, 1, 1], Accumulate::Overwrite, y);
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
    use crate::tensor::activation::Activation;
    use crate::tensor::memory::Memory;
    use crate::tensor::pending::PendingKernel;
    use dfdx::tensor::TensorFromVec;

    #[test]
    fn fast_equals_reference() {
        let (device, pool) = (Cpu::default(), BufferPool::default());
        for shape @ [n, c, _, _] in [[1, 1, 1, 1], [2, 3, 5, 4], [1, 17, 3, 7], [3, 16, 8, 8], [1, 33, 31, 40]] {
            let (x, dy) = (noise(1, shape.iter().product()), noise(2, n * c));
            let blocked = device.upload(&pool, shape, &x).unwrap();
            let mut y = device.allocate(&pool, [n, c, 1, 1]).unwrap();
            device.global_avg_pool2d(shape, &blocked, None, &mut y).unwrap();
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

    /// The same bytes as if it had been written before.
    #[test]
    fn what_is_pending_is_applied_first() {
        let (device, pool) = (Cpu::default(), BufferPool::default());
        for shape @ [n, c, _, _] in [[1, 1, 1, 1], [2, 3, 5, 4], [1, 17, 3, 7], [1, 33, 31, 40]] {
            let x = device.upload(&pool, shape, &noise(1, shape.iter().product())).unwrap();
            let vector = |seed| device.tensor_from_vec(noise(seed, c), (c,));
            for activation in [Activation::None, Activation::Relu, Activation::Relu6] {
                let affine = Affine::<Cpu> { scale: vector(2), shift: vector(3), activation };
                let mut applied = device.allocate(&pool, shape).unwrap();
                device.apply_affine(shape, &affine, &x, &mut applied).unwrap();
                let [mut y, mut expected] = [(), ()].map(|()| device.allocate(&pool, [n, c, 1, 1]).unwrap());
                device.global_avg_pool2d(shape, &x, Some(&affine), &mut y).unwrap();
                device.global_avg_pool2d(shape, &applied, None, &mut expected).unwrap();
                assert_eq!(y[..], expected[..], "{shape:?}, {activation:?}");

                // The reference level's way to the same loops.
                let mut plain = vec![0.0; y.len()];
                reference_means(shape, &x, Some(&affine), &mut plain);
                assert_close(&format!("{shape:?}, {activation:?}, at the reference level"), &plain, &y);
            }
        }
    }
}

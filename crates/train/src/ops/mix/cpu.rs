//! The op on the CPU: interleaved pixels, a row at a time.

use super::{Mix, MixKernel, Rectangle};
use crate::device::cpu::{Buffer, BufferPool};
use dfdx::tensor::{Cpu, HasErr};
use rayon::prelude::*;
use std::ops::Range;

/// Of an interleaved pixel.
const CHANNELS: usize = 3;

impl MixKernel for Cpu {
    fn mix_images(
        &self,
        pool: &BufferPool,
        [n, channels, h, w]: [usize; 4],
        x: &Buffer,
        mixes: &[Mix],
        fill: [f32; 3],
    ) -> Result<Buffer, <Self as HasErr>::Err> {
        let image = h * w * CHANNELS;
        assert!(channels == CHANNELS && x.len() == n * image && mixes.len() == n, "mixes of other images");
        let mut y = pool.take(n * image);
        y.par_chunks_mut(image).zip(mixes).enumerate().for_each(|(at, (y, mix))| {
            let (own, other) = (&x[at * image..][..image], &x[mix.other * image..][..image]);
            for (row, y) in y.chunks_exact_mut(w * CHANNELS).enumerate() {
                let of_row = row * w * CHANNELS..(row + 1) * w * CHANNELS;
                mix_row(mix, row, [&own[of_row.clone()], &other[of_row]], fill, y);
            }
        });
        Ok(y)
    }
}

fn mix_row(mix: &Mix, row: usize, [own, other]: [&[f32]; 2], fill: [f32; 3], y: &mut [f32]) {
    match mix.mirrored {
        true => {
            let mirrored = own.rchunks_exact(CHANNELS);
            y.chunks_exact_mut(CHANNELS).zip(mirrored).for_each(|(y, x)| y.copy_from_slice(x));
        }
        false => y.copy_from_slice(own),
    }
    if mix.share != 1.0 {
        let (share, rest) = (mix.share, 1.0 - mix.share);
        y.iter_mut().zip(other).for_each(|(y, other)| *y = share * *y + rest * other);
    }
    if let Some(patch) = part_of(&mix.patch, row) {
        y[patch.clone()].copy_from_slice(&other[patch]);
    }
    if let Some(erased) = part_of(&mix.erased, row) {
        y[erased].chunks_exact_mut(CHANNELS).for_each(|y| y.copy_from_slice(&fill));
    }
}

/// What a rectangle covers of a row of pixels, in floats.
fn part_of(rectangle: &Rectangle, row: usize) -> Option<Range<usize>> {
    let Rectangle { top, left, bottom, right } = *rectangle;
    let covers = (top as usize..bottom as usize).contains(&row) && left < right;
    covers.then_some(left as usize * CHANNELS..right as usize * CHANNELS)
}

#[cfg(test)]
mod tests {
    use super::super::{Rectangle, reference};
    use super::*;
    use crate::ops::testing::noise;
    use proptest::prelude::*;

    fn rectangle([h, w]: [usize; 2], [a, b, c, d]: [usize; 4]) -> Rectangle {
        let ([top, bottom], [left, right]) =
            ([a.min(b) % (h + 1), a.max(b) % (h + 1)], [c.min(d) % (w + 1), c.max(d) % (w + 1)]);
        Rectangle { top: top as u32, left: left as u32, bottom: bottom as u32, right: right as u32 }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn equals_the_reference(
            n in 1usize..5, h in 1usize..9, w in 1usize..9,
            drawn in prop::collection::vec((0usize..100, 0usize..3, any::<[u8; 8]>(), any::<bool>()), 4),
        ) {
            let x = noise(1, n * h * w * 3);
            let mixes: Vec<Mix> = drawn[..n].iter().map(|&(other, share, corners, mirrored)| {
                let [a, b, c, d, e, f, g, i] = corners.map(usize::from);
                let (patch, erased) = (rectangle([h, w], [a, b, c, d]), rectangle([h, w], [e, f, g, i]));
                Mix { other: other % n, share: [1.0, 0.25, 0.0][share], patch, erased, mirrored }
            }).collect();
            let (device, pool) = (Cpu::default(), BufferPool::default());
            let mut buffer = pool.take(x.len());
            buffer.copy_from_slice(&x);
            let fill = [0.5, -0.5, 2.0];
            let y = device.mix_images(&pool, [n, 3, h, w], &buffer, &mixes, fill).unwrap();
            prop_assert_eq!(&y[..], &reference::mix(&x, [h, w], &mixes, fill)[..]);
        }
    }
}

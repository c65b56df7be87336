//! The layout of activations on the CPU: `[n, ceil(c / 16), h, w, 16]`.
//!
//! Sixteen channels of a pixel fill one cache line and one AVX-512 register (two AVX2 registers, four of NEON), so that
//! every kernel works on whole vectors whatever the width of the image. Lanes past the last channel are zero in every
//! feature map and gradient; kernels keep them so.

use crate::tensor::memory::Accumulate;

/// Channels of a pixel that lie side by side.
pub(crate) const LANES: usize = 16;

/// Number of channel blocks.
pub(crate) fn blocks(channels: usize) -> usize {
    channels.div_ceil(LANES)
}

/// Floats in the blocked layout of `[n, c, h, w]`.
pub(crate) fn blocked_len([n, c, h, w]: [usize; 4]) -> usize {
    n * blocks(c) * h * w * LANES
}

/// From `[n, c, h, w]` to the blocked layout.
pub(crate) fn block(nchw: &[f32], [_, c, h, w]: [usize; 4], blocked: &mut [f32]) {
    let plane = h * w;
    for (image, values) in blocked.chunks_exact_mut(blocks(c) * plane * LANES).zip(nchw.chunks_exact(c * plane)) {
        for (block, target) in image.chunks_exact_mut(plane * LANES).enumerate() {
            block_planes(&values[block * LANES * plane..((block + 1) * LANES).min(c) * plane], plane, target);
        }
    }
}

/// Up to 16 planes to one channel block: 16 pixels at a time, so that both sides stay in the first-level cache.
fn block_planes(planes: &[f32], plane: usize, target: &mut [f32]) {
    let channels = planes.len() / plane;
    for (at, pixels) in target.chunks_mut(LANES * LANES).enumerate() {
        if channels < LANES {
            pixels.fill(0.0);
        }
        for lane in 0..channels {
            let values = &planes[lane * plane + at * LANES..][..pixels.len() / LANES];
            pixels.iter_mut().skip(lane).step_by(LANES).zip(values).for_each(|(target, value)| *target = *value);
        }
    }
}

/// From the blocked layout to `[n, c, h, w]`.
pub(crate) fn unblock(blocked: &[f32], [_, c, h, w]: [usize; 4], nchw: &mut [f32]) {
    let plane = h * w;
    for (image, values) in blocked.chunks_exact(blocks(c) * plane * LANES).zip(nchw.chunks_exact_mut(c * plane)) {
        for (source, planes) in image.chunks_exact(plane * LANES).zip(values.chunks_mut(LANES * plane)) {
            for (at, pixels) in source.chunks(LANES * LANES).enumerate() {
                for (lane, target) in planes.chunks_exact_mut(plane).enumerate() {
                    let target = &mut target[at * LANES..][..pixels.len() / LANES];
                    target.iter_mut().zip(pixels.iter().skip(lane).step_by(LANES)).for_each(|(t, value)| *t = *value);
                }
            }
        }
    }
}

/// Values of the blocked layout in the order `[n, c, h, w]`: what reference loops read.
pub(crate) fn plain(blocked: &[f32], shape: [usize; 4]) -> Vec<f32> {
    let mut nchw = vec![0.0; shape.iter().product()];
    unblock(blocked, shape, &mut nchw);
    nchw
}

/// Puts what reference loops computed, in the order `[n, c, h, w]`, into a buffer of the blocked layout or adds it to
/// that.
pub(crate) fn put(nchw: &[f32], shape: [usize; 4], accumulate: Accumulate, blocked: &mut [f32]) {
    let mut values = vec![0.0; blocked_len(shape)];
    block(nchw, shape, &mut values);
    match accumulate {
        Accumulate::Overwrite => blocked.copy_from_slice(&values),
        Accumulate::Add => blocked.iter_mut().zip(values).for_each(|(sum, value)| *sum += value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocking_keeps_every_value_and_zeroes_the_spare_lanes() {
        for shape in [[1, 1, 1, 1], [2, 3, 2, 5], [2, 16, 3, 1], [1, 17, 2, 2], [3, 35, 1, 4]] {
            let count = shape.iter().product::<usize>();
            let nchw: Vec<f32> = (1..=count).map(|v| v as f32).collect();
            let mut blocked = vec![f32::NAN; blocked_len(shape)];
            block(&nchw, shape, &mut blocked);
            assert_eq!(blocked.iter().filter(|&&v| v == 0.0).count(), blocked.len() - count, "{shape:?}");
            let mut back = vec![0.0; count];
            unblock(&blocked, shape, &mut back);
            assert_eq!(back, nchw, "{shape:?}");
        }
    }
}

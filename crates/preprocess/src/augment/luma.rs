//! Brightness as the eye weighs the channels.

use crate::image::Pixels;

/// ITU-R 601-2 in 16 bits, rounded: Pillow's conversion to `L`, which torchvision takes too.
#[inline(always)]
pub(super) fn luma([red, green, blue]: [u8; 3]) -> u8 {
    ((u32::from(red) * 19_595 + u32::from(green) * 38_470 + u32::from(blue) * 7_471 + (1 << 15)) >> 16) as u8
}

/// All three channels become the luma (torchvision's `rgb_to_grayscale` with three channels).
pub(super) fn grayscale(pixels: &mut Pixels) {
    for pixel in pixels.data.as_chunks_mut().0 {
        *pixel = [luma(*pixel); 3];
    }
}

/// The mean luma, rounded, as `PIL.ImageEnhance.Contrast` computes it; 0 of no pixels.
pub(super) fn mean_luma(pixels: &Pixels) -> u8 {
    let all = pixels.data.as_chunks().0;
    let sum: u64 = all.iter().map(|&pixel| u64::from(luma(pixel))).sum();
    let count = all.len().max(1) as u64;
    ((2 * sum + count) / (2 * count)) as u8
}

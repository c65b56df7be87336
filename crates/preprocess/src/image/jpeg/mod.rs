//! JPEG, at full size or at a half, a quarter or an eighth of it.
//!
//! Of a picture that is shrunk afterwards anyway, a reduced decoding leaves out what shrinking would take away: of each 8x8 block only
//! the low frequencies are transformed, to 4x4, 2x2 or 1 pixels. [`headers`] reads what comes before the compressed data, [`entropy`]
//! and [`huffman`] read those, [`inverse_dct`] and [`colour`] make pixels of them, [`scan`] puts them together. That covers what
//! cameras, encoders and video tools write: baseline, 8 bits, grey or YCbCr. [`full`] reads everything else, and decides about
//! every file in which something is not as it should be, so that one decoder's strictness holds for all.

mod colour;
mod entropy;
mod full;
mod headers;
mod huffman;
mod inverse_dct;
mod scan;
#[cfg(test)]
mod tests;

pub use full::decode;

use super::decode::check_size;
use super::{Decoded, Pixels};
use headers::Headers;

/// Decodes at the smallest scale at which the picture is at least as large as `least` says, given its width and height in pixels
/// (as they are seen, orientation applied). None if that is the full size, or if this file is for [`decode`] to judge.
pub fn decode_reduced(bytes: &[u8], least: impl FnOnce(usize, usize) -> (usize, usize)) -> Option<Decoded> {
    let headers = Headers::read(bytes)?;
    let (width, height) = (headers.width, headers.height);
    check_size(width as u64, height as u64).ok()?;
    let turned = headers.orientation.is_some_and(super::orientation::swaps_sides);
    let swap = |(a, b): (usize, usize)| if turned { (b, a) } else { (a, b) };
    let (seen_width, seen_height) = swap((width, height));
    let (least_width, least_height) = swap(least(seen_width, seen_height));
    let points = points(width, height, (least_width, least_height))?;
    let pixels = scan::decode(&headers, bytes, points)?;
    let covered = [width, height].map(|side| (side * points) as f64 / 8.0);
    Some(super::orientation::apply(Decoded::part(pixels, covered), headers.orientation))
}

/// The smallest number of pixels for every 8 of a side (1, 2 or 4) that leaves a picture of this size at least as large as `least`, width
/// and height. None if that takes all 8.
pub fn points(width: usize, height: usize, least: (usize, usize)) -> Option<usize> {
    [1, 2, 4].into_iter().find(|points| width * points >= least.0 * 8 && height * points >= least.1 * 8)
}

/// The side of the reduced picture: `points` pixels for every 8, the last ones perhaps reaching over the edge.
fn reduced(side: usize, points: usize) -> usize {
    (side * points).div_ceil(8)
}

/// A black picture of the reduced size.
fn canvas(headers: &Headers, points: usize) -> Pixels {
    let (width, height) = (reduced(headers.width, points), reduced(headers.height, points));
    Pixels { width, height, data: vec![0; width * height * 3] }
}

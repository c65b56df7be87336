//! JPEG, at full size or at a half, a quarter or an eighth of it.
//!
//! Of a picture that is shrunk afterwards anyway, a reduced decoding leaves out what shrinking would take away: of
//! each 8x8 block only the low frequencies are transformed, to 4x4, 2x2 or 1 pixels. [`headers`] reads what stands
//! between the compressed data, [`entropy`] and [`huffman`] read those, [`block`] and [`progressive`] make
//! coefficients of them, [`inverse_dct`], [`plane`] and [`colour`] pixels. [`streamed`] reads files of one scan row by
//! row, [`stored`] all others, whose coefficients are kept until the last scan.
//!
//! Strict where pixels are at stake, lenient elsewhere. A file is damaged if a block or a bit of a coefficient is
//! missing, if restart markers are missing or out of order, or if compressed data are left over: all of that shows in
//! the picture. Junk between segments, unknown metadata, a missing end marker or anything after it do not.

mod block;
mod colour;
#[cfg(test)]
mod damage_tests;
mod entropy;
mod failure;
mod headers;
mod huffman;
mod inverse_dct;
#[cfg(test)]
mod kinds_tests;
mod picture;
mod plane;
mod plausible;
mod progressive;
mod standard_tables;
mod stored;
mod streamed;
#[cfg(test)]
mod tests;

use super::budget::{Beside, Held, fits, reserve};
use super::decoded::Decoded;
use super::error::ImageError;
use super::limits::check_size;
use super::orientation::{apply, swaps_sides};
use super::pixels::Pixels;
use failure::cut_short_or_damaged;
use headers::Headers;

/// Decodes at full size. `beside` says what the caller needs in memory besides the picture's size.
///
/// # Errors
/// As [`decode_at_least`].
pub fn decode(bytes: &[u8], beside: Beside) -> Result<Decoded, ImageError> {
    decode_at_least(bytes, |width, height| (width, height), beside)
}

/// Decodes at the smallest scale at which the picture is at least as large as `least` says, given its width and height
/// in pixels (as they are seen, orientation applied).
///
/// # Errors
/// Damaged, cut short, too large, or of a kind that is not supported; the same at every scale.
pub(crate) fn decode_at_least(
    bytes: &[u8],
    least: impl FnOnce(usize, usize) -> (usize, usize),
    beside: Beside,
) -> Result<Decoded, ImageError> {
    let mut headers = Headers::default();
    let mut position = 0;
    let Some(scan) = headers.next_scan(bytes, &mut position)? else {
        return Err(cut_short_or_damaged(position >= bytes.len(), "it holds no picture, only headers"));
    };
    let (width, height, orientation) = (headers.width, headers.height, headers.orientation);
    check_size(width as u64, height as u64)?;
    let turned = orientation.is_some_and(swaps_sides);
    let swap = |(a, b): (usize, usize)| if turned { (b, a) } else { (a, b) };
    let (seen_width, seen_height) = swap((width, height));
    let (least_width, least_height) = swap(least(seen_width, seen_height));
    let points = points(width, height, (least_width, least_height));
    let streamed = streamed::covers(&headers, &scan);
    let need = |points: usize| need(&headers, streamed, turned, points) + bytes.len() as u64;
    // At a reduced scale it takes less, but a file that would be refused at its full size is refused at every scale.
    fits(need(8), [width, height], beside)?;
    let held: Held = reserve(need(points), [width, height], beside)?;
    let pixels: Pixels = match streamed {
        true => streamed::decode(&headers, &scan, bytes, points)?,
        false => stored::decode(headers, scan, bytes, points)?,
    };
    let covered = [width, height].map(|side| (side * points) as f64 / 8.0);
    Ok(apply(Decoded::part(pixels, covered), orientation).holding(held))
}

/// The smallest number of pixels for every 8 of a side (1, 2, 4 or 8) that leaves a picture of this size at least as
/// large as `least`, width and height.
pub(crate) fn points(width: usize, height: usize, least: (usize, usize)) -> usize {
    let enough = |points: &usize| width * points >= least.0 * 8 && height * points >= least.1 * 8;
    [1, 2, 4].into_iter().find(enough).unwrap_or(8)
}

/// Bytes that the picture takes with `points` pixels for every 8 of a side, and its coefficients where they are kept
/// until the last scan.
fn need(headers: &Headers, streamed: bool, turned: bool, points: usize) -> u64 {
    let [across, down] = headers.units();
    let blocks: usize = headers.components.iter().map(|component| component.blocks[0] * component.blocks[1]).sum();
    let coefficients = if streamed { 0 } else { across * down * blocks * 64 * size_of::<i16>() };
    let [width, height] = [headers.width, headers.height].map(|side| (side * points).div_ceil(8));
    (width * height * 3 * if turned { 2 } else { 1 } + coefficients) as u64
}

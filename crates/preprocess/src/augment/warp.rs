//! One affine warp with one bilinear interpolation.
//!
//! Both implementations compute the same numbers. The map is evaluated in fixed point with 32 fractional bits (exact
//! to 1e-5 pixels over 4096), the position between four pixels is rounded to 1/128 pixel, and
//!
//! ```text
//! sum   = (128-fx) (128-fy) p00 + fx (128-fy) p01 + (128-fx) fy p10 + fx fy p11        a whole number below 2^24
//! value = sum brightness / 16384 in single precision, at most 255, rounded
//! ```

use super::transform::Transform;
use crate::image::Pixels;
use crate::pipeline::Fill;

/// Fractional bits of coordinates.
const FRACTION: u32 = 32;
/// Fractional bits of the position between pixels.
const BETWEEN: u32 = 7;
/// What those bits count.
const ONE: u32 = 1 << BETWEEN;

/// The map in fixed point: the image's row and column for row 0, column 0 of the result, and what each column adds.
/// Rows are added with a multiplication, so no rounding error builds up.
struct FixedPoint {
    origin: [i64; 2],
    per_row: [i64; 2],
    per_column: [i64; 2],
    /// By which the weighted sum is multiplied.
    brightness: f32,
}

impl FixedPoint {
    fn new(transform: &Transform) -> Self {
        // Coordinates far outside are all alike; the bound keeps sums of products inside 64 bits.
        let fixed = |value: f64, bound: f64| (value.clamp(-bound, bound) * (1u64 << FRACTION) as f64).round() as i64;
        let affine = &transform.affine;
        let half_step = 1i64 << (FRACTION - BETWEEN - 1);
        Self {
            origin: affine.translation.map(|t| fixed(t, 1e6) + half_step),
            per_row: [fixed(affine.matrix[0][0], 1e4), fixed(affine.matrix[1][0], 1e4)],
            per_column: [fixed(affine.matrix[0][1], 1e4), fixed(affine.matrix[1][1], 1e4)],
            brightness: transform.brightness as f32 / (ONE * ONE) as f32,
        }
    }

    /// Row and column of the image, with 32 fractional bits, half of 1/128 pixel added for rounding.
    fn at(&self, row: usize, column: usize) -> [i64; 2] {
        let along =
            |axis: usize| self.origin[axis] + self.per_row[axis] * row as i64 + self.per_column[axis] * column as i64;
        [along(0), along(1)]
    }
}

/// Splits a coordinate into the pixel before it and the 128ths beyond that.
#[inline(always)]
fn split(coordinate: i64) -> (i64, u32) {
    (coordinate >> FRACTION, (coordinate >> (FRACTION - BETWEEN)) as u32 & (ONE - 1))
}

/// The interpolated value of one channel, made brighter and rounded.
#[inline(always)]
fn blend([p00, p01, p10, p11]: [u8; 4], fx: u32, fy: u32, brightness: f32) -> u8 {
    let along = |left: u8, right: u8| (ONE - fx) * u32::from(left) + fx * u32::from(right);
    let sum = (ONE - fy) * along(p00, p01) + fy * along(p10, p11);
    ((sum as f32 * brightness).min(255.0) + 0.5) as u8
}

/// [`blend`] of three channels: `top` and `bottom` hold two neighbouring pixels in their first six bytes.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn blend_pixel(top: [u8; 8], bottom: [u8; 8], fx: u32, fy: u32, brightness: f32) -> [u8; 3] {
    [0, 1, 2].map(|c| blend([top[c], top[c + 3], bottom[c], bottom[c + 3]], fx, fy, brightness))
}

/// [`blend`] of three channels: `top` and `bottom` hold two neighbouring pixels in their first six bytes. With SSE2,
/// which every x86-64 has.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn blend_pixel(top: [u8; 8], bottom: [u8; 8], fx: u32, fy: u32, brightness: f32) -> [u8; 3] {
    use std::arch::x86_64::{
        _mm_add_epi32, _mm_add_ps, _mm_cvtepi32_ps, _mm_cvtsi64_si128, _mm_cvtsi128_si32, _mm_cvttps_epi32,
        _mm_madd_epi16, _mm_min_ps, _mm_mul_ps, _mm_packs_epi32, _mm_packus_epi16, _mm_set1_epi32, _mm_set1_ps,
        _mm_setzero_si128, _mm_srli_si128, _mm_unpacklo_epi8,
    };
    // SAFETY: SSE2 is part of x86-64, and these intrinsics work on values alone.
    let bytes = unsafe {
        // Two 16-bit weights in one number; no product reaches the other's bits.
        let columns = (ONE - fx) | fx << 16;
        // Channel by channel the left and the right pixel's value, in 16 bits each.
        let pairs = |line: [u8; 8]| {
            let left = _mm_cvtsi64_si128(i64::from_le_bytes(line));
            _mm_unpacklo_epi8(_mm_unpacklo_epi8(left, _mm_srli_si128::<3>(left)), _mm_setzero_si128())
        };
        let weighted = |line, share: u32| _mm_madd_epi16(pairs(line), _mm_set1_epi32((columns * share) as i32));
        let sum = _mm_add_epi32(weighted(top, ONE - fy), weighted(bottom, fy));
        let light = _mm_mul_ps(_mm_cvtepi32_ps(sum), _mm_set1_ps(brightness));
        let rounded = _mm_cvttps_epi32(_mm_add_ps(_mm_min_ps(light, _mm_set1_ps(255.0)), _mm_set1_ps(0.5)));
        let words = _mm_packs_epi32(rounded, rounded);
        _mm_cvtsi128_si32(_mm_packus_epi16(words, words))
    };
    let [red, green, blue, _] = bytes.to_le_bytes();
    [red, green, blue]
}

/// The pixel of the image that stands at index `index` of an axis of `length` pixels; none where the fill is black.
#[inline]
fn filled(index: i64, length: usize, fill: Fill) -> Option<usize> {
    let length = length as i64;
    let index = match fill {
        Fill::Nearest => index.clamp(0, length - 1),
        Fill::Wrap => index.rem_euclid(length),
        Fill::Reflect => {
            let index = index.rem_euclid(2 * length);
            index.min(2 * length - 1 - index)
        }
        Fill::Constant => (0..length).contains(&index).then_some(index)?,
    };
    Some(index as usize)
}

/// One pixel, wherever it comes from.
fn pixel(pixels: &Pixels, [row, column]: [i64; 2], brightness: f32, fill: Fill) -> [u8; 3] {
    let ((y, fy), (x, fx)) = (split(row), split(column));
    // As scipy's `constant`: a point beyond the outermost pixel centres is black, nothing fades.
    let beyond =
        |index: i64, fraction: u32, length: usize| index < 0 || index as usize + usize::from(fraction > 0) >= length;
    if fill == Fill::Constant && (beyond(y, fy, pixels.height) || beyond(x, fx, pixels.width)) {
        return [0; 3];
    }
    let (top, bottom) = (filled(y, pixels.height, fill), filled(y + 1, pixels.height, fill));
    let (left, right) = (filled(x, pixels.width, fill), filled(x + 1, pixels.width, fill));
    let corner = |row: Option<usize>, column: Option<usize>| match (row, column) {
        (Some(row), Some(column)) => {
            let at = (row * pixels.width + column) * 3;
            [pixels.data[at], pixels.data[at + 1], pixels.data[at + 2]]
        }
        _ => [0; 3],
    };
    let (p00, p01) = (corner(top, left), corner(top, right));
    let (p10, p11) = (corner(bottom, left), corner(bottom, right));
    [0, 1, 2].map(|c| blend([p00[c], p01[c], p10[c], p11[c]], fx, fy, brightness))
}

/// The plain implementation: every pixel by itself.
pub fn warp_reference(pixels: &Pixels, transform: &Transform, fill: Fill) -> Pixels {
    let map = FixedPoint::new(transform);
    let (width, height) = (pixels.width, pixels.height);
    let data = (0..height)
        .flat_map(|row| (0..width).map(move |column| (row, column)))
        .flat_map(|(row, column)| pixel(pixels, map.at(row, column), map.brightness, fill))
        .collect();
    Pixels { width, height, data }
}

/// The fast implementation: in every row, the columns whose neighbours all lie inside are one run without a question
/// asked.
pub fn warp(pixels: &Pixels, transform: &Transform, fill: Fill) -> Pixels {
    if pixels.data.len() < WORD {
        return warp_reference(pixels, transform, fill);
    }
    let map = FixedPoint::new(transform);
    let (width, height) = (pixels.width, pixels.height);
    let mut data = vec![0; width * height * 3];
    for (row, line) in data.chunks_exact_mut(width * 3).enumerate() {
        let inside = interior(&map, row, width, height);
        for column in (0..inside.start).chain(inside.end..width) {
            let at = map.at(row, column);
            let value = match fill {
                Fill::Nearest => nearest_pixel(pixels, at, map.brightness),
                _ => pixel(pixels, at, map.brightness, fill),
            };
            line[column * 3..column * 3 + 3].copy_from_slice(&value);
        }
        let line = &mut line[inside.start * 3..inside.end * 3];
        warp_run(pixels, map.at(row, inside.start), &map, line);
    }
    Pixels { width, height, data }
}

/// The columns of a row whose four neighbours lie inside, with a [`WORD`] to read at each. The image is convex, so
/// they are one run.
fn interior(map: &FixedPoint, row: usize, width: usize, height: usize) -> std::ops::Range<usize> {
    let is_inside = |column: usize| {
        let [y, x] = map.at(row, column).map(|coordinate| coordinate >> FRACTION);
        y >= 0 && x >= 0 && y + 1 < height as i64 && x + 2 < width as i64
    };
    let start = (0..width).find(|&column| is_inside(column)).unwrap_or(width);
    let end = (start..width).rev().find(|&column| is_inside(column)).map_or(start, |last| last + 1);
    start..end
}

/// Bytes that are read at a time: two pixels and two more.
const WORD: usize = 8;

/// The bytes from `start` on, as many as there are, then zeros.
#[inline(always)]
fn word(data: &[u8], start: usize) -> [u8; WORD] {
    let within = start.min(data.len() - WORD);
    let word = data[within..].first_chunk().map_or(0, |&word| u64::from_le_bytes(word));
    (word >> (8 * (start - within))).to_le_bytes()
}

/// One pixel with `nearest`: a point outside has the value of the edge's nearest point, so it is moved there. On the
/// last row or column the neighbours beyond, whatever they are, count nothing.
fn nearest_pixel(pixels: &Pixels, [row, column]: [i64; 2], brightness: f32) -> [u8; 3] {
    let last = [pixels.height, pixels.width].map(|length| length as i64 - 1);
    let (y, fy) = split(row.clamp(0, last[0] << FRACTION));
    let (x, fx) = split(column.clamp(0, last[1] << FRACTION));
    let words = [y, (y + 1).min(last[0])].map(|y| word(&pixels.data, (y as usize * pixels.width + x as usize) * 3));
    blend_pixel(words[0], words[1], fx, fy, brightness)
}

/// Consecutive pixels of a row, all inside.
fn warp_run(pixels: &Pixels, start: [i64; 2], map: &FixedPoint, line: &mut [u8]) {
    let stride = pixels.width * 3;
    let [mut row, mut column] = start;
    for target in line.as_chunks_mut().0 {
        let ((y, fy), (x, fx)) = (split(row), split(column));
        let offset = y as usize * stride + x as usize * 3;
        let word = |start: usize| pixels.data[start..start + WORD].first_chunk().copied().unwrap_or_default();
        *target = blend_pixel(word(offset), word(offset + stride), fx, fy, map.brightness);
        row += map.per_column[0];
        column += map.per_column[1];
    }
}

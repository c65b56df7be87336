//! One affine warp with one bilinear interpolation.
//!
//! Both implementations compute the same integers. The map is evaluated in fixed point with 32 fractional bits (exact to 1e-5 pixels
//! over 4096), the position between four pixels is rounded to 1/256 pixel, and
//!
//! ```text
//! value = brightness ((256-fx) (256-fy) p00 + fx (256-fy) p01 + (256-fx) fy p10 + fx fy p11) / 65536, rounded, at most 255
//! ```

use super::Transform;
use crate::image::Pixels;
use crate::pipeline::Fill;

/// Fractional bits of coordinates.
const FRACTION: u32 = 32;
/// Fractional bits of the brightness factor.
const BRIGHTNESS: u32 = 16;

/// The map in fixed point: the image's row and column for row 0, column 0 of the result, and what each column adds. Rows are added
/// with a multiplication, so no rounding error builds up.
struct FixedPoint {
    origin: [i64; 2],
    per_row: [i64; 2],
    per_column: [i64; 2],
    brightness: u64,
}

impl FixedPoint {
    fn new(transform: &Transform) -> Self {
        // Coordinates far outside are all alike; the bound keeps sums of products inside 64 bits.
        let fixed = |value: f64, bound: f64| (value.clamp(-bound, bound) * (1u64 << FRACTION) as f64).round() as i64;
        let affine = &transform.affine;
        let half_step = 1i64 << (FRACTION - 9);
        Self {
            origin: affine.translation.map(|t| fixed(t, 1e6) + half_step),
            per_row: [fixed(affine.matrix[0][0], 1e4), fixed(affine.matrix[1][0], 1e4)],
            per_column: [fixed(affine.matrix[0][1], 1e4), fixed(affine.matrix[1][1], 1e4)],
            brightness: (transform.brightness * f64::from(1u32 << BRIGHTNESS)).round() as u64,
        }
    }

    /// Row and column of the image, with 32 fractional bits, half of 1/256 pixel added for rounding.
    fn at(&self, row: usize, column: usize) -> [i64; 2] {
        let along =
            |axis: usize| self.origin[axis] + self.per_row[axis] * row as i64 + self.per_column[axis] * column as i64;
        [along(0), along(1)]
    }
}

/// Splits a coordinate into the pixel before it and the 256ths beyond that.
#[inline(always)]
fn split(coordinate: i64) -> (i64, u32) {
    (coordinate >> FRACTION, (coordinate >> (FRACTION - 8)) as u32 & 255)
}

/// The weights of the four pixels around a point, of sum 65536.
#[inline(always)]
fn weights(fx: u32, fy: u32) -> [u32; 4] {
    [(256 - fx) * (256 - fy), fx * (256 - fy), (256 - fx) * fy, fx * fy]
}

/// The interpolated value of one channel, made brighter and rounded.
#[inline(always)]
fn blend(weights: [u32; 4], [p00, p01, p10, p11]: [u8; 4], brightness: u64) -> u8 {
    let top = weights[0] * u32::from(p00) + weights[1] * u32::from(p01);
    let sum = top + weights[2] * u32::from(p10) + weights[3] * u32::from(p11);
    ((u64::from(sum) * brightness + (1 << (15 + BRIGHTNESS))) >> (16 + BRIGHTNESS)).min(255) as u8
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
fn pixel(pixels: &Pixels, [row, column]: [i64; 2], brightness: u64, fill: Fill) -> [u8; 3] {
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
    let weights = weights(fx, fy);
    let channel = |c: usize| blend(weights, [p00[c], p01[c], p10[c], p11[c]], brightness);
    [channel(0), channel(1), channel(2)]
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

/// The fast implementation: in every row, the columns whose four neighbours all lie inside are one run without a question asked.
pub fn warp(pixels: &Pixels, transform: &Transform, fill: Fill) -> Pixels {
    let map = FixedPoint::new(transform);
    let (width, height) = (pixels.width, pixels.height);
    let mut data = vec![0; width * height * 3];
    for (row, line) in data.chunks_exact_mut(width * 3).enumerate() {
        let inside = interior(&map, row, width, height);
        for column in (0..inside.start).chain(inside.end..width) {
            let value = pixel(pixels, map.at(row, column), map.brightness, fill);
            line[column * 3..column * 3 + 3].copy_from_slice(&value);
        }
        let line = &mut line[inside.start * 3..inside.end * 3];
        warp_run(pixels, map.at(row, inside.start), &map, line);
    }
    Pixels { width, height, data }
}

/// The columns of a row whose four neighbours lie inside. The image is convex, so they are one run.
fn interior(map: &FixedPoint, row: usize, width: usize, height: usize) -> std::ops::Range<usize> {
    let is_inside = |column: usize| {
        let [y, x] = map.at(row, column).map(|coordinate| coordinate >> FRACTION);
        y >= 0 && x >= 0 && y + 1 < height as i64 && x + 1 < width as i64
    };
    let start = (0..width).find(|&column| is_inside(column)).unwrap_or(width);
    let end = (start..width).rev().find(|&column| is_inside(column)).map_or(start, |last| last + 1);
    start..end
}

/// Consecutive pixels of a row, all inside.
fn warp_run(pixels: &Pixels, start: [i64; 2], map: &FixedPoint, line: &mut [u8]) {
    let stride = pixels.width * 3;
    let [mut row, mut column] = start;
    for target in line.chunks_exact_mut(3) {
        let ((y, fy), (x, fx)) = (split(row), split(column));
        let offset = y as usize * stride + x as usize * 3;
        let top = &pixels.data[offset..offset + 6];
        let bottom = &pixels.data[offset + stride..offset + stride + 6];
        let weights = weights(fx, fy);
        let channel = |c: usize| blend(weights, [top[c], top[c + 3], bottom[c], bottom[c + 3]], map.brightness);
        target[0] = channel(0);
        target[1] = channel(1);
        target[2] = channel(2);
        row += map.per_column[0];
        column += map.per_column[1];
    }
}

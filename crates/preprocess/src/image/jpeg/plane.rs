//! One channel's pixels, a row of minimum coded units at a time.

use super::failure::unsupported;
use super::headers::Headers;
use super::inverse_dct::{Coefficients, EXTENT, Inverse, inverse, places, scale};
use crate::image::error::ImageError;

/// How a channel with fewer samples than the picture has pixels is enlarged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Enlarge {
    /// It has as many.
    No,
    /// Each sample is repeated, horizontally and vertically.
    Repeat([usize; 2]),
    /// To twice the width, three parts of the nearer sample and one of the farther, as libjpeg does.
    Across,
    /// To twice the height, likewise.
    Down,
    /// Both.
    Both,
}

/// A channel in work.
pub(crate) struct Plane {
    /// What each coefficient, in zigzag order, is multiplied by, and where it goes.
    pub factors: [f32; 64],
    /// In [`Coefficients`].
    pub places: [u8; 64],
    inverse: Inverse,
    /// Pixels of a block.
    points: [usize; 2],
    /// Blocks of a unit.
    pub blocks: [usize; 2],
    enlarge: Enlarge,
    /// Samples that are the picture's; blocks may reach over its edge.
    samples: [usize; 2],
    /// Lines of a row of units; before them, if they are kept, those of the row before and the last of the one before
    /// that.
    lines: Vec<u8>,
    stride: usize,
    keeps: bool,
    /// The channel's line with which `lines` begins.
    first: usize,
    /// Where in `lines` the current row of units begins.
    start: usize,
}

impl Plane {
    /// For the `component`-th channel, `points` pixels for every 8 of the picture's sides.
    pub(crate) fn new(headers: &Headers, component: usize, points: usize) -> Result<Self, ImageError> {
        let quantization = headers.quantization(component)?;
        let (most, blocks) = (headers.blocks(), headers.components[component].blocks);
        // A transform to more points enlarges too, and better.
        let (mut sides, mut rest) = ([points; 2], [0, 1].map(|axis| most[axis] / blocks[axis]));
        for (side, rest) in sides.iter_mut().zip(&mut rest) {
            while *side < 8 && *rest % 2 == 0 {
                (*side, *rest) = (*side * 2, *rest / 2);
            }
        }
        let samples = headers.samples(component);
        let enlarge = match rest {
            [1, 1] => Enlarge::No,
            [2, 1] if points == 8 && samples[0] > 2 => Enlarge::Across,
            [1, 2] if points == 8 => Enlarge::Down,
            [2, 2] if points == 8 && samples[0] > 2 => Enlarge::Both,
            _ => Enlarge::Repeat(rest),
        };
        let stride = headers.units()[0] * blocks[0] * sides[0];
        let height = blocks[1] * sides[1];
        Ok(Self {
            factors: std::array::from_fn(|index| f32::from(quantization[index]) * scale(index)),
            places: places(sides[0], sides[1]),
            inverse: inverse(sides[0], sides[1]).ok_or_else(|| unsupported("JPEGs of such sampling"))?,
            points: sides,
            blocks,
            enlarge,
            samples,
            lines: vec![0; stride * height],
            keeps: false,
            stride,
            first: 0,
            start: 0,
        })
    }

    /// Whether a line of the picture is mixed from several of the channel's.
    pub(crate) fn mixes_lines(&self) -> bool {
        matches!(self.enlarge, Enlarge::Down | Enlarge::Both)
    }

    /// Keeps the row of units before the current one.
    pub(crate) fn keep_row_before(&mut self) {
        self.keeps = true;
        self.lines = vec![0; (2 * self.blocks[1] * self.points[1] + 1) * self.stride];
    }

    /// Goes on to the `row`-th row of units.
    pub(crate) fn begin(&mut self, row: usize) {
        let height = self.blocks[1] * self.points[1];
        let top = row * height;
        if self.keeps {
            let keep = top.saturating_sub(height + 1);
            self.lines.copy_within((keep - self.first) * self.stride.., 0);
            self.first = keep;
        } else {
            self.first = top;
        }
        self.start = (top - self.first) * self.stride;
    }

    /// Makes pixels of a block, `x` and `y` counted in blocks within the row of units. `last` is the index of the last
    /// coefficient that is not zero; afterwards all are.
    #[inline(always)]
    pub(crate) fn put(&mut self, coefficients: &mut Coefficients, last: usize, x: usize, y: usize) {
        let [rows, columns] = EXTENT[last & 63].map(usize::from);
        let start = self.start + y * self.points[1] * self.stride + x * self.points[0];
        (self.inverse)(coefficients, rows, columns, &mut self.lines[start..], self.stride);
        coefficients[..8 * rows].fill(0.0);
    }

    /// The channel for the picture's line `y`, enlarged in `scratch` where need be.
    pub(crate) fn line<'a>(&'a self, y: usize, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        match self.enlarge {
            Enlarge::No => return self.samples(y, self.stride),
            Enlarge::Repeat([across, down]) => {
                let samples = self.samples(y / down, self.stride);
                scratch.resize(samples.len() * across, 0);
                for (repeated, &sample) in scratch.chunks_exact_mut(across).zip(samples) {
                    repeated.fill(sample);
                }
            }
            Enlarge::Across => across(self.samples(y, self.samples[0]), scratch),
            Enlarge::Down | Enlarge::Both => {
                let near = self.samples(y / 2, self.samples[0]);
                let farther = if y.is_multiple_of(2) { (y / 2).saturating_sub(1) } else { y / 2 + 1 };
                let far = self.samples(farther.min(self.samples[1] - 1), self.samples[0]);
                match self.enlarge {
                    Enlarge::Down => down(near, far, 1 + y as u16 % 2, scratch),
                    _ => both(near, far, scratch),
                }
            }
        }
        scratch
    }

    /// The beginning of one of the channel's lines.
    fn samples(&self, line: usize, width: usize) -> &[u8] {
        &self.lines[(line - self.first) * self.stride..][..width]
    }
}

/// Three quarters of the nearer sample and one of the farther, rounded up and down in turn; the ends stand for their
/// neighbours.
fn across(samples: &[u8], out: &mut Vec<u8>) {
    let wide: Vec<u16> = samples.iter().map(|&sample| u16::from(sample)).collect();
    interleave::<2>(&wide, [1, 2], out);
}

/// Three quarters of the nearer line and one of the farther.
fn down(near: &[u8], far: &[u8], round: u16, out: &mut Vec<u8>) {
    out.clear();
    out.extend(near.iter().zip(far).map(|(&near, &far)| ((3 * u16::from(near) + u16::from(far) + round) >> 2) as u8));
}

/// As [`across`] and [`down`] at once, rounded once.
fn both(near: &[u8], far: &[u8], out: &mut Vec<u8>) {
    let sums: Vec<u16> = near.iter().zip(far).map(|(&near, &far)| 3 * u16::from(near) + u16::from(far)).collect();
    interleave::<4>(&sums, [8, 7], out);
}

/// Two for each sum: three parts of it and one of that before or behind it, plus what rounds, in units of `1 << BITS`.
fn interleave<const BITS: u32>(sums: &[u16], round: [u16; 2], out: &mut Vec<u8>) {
    let mix = |here: u16, other: u16, round: u16| ((3 * here + other + round) >> BITS) as u8;
    out.resize(2 * sums.len(), 0);
    let (Some(&first), Some(&last)) = (sums.first(), sums.last()) else { return };
    let pairs = out.as_chunks_mut::<2>().0;
    // Two passes without a branch, which the compiler turns into vectors.
    for ((pair, &here), &before) in pairs[1..].iter_mut().zip(&sums[1..]).zip(sums) {
        pair[0] = mix(here, before, round[0]);
    }
    for ((pair, &here), &after) in pairs.iter_mut().zip(sums).zip(&sums[1..]) {
        pair[1] = mix(here, after, round[1]);
    }
    let end = pairs.len() - 1;
    pairs[0][0] = mix(first, first, round[0]);
    pairs[end][1] = mix(last, last, round[1]);
}

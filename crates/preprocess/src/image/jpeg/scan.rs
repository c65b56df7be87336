//! From compressed data to pixels, one row of minimum coded units at a time.

use super::colour::{grey_to_rgb, ycc_to_rgb};
use super::entropy::{Bits, Entropy};
use super::headers::{Component, Headers};
use super::huffman::{Huffman, Symbol};
use super::inverse_dct::{Coefficients, EXTENT, Inverse, inverse, places, scale};
use super::{Pixels, canvas};

/// The fewest bits that a block takes: one for the first coefficient, one that ends it.
const LEAST_BLOCK_BITS: usize = 2;

/// Zeros skipped at a time where there are more than a symbol can say.
const LONG_RUN: usize = 15;

/// Decodes with `points` (1, 2 or 4) pixels for every 8 of a side. None if anything is not as it should be.
pub fn decode(headers: &Headers, bytes: &[u8], points: usize) -> Option<Pixels> {
    let entropy = Entropy::read(bytes.get(headers.data..)?)?;
    let blocks = headers.blocks();
    let units = [headers.width.div_ceil(8 * blocks[0]), headers.height.div_ceil(8 * blocks[1])];
    let total = units[0] * units[1];
    let interval = if headers.restart_interval == 0 { total } else { headers.restart_interval };
    let unit_blocks: usize = headers.components.iter().map(|component| component.blocks[0] * component.blocks[1]).sum();
    // Before anything is allocated.
    (is_plausible(total * unit_blocks, entropy.bits()) && entropy.intervals() == total.div_ceil(interval))
        .then_some(())?;

    let mut pixels = canvas(headers, points);
    let channel = |component| Channel::new(headers, component, points, units[0]);
    let mut channels = headers.components.iter().map(channel).collect::<Option<Vec<_>>>()?;
    let mut bits = entropy.interval(0)?;
    let mut coefficients: Coefficients = [0.0; 128];
    let strip = pixels.width * 3 * points * blocks[1];
    for (row, lines) in pixels.data.chunks_mut(strip).enumerate() {
        for column in 0..units[0] {
            let unit = row * units[0] + column;
            if unit > 0 && unit.is_multiple_of(interval) {
                is_used_up(&bits).then_some(())?;
                bits = entropy.interval(unit / interval)?;
                channels.iter_mut().for_each(|channel| channel.previous = 0);
            }
            for channel in &mut channels {
                channel.unit(&mut bits, &mut coefficients, column)?;
            }
            bits.left()?;
        }
        convert(&channels, lines, pixels.width);
    }
    is_used_up(&bits).then_some(pixels)
}

/// Whether so few bits can hold so many blocks: a file of few bytes cannot claim many pixels.
pub fn is_plausible(blocks: usize, bits: usize) -> bool {
    blocks * LEAST_BLOCK_BITS <= bits
}

/// Whether only the bits that fill up the last byte are left.
fn is_used_up(bits: &Bits) -> bool {
    bits.left().is_some_and(|left| left < 8)
}

/// Turns the channels' lines into the picture's.
fn convert(channels: &[Channel], lines: &mut [u8], width: usize) {
    for (row, rgb) in lines.chunks_mut(width * 3).enumerate() {
        match channels {
            [y, cb, cr] => ycc_to_rgb(y.line(row, width), cb.line(row, width), cr.line(row, width), rgb),
            [grey, ..] => grey_to_rgb(grey.line(row, width), rgb),
            [] => {}
        }
    }
}

/// A channel in work.
struct Channel<'a> {
    dc: &'a Huffman,
    ac: &'a Huffman,
    /// What each coefficient, in zigzag order, is multiplied by, and where it goes.
    factors: [f32; 64],
    places: [u8; 64],
    inverse: Inverse,
    /// Pixels of a block.
    points: [usize; 2],
    /// Blocks of a unit.
    blocks: [usize; 2],
    /// The last block's first coefficient.
    previous: i32,
    /// Lines of one row of units.
    pixels: Vec<u8>,
    stride: usize,
}

impl<'a> Channel<'a> {
    fn new(headers: &'a Headers, component: &Component, points: usize, units: usize) -> Option<Self> {
        let (dc, ac) = headers.huffman(component)?;
        let quantization = headers.quantization(component)?;
        let (most, blocks) = (headers.blocks(), component.blocks);
        let points = [0, 1].map(|axis| points * most[axis] / blocks[axis]);
        let stride = units * blocks[0] * points[0];
        Some(Self {
            dc,
            ac,
            factors: std::array::from_fn(|index| f32::from(quantization[index]) * scale(index)),
            places: places(points[0], points[1]),
            inverse: inverse(points[0], points[1])?,
            points,
            blocks,
            previous: 0,
            pixels: vec![0; stride * blocks[1] * points[1]],
            stride,
        })
    }

    fn line(&self, row: usize, width: usize) -> &[u8] {
        &self.pixels[row * self.stride..][..width]
    }

    /// Decodes the blocks of one unit. `coefficients` are zero before and after.
    #[inline(always)]
    fn unit(&mut self, bits: &mut Bits, coefficients: &mut Coefficients, column: usize) -> Option<()> {
        for block in 0..self.blocks[0] * self.blocks[1] {
            let (y, x) = (block / self.blocks[0], column * self.blocks[0] + block % self.blocks[0]);
            let last = self.block(bits, coefficients)?;
            let [rows, columns] = EXTENT[last & 63].map(usize::from);
            let start = y * self.points[1] * self.stride + x * self.points[0];
            (self.inverse)(coefficients, rows, columns, &mut self.pixels[start..], self.stride);
            coefficients[..8 * rows].fill(0.0);
        }
        Some(())
    }

    /// Reads a block's coefficients; returns the index of the last that is not zero.
    #[inline(always)]
    fn block(&mut self, bits: &mut Bits, coefficients: &mut Coefficients) -> Option<usize> {
        bits.refill();
        let symbol = self.dc.symbol(bits.peek())?;
        // Differences of 8-bit samples' averages have 11 bits at most.
        (symbol.run() == 0 && symbol.size() <= 11).then_some(())?;
        self.previous = self.previous.wrapping_add(value(bits, symbol));
        coefficients[0] = self.previous as f32 * self.factors[0];
        let (mut next, mut last) = (1, 0);
        while next < 64 {
            bits.refill();
            let symbol = self.ac.symbol(bits.peek())?;
            let index = next + symbol.run();
            if symbol.size() == 0 {
                bits.skip(symbol.bits());
                match symbol.run() {
                    0 => break,
                    LONG_RUN => {}
                    _ => return None,
                }
            } else {
                let value = value(bits, symbol);
                last = index;
                coefficients[usize::from(self.places.get(index)? & 127)] = value as f32 * self.factors[index & 63];
            }
            next = index + 1;
        }
        (next <= 64).then_some(last)
    }
}

/// Reads a symbol's value: with its uppermost bit 0 it is negative (ITU-T T.81, F.2.2.1).
#[inline(always)]
fn value(bits: &mut Bits, symbol: Symbol) -> i32 {
    let (all, size) = (symbol.bits(), symbol.size());
    let below = bits.peek() << (all - size);
    bits.skip(all);
    let magnitude = (below >> 1 >> (63 - size)) as i32;
    let negative = (below as i64 >> 63) as i32 + 1;
    magnitude - negative * ((1 << size) - 1)
}

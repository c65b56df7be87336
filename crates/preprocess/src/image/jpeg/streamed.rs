//! Files with all channels in one scan: no more than a row of units is kept.

use super::block;
use super::entropy::{Bits, Entropy};
use super::headers::{Headers, Scan};
use super::huffman::Huffman;
use super::inverse_dct::Coefficients;
use super::picture::Picture;
use super::plane::Plane;
use super::plausible::{check_plausible, check_used_up, unreadable};
use crate::image::error::ImageError;
use crate::image::pixels::Pixels;

/// The fewest bits that a block takes: one for the first coefficient, one that ends it.
const LEAST_BLOCK_BITS: usize = 2;

/// Whether the scan is all that makes up the picture.
pub(crate) fn covers(headers: &Headers, scan: &Scan) -> bool {
    let in_order = scan.channels.iter().enumerate().all(|(index, channel)| channel.component == index);
    !headers.progressive && in_order && scan.channels.len() == headers.components.len()
}

/// Decodes with `points` (1, 2, 4 or 8) pixels for every 8 of a side.
pub fn decode(headers: &Headers, scan: &Scan, bytes: &[u8], points: usize) -> Result<Pixels, ImageError> {
    let entropy = Entropy::read(bytes, scan.data);
    let units = headers.units();
    let total = units[0] * units[1];
    let interval = if headers.restart_interval == 0 { total } else { headers.restart_interval };
    let unit_blocks: usize = headers.components.iter().map(|component| component.blocks[0] * component.blocks[1]).sum();
    // Before anything is allocated.
    entropy.check_intervals(total.div_ceil(interval))?;
    check_plausible(total * unit_blocks * LEAST_BLOCK_BITS, &entropy)?;

    let mut picture = Picture::new(headers, headers.colour(), points)?;
    let coder = |channel| Ok(Coder { dc: headers.dc(channel)?, ac: headers.ac(channel)?, previous: 0 });
    let mut coders = scan.channels.iter().map(coder).collect::<Result<Vec<_>, ImageError>>()?;
    let mut bits = entropy.interval(0);
    let mut coefficients: Coefficients = [0.0; 128];
    for row in 0..units[1] {
        picture.begin(row);
        for column in 0..units[0] {
            let unit = row * units[0] + column;
            if unit > 0 && unit.is_multiple_of(interval) {
                check_used_up(&bits)?;
                bits = entropy.interval(unit / interval);
                coders.iter_mut().for_each(|coder| coder.previous = 0);
            }
            for (plane, coder) in picture.planes.iter_mut().zip(&mut coders) {
                if coder.unit(&mut bits, plane, &mut coefficients, column).is_none() {
                    return Err(unreadable(&bits, &entropy, bytes, unit, total));
                }
            }
            if bits.left().is_none() {
                return Err(unreadable(&bits, &entropy, bytes, unit, total));
            }
        }
        picture.end(row);
    }
    check_used_up(&bits)?;
    Ok(picture.finish())
}

/// A channel's codes and state.
struct Coder<'a> {
    dc: &'a Huffman,
    ac: &'a Huffman,
    /// The last block's first coefficient.
    previous: i32,
}

impl Coder<'_> {
    /// Decodes the blocks of one unit. `coefficients` are zero before and after.
    #[inline(always)]
    fn unit(
        &mut self,
        bits: &mut Bits,
        plane: &mut Plane,
        coefficients: &mut Coefficients,
        column: usize,
    ) -> Option<()> {
        let [across, down] = plane.blocks;
        for index in 0..across * down {
            let (y, x) = (index / across, column * across + index % across);
            let (factors, places) = (&plane.factors, &plane.places);
            let put = |index: usize, value: i32| {
                coefficients[usize::from(places[index & 63] & 127)] = value as f32 * factors[index & 63];
            };
            let last = block::read(bits, self.dc, self.ac, &mut self.previous, put)?;
            plane.put(coefficients, last, x, y);
        }
        Some(())
    }
}

//! The coefficients of one block that come in several scans (ITU-T T.81, annex G).

use super::block;
use super::entropy::Bits;
use super::huffman::{Huffman, Symbol};

/// A block's coefficients in zigzag order.
pub(crate) type Block = [i16; 64];

/// Zeros skipped at a time where there are more than a symbol can say.
const LONG_RUN: usize = 15;

/// First coefficients but for their `low` lowest bits.
pub(crate) fn first_dc(bits: &mut Bits, dc: &Huffman, previous: &mut i32, low: u8, block: &mut Block) -> Option<()> {
    bits.refill();
    block[0] = (block::first(bits, dc, previous)? << low) as i16;
    Some(())
}

/// One bit more of a first coefficient.
pub(crate) fn more_dc(bits: &mut Bits, low: u8, block: &mut Block) {
    block[0] |= (bits.bit() as i16) << low;
}

/// Other coefficients: which of them, and how many blocks to come have none.
pub(crate) struct Band<'a> {
    /// Their codes.
    pub ac: &'a Huffman,
    /// In zigzag order.
    pub first: usize,
    /// In zigzag order, itself included.
    pub last: usize,
    /// How many bits are still to come.
    pub low: u8,
    /// Blocks, this one included, of which nothing new is said.
    pub empty_blocks: u32,
}

impl Band<'_> {
    /// Reads a block's coefficients but for their lowest bits.
    pub(crate) fn first(&mut self, bits: &mut Bits, block: &mut Block) -> Option<()> {
        if self.empty_blocks > 0 {
            self.empty_blocks -= 1;
            return Some(());
        }
        let mut next = self.first;
        while next <= self.last {
            bits.refill();
            let symbol = self.ac.symbol(bits.peek())?;
            let index = next + symbol.run();
            if symbol.size() > 0 {
                let value = block::value(bits, symbol);
                (index <= self.last).then_some(())?;
                block[index] = (value << self.low) as i16;
            } else {
                bits.skip(symbol.bits());
                if symbol.run() < LONG_RUN {
                    self.empty_blocks = run_of_blocks(bits, symbol) - 1;
                    return Some(());
                }
                (index <= self.last).then_some(())?;
            }
            next = index + 1;
        }
        Some(())
    }

    /// Reads one bit more of a block's coefficients.
    pub(crate) fn more(&mut self, bits: &mut Bits, block: &mut Block) -> Option<()> {
        let mut next = self.first;
        while self.empty_blocks == 0 && next <= self.last {
            bits.refill();
            let symbol = self.ac.symbol(bits.peek())?;
            let value = match symbol.size() {
                0 => {
                    bits.skip(symbol.bits());
                    0
                }
                1 => (block::value(bits, symbol) as i16) << self.low,
                _ => return None,
            };
            if value == 0 && symbol.run() < LONG_RUN {
                self.empty_blocks = run_of_blocks(bits, symbol);
                break;
            }
            let place = self.correct(bits, block, next, Some(symbol.run()))?;
            if value != 0 {
                block[place] = value;
            }
            next = place + 1;
        }
        if self.empty_blocks > 0 {
            self.correct(bits, block, next, None);
            self.empty_blocks -= 1;
        }
        Some(())
    }

    /// Reads the next bit of all coefficients that are not zero, up to the zero after `zeros` others, and returns its
    /// place; none if it is not there. Without `zeros`, to the end.
    fn correct(&self, bits: &mut Bits, block: &mut Block, from: usize, zeros: Option<usize>) -> Option<usize> {
        let mut zeros = zeros;
        for (place, value) in block.iter_mut().enumerate().take(self.last + 1).skip(from) {
            if *value == 0 {
                match &mut zeros {
                    Some(0) => return Some(place),
                    Some(left) => *left -= 1,
                    None => {}
                }
            } else if bits.bit() == 1 && *value & (1 << self.low) == 0 {
                *value += if *value < 0 { -(1 << self.low) } else { 1 << self.low };
            }
        }
        None
    }
}

/// How many blocks, this one included, end here (ITU-T T.81, G.1.2.2).
fn run_of_blocks(bits: &mut Bits, symbol: Symbol) -> u32 {
    let exponent = symbol.run() as u32;
    bits.refill();
    let below = (bits.peek() >> 1 >> (63 - exponent)) as u32;
    bits.skip(exponent);
    (1 << exponent) + below
}

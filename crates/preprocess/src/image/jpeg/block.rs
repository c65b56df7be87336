//! The coefficients of one block that come all at once (ITU-T T.81, F.2.2).

use super::entropy::Bits;
use super::huffman::{Huffman, Symbol};

/// Zeros skipped at a time where there are more than a symbol can say.
const LONG_RUN: usize = 15;

/// Reads a block's coefficients; `put` is given those that are not zero, by their index in zigzag order, and the first
/// in any case. Returns the index of the last.
#[inline(always)]
pub fn read(
    bits: &mut Bits,
    dc: &Huffman,
    ac: &Huffman,
    previous: &mut i32,
    mut put: impl FnMut(usize, i32),
) -> Option<usize> {
    bits.refill();
    put(0, first(bits, dc, previous)?);
    let (mut next, mut last) = (1, 0);
    while next < 64 {
        bits.refill();
        let symbol = ac.symbol(bits.peek())?;
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
            (index < 64).then_some(())?;
            last = index;
            put(index, value);
        }
        next = index + 1;
    }
    (next <= 64).then_some(last)
}

/// Reads the first coefficient, told as its difference to that of the block before.
#[inline(always)]
pub(crate) fn first(bits: &mut Bits, dc: &Huffman, previous: &mut i32) -> Option<i32> {
    let symbol = dc.symbol(bits.peek())?;
    // Differences of 8-bit samples' averages have 11 bits at most.
    (symbol.run() == 0 && symbol.size() <= 11).then_some(())?;
    *previous = previous.wrapping_add(value(bits, symbol));
    Some(*previous)
}

/// Reads a symbol's value: with its uppermost bit 0 it is negative (ITU-T T.81, F.2.2.1).
#[inline(always)]
pub(crate) fn value(bits: &mut Bits, symbol: Symbol) -> i32 {
    let (all, size) = (symbol.bits(), symbol.size());
    let below = bits.peek() << (all - size);
    bits.skip(all);
    let magnitude = (below >> 1 >> (63 - size)) as i32;
    let negative = (below as i64 >> 63) as i32 + 1;
    magnitude - negative * ((1 << size) - 1)
}

//! Huffman codes of a JPEG (ITU-T T.81, annexes C and F).

/// Codes of up to so many bits are found with one look; longer ones are rare.
const LOOK: usize = 10;

/// A code, decoded to what it says about a coefficient.
pub(crate) struct Huffman {
    /// For every beginning of [`LOOK`] bits the [`Symbol`] that it begins with; 0 where its code is longer, or none.
    look: [u16; 1 << LOOK],
    /// For every length the first code, aligned to 16 bits, that is too large for it.
    ends: [u32; 17],
    /// For every length what is to be added to a code to get its index among the symbols.
    offsets: [i32; 17],
    symbols: [u8; 256],
}

/// Zeros to skip and the bits of the value that follows, with the code's own length.
#[derive(Clone, Copy)]
pub(crate) struct Symbol(u16);

impl Symbol {
    fn new(length: usize, symbol: u8) -> Self {
        let (run, size) = (u16::from(symbol >> 4), u16::from(symbol & 15));
        Self((length as u16 + size) | size << 5 | run << 9)
    }

    /// Bits of the code and the value together: 1 to 31.
    #[inline(always)]
    pub(crate) fn bits(self) -> u32 {
        u32::from(self.0 & 31)
    }

    /// Bits of the value alone.
    #[inline(always)]
    pub(crate) fn size(self) -> u32 {
        u32::from(self.0 >> 5 & 15)
    }

    /// Coefficients that are zero before this one.
    #[inline(always)]
    pub(crate) fn run(self) -> usize {
        usize::from(self.0 >> 9)
    }
}

impl Huffman {
    /// `counts[i]` codes have `i + 1` bits; `symbols` are in the order of the codes. None if there are more codes than
    /// fit.
    pub(crate) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut huffman = Self { look: [0; 1 << LOOK], ends: [0; 17], offsets: [0; 17], symbols: [0; 256] };
        huffman.symbols.get_mut(..symbols.len())?.copy_from_slice(symbols);
        let (mut code, mut index) = (0usize, 0usize);
        for length in 1..=16 {
            huffman.offsets[length] = index as i32 - code as i32;
            for _ in 0..counts[length - 1] {
                if length <= LOOK {
                    let beginnings = 1 << (LOOK - length);
                    let symbol = Symbol::new(length, *symbols.get(index)?);
                    huffman.look.get_mut(code * beginnings..(code + 1) * beginnings)?.fill(symbol.0);
                }
                (code, index) = (code + 1, index + 1);
            }
            // No code is all ones.
            (counts[length - 1] == 0 || code < 1 << length).then_some(())?;
            huffman.ends[length] = (code << (16 - length)) as u32;
            code <<= 1;
        }
        Some(huffman)
    }

    /// The symbol with which the bits begin, the first of them uppermost; none if no code does.
    #[inline(always)]
    pub(crate) fn symbol(&self, bits: u64) -> Option<Symbol> {
        match self.look[(bits >> (64 - LOOK)) as usize] {
            0 => self.long_symbol(bits),
            symbol => Some(Symbol(symbol)),
        }
    }

    #[cold]
    #[inline(never)]
    fn long_symbol(&self, bits: u64) -> Option<Symbol> {
        let beginning = (bits >> 48) as u32;
        let length = (LOOK + 1..=16).find(|&length| beginning < self.ends[length])?;
        let index = (beginning >> (16 - length)) as i32 + self.offsets[length];
        Some(Symbol::new(length, *self.symbols.get(usize::try_from(index).ok()?)?))
    }
}

//! The compressed data as a stream of bits (ITU-T T.81, annex B.1.1.5 and F.2.2.5).

/// Bytes that are searched at a time.
const CHUNK: usize = 32;
/// So many bytes are read at a time, so there are as many after the last.
const WORD: usize = 8;

/// The compressed data between restart markers, stuffed zeros taken out.
pub struct Entropy {
    /// All intervals one behind the other, then zeros.
    bytes: Vec<u8>,
    /// Where each interval ends.
    ends: Vec<usize>,
}

impl Entropy {
    /// Reads from the scan's header to the end of the image. None if it is not there, if another marker stands before it, or if the
    /// restart markers do not count from 0 to 7, over and over.
    pub fn read(data: &[u8]) -> Option<Self> {
        let mut entropy = Self { bytes: Vec::with_capacity(data.len() + WORD), ends: Vec::new() };
        let mut rest = data;
        loop {
            let run = clean_run(rest);
            entropy.bytes.extend_from_slice(&rest[..run]);
            rest = &rest[run..];
            let (&[_, marker], after) = rest.split_first_chunk()?;
            rest = after;
            match marker {
                0x00 => entropy.bytes.push(0xff),
                0xd0..=0xd7 => {
                    (usize::from(marker & 7) == entropy.ends.len() & 7).then_some(())?;
                    entropy.ends.push(entropy.bytes.len());
                }
                0xd9 => break,
                _ => return None,
            }
        }
        entropy.ends.push(entropy.bytes.len());
        entropy.bytes.extend([0; WORD]);
        Some(entropy)
    }

    /// The number of intervals.
    pub fn intervals(&self) -> usize {
        self.ends.len()
    }

    /// The number of bits in all of them.
    pub fn bits(&self) -> usize {
        (self.bytes.len() - WORD) * 8
    }

    /// The bits of an interval.
    pub fn interval(&self, index: usize) -> Option<Bits<'_>> {
        let start = if index == 0 { 0 } else { *self.ends.get(index - 1)? };
        let length = (self.ends.get(index)? - start) * 8;
        Some(Bits { bytes: &self.bytes[start..], length, position: 0, buffer: 0, count: 0 })
    }
}

/// The number of bytes before the first FF.
fn clean_run(bytes: &[u8]) -> usize {
    let clean =
        bytes.as_chunks::<CHUNK>().0.iter().take_while(|chunk| !chunk.iter().fold(false, |any, &b| any | (b == 0xff)));
    let start = clean.count() * CHUNK;
    start + bytes[start..].iter().take_while(|&&byte| byte != 0xff).count()
}

/// A position in the bits of one interval.
#[derive(Clone, Copy)]
pub struct Bits<'a> {
    bytes: &'a [u8],
    /// Bits of the interval.
    length: usize,
    /// The byte from which the buffer is filled next.
    position: usize,
    /// The next bits, the first of them uppermost.
    buffer: u64,
    /// How many of them count.
    count: u32,
}

impl Bits<'_> {
    /// Makes [`peek`](Self::peek) show at least 56 bits that count. After the end they are zeros, or the next interval's.
    #[inline(always)]
    pub fn refill(&mut self) {
        let word = self.bytes.get(self.position..self.position + WORD).and_then(|bytes| bytes.first_chunk());
        self.buffer |= word.map_or(0, |&word| u64::from_be_bytes(word)) >> self.count;
        self.position += (63 - self.count as usize) >> 3;
        self.count |= 56;
    }

    /// The next bits, the first of them uppermost.
    #[inline(always)]
    pub fn peek(&self) -> u64 {
        self.buffer
    }

    /// Moves on by fewer bits than count.
    #[inline(always)]
    pub fn skip(&mut self, bits: u32) {
        self.buffer <<= bits;
        self.count -= bits;
    }

    /// Bits that are left; none if more were read than there are.
    pub fn left(&self) -> Option<usize> {
        self.length.checked_sub(self.position * 8 - self.count as usize)
    }
}

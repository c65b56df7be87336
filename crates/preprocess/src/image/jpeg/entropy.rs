//! The compressed data as a stream of bits (ITU-T T.81, annex B.1.1.5 and F.2.2.5).

use super::failure::damaged;
use crate::image::error::ImageError;

/// Bytes that are searched at a time.
const CHUNK: usize = 32;
/// So many bytes are read at a time, so there are as many after the last.
const WORD: usize = 8;

/// The compressed data of a scan, restart markers and stuffed zeros taken out.
pub(crate) struct Entropy {
    /// All intervals one behind the other, then zeros.
    bytes: Vec<u8>,
    /// Where each interval ends.
    ends: Vec<usize>,
    /// Whether the restart markers count from 0 to 7, over and over.
    in_order: bool,
    /// Where in the file the marker after the scan is; its end if there is none.
    pub next: usize,
}

impl Entropy {
    /// Reads from `start`, which is behind the scan's header, to the next marker that is none of restarting.
    pub fn read(file: &[u8], start: usize) -> Self {
        let data = &file[start.min(file.len())..];
        let mut entropy =
            Self { bytes: Vec::with_capacity(data.len() + WORD), ends: Vec::new(), in_order: true, next: file.len() };
        let mut rest = data;
        loop {
            let run = clean_run(rest);
            entropy.bytes.extend_from_slice(&rest[..run]);
            rest = &rest[run..];
            // FF may be repeated before what it announces.
            let fill = rest.iter().take_while(|&&byte| byte == 0xff).count();
            match rest.get(fill) {
                Some(0x00) => entropy.bytes.push(0xff),
                Some(marker @ 0xd0..=0xd7) => {
                    entropy.in_order &= usize::from(marker & 7) == entropy.ends.len() & 7;
                    entropy.ends.push(entropy.bytes.len());
                }
                Some(_) => {
                    entropy.next = file.len() - rest.len();
                    break;
                }
                None => break,
            }
            rest = &rest[fill + 1..];
        }
        entropy.ends.push(entropy.bytes.len());
        entropy.bytes.extend([0; WORD]);
        entropy
    }

    /// Whether the restart markers divide the data into so many intervals. One more marker at the end, as some
    /// encoders write, is none too many.
    pub(crate) fn check_intervals(&self, expected: usize) -> Result<(), ImageError> {
        let found = self.ends.len();
        let empty_end = found == expected + 1 && self.ends[found - 1] == self.ends[found - 2];
        if found != expected && !empty_end {
            return Err(damaged(format_args!("it has {found} restart intervals where {expected} belong")));
        }
        if !self.in_order {
            return Err(damaged("its restart markers are out of order"));
        }
        Ok(())
    }

    /// The number of bits in all of them.
    pub(crate) fn bits(&self) -> usize {
        (self.bytes.len() - WORD) * 8
    }

    /// The bits of an interval; one that is not there has none.
    pub(crate) fn interval(&self, index: usize) -> Bits<'_> {
        let end = |index: usize| self.ends.get(index).copied().unwrap_or(self.bytes.len() - WORD);
        let start = index.checked_sub(1).map_or(0, end);
        let length = (end(index) - start) * 8;
        Bits { bytes: &self.bytes[start..], length, position: 0, buffer: 0, count: 0 }
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
pub(crate) struct Bits<'a> {
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
    /// Makes [`peek`](Self::peek) show at least 56 bits that count. After the end they are zeros, or the next
    /// interval's.
    #[inline(always)]
    pub(crate) fn refill(&mut self) {
        let word = self.bytes.get(self.position..self.position + WORD).and_then(|bytes| bytes.first_chunk());
        self.buffer |= word.map_or(0, |&word| u64::from_be_bytes(word)) >> self.count;
        self.position += (63 - self.count as usize) >> 3;
        self.count |= 56;
    }

    /// The next bits, the first of them uppermost.
    #[inline(always)]
    pub(crate) fn peek(&self) -> u64 {
        self.buffer
    }

    /// Moves on by fewer bits than count.
    #[inline(always)]
    pub(crate) fn skip(&mut self, bits: u32) {
        self.buffer <<= bits;
        self.count -= bits;
    }

    /// The next bit alone; needs no refill before it.
    #[inline(always)]
    pub(crate) fn bit(&mut self) -> u64 {
        if self.count == 0 {
            self.refill();
        }
        let bit = self.buffer >> 63;
        self.skip(1);
        bit
    }

    /// How many bytes follow the one in which the last bit was read, if any of them says something. Zeros, and bytes
    /// of ones, are padding. None if more bits were read than there are.
    pub(crate) fn surplus(&self) -> Option<usize> {
        let whole = self.left()? / 8;
        let length = self.length / 8;
        let rest = &self.bytes[length - whole..length];
        let padding = |filler: u8| rest.iter().all(|&byte| byte == filler);
        Some(if padding(0) || padding(0xff) { 0 } else { whole })
    }

    /// Bits that are left; none if more were read than there are.
    pub(crate) fn left(&self) -> Option<usize> {
        self.length.checked_sub(self.position * 8 - self.count as usize)
    }
}

//! Files of several scans: progressive ones, and those with channels in scans of their own. All coefficients are kept
//! until the end.

use super::block;
use super::entropy::{Bits, Entropy};
use super::failure::{cut_short_or_damaged, damaged};
use super::headers::{Colour, Headers, Scan};
use super::huffman::Huffman;
use super::inverse_dct::Coefficients;
use super::picture::Picture;
use super::plausible::{check_plausible, check_used_up, unreadable};
use super::progressive::{Band, Block, first_dc, more_dc};
use crate::image::error::ImageError;
use crate::image::pixels::Pixels;

/// A channel's coefficients.
struct Store {
    blocks: Vec<Block>,
    /// Blocks of a row.
    stride: usize,
    /// For every coefficient the lowest bit that was read; none if none was.
    lowest: [Option<u8>; 64],
}

/// Decodes `scan` and all that follow, with `points` (1, 2, 4 or 8) pixels for every 8 of a side.
pub fn decode(mut headers: Headers, scan: Scan, bytes: &[u8], points: usize) -> Result<Pixels, ImageError> {
    let colour = headers.colour();
    let mut stores: Vec<Store> = headers.components.iter().map(|_| Store::new()).collect();
    let mut scan = scan;
    loop {
        let mut position = decode_scan(&headers, &scan, bytes, &mut stores)?;
        // What makes up the picture is there; what follows is ignored, as it is in files of one scan.
        if stores.iter().all(Store::is_whole) {
            break;
        }
        let Some(next) = headers.next_scan(bytes, &mut position)? else {
            return Err(cut_short_or_damaged(position >= bytes.len(), missing(&stores)));
        };
        scan = next;
    }
    picture(&headers, colour, &stores, points)
}

/// What is not there.
fn missing(stores: &[Store]) -> String {
    let absent = stores.iter().filter(|store| store.blocks.is_empty()).count();
    match absent {
        0 => "the scans that would sharpen the picture are missing".to_owned(),
        _ => format!("the scans of {absent} of {} channels are missing", stores.len()),
    }
}

/// Returns where the next segment begins.
fn decode_scan(headers: &Headers, scan: &Scan, bytes: &[u8], stores: &mut [Store]) -> Result<usize, ImageError> {
    let entropy = Entropy::read(bytes, scan.data);
    let layout = Layout::new(headers, scan);
    let total = layout.units[0] * layout.units[1];
    let interval = if headers.restart_interval == 0 { total } else { headers.restart_interval };
    entropy.check_intervals(total.div_ceil(interval))?;
    let mut coder = Coder::new(headers, scan)?;
    check_plausible(total * layout.unit_blocks() * coder.least_bits(), &entropy)?;
    for channel in &scan.channels {
        let store = &mut stores[channel.component];
        store.note(scan, headers.progressive)?;
        store.allocate(headers, channel.component);
    }
    let mut bits = entropy.interval(0);
    for unit in 0..total {
        if unit > 0 && unit.is_multiple_of(interval) {
            coder.finish_interval(&bits)?;
            bits = entropy.interval(unit / interval);
        }
        for (slot, channel) in scan.channels.iter().enumerate() {
            let store = &mut stores[channel.component];
            for (x, y) in layout.blocks(slot, unit) {
                let block = &mut store.blocks[y * store.stride + x];
                if coder.block(&mut bits, slot, block).is_none() {
                    return Err(unreadable(&bits, &entropy, bytes, unit, total));
                }
            }
        }
        if bits.left().is_none() {
            return Err(unreadable(&bits, &entropy, bytes, unit, total));
        }
    }
    coder.finish_interval(&bits)?;
    Ok(entropy.next)
}

/// From coefficients to pixels.
fn picture(headers: &Headers, colour: Colour, stores: &[Store], points: usize) -> Result<Pixels, ImageError> {
    let mut picture = Picture::new(headers, colour, points)?;
    let mut coefficients: Coefficients = [0.0; 128];
    for row in 0..headers.units()[1] {
        picture.begin(row);
        for (plane, store) in picture.planes.iter_mut().zip(stores) {
            let height = plane.blocks[1];
            let blocks = &store.blocks[row * height * store.stride..][..height * store.stride];
            for (index, block) in blocks.iter().enumerate() {
                let last = block.iter().rposition(|&value| value != 0).unwrap_or(0);
                for ((&value, &factor), &place) in block.iter().zip(&plane.factors).zip(&plane.places).take(last + 1) {
                    coefficients[usize::from(place & 127)] = f32::from(value) * factor;
                }
                plane.put(&mut coefficients, last, index % store.stride, index / store.stride);
            }
        }
        picture.end(row);
    }
    Ok(picture.finish())
}

impl Store {
    fn new() -> Self {
        Self { blocks: Vec::new(), stride: 0, lowest: [None; 64] }
    }

    /// Whether all bits of all coefficients were read.
    fn is_whole(&self) -> bool {
        self.lowest.iter().all(|&lowest| lowest == Some(0))
    }

    /// Notes what a scan brings; an error if it does not go on where the scans before it ended.
    fn note(&mut self, scan: &Scan, progressive: bool) -> Result<(), ImageError> {
        let ([first, last], [above, low]) = (scan.spectrum, scan.bits);
        if progressive {
            let is_band = if first == 0 { last == 0 } else { first <= last && last < 64 && scan.channels.len() == 1 };
            if !is_band || low > 13 || above != 0 && above != low + 1 {
                return Err(damaged("a scan's header says what cannot be"));
            }
            let before = if above == 0 { None } else { Some(above) };
            let dc_known = first == 0 || self.lowest[0].is_some();
            if !dc_known || self.lowest[first..=last].iter().any(|&lowest| lowest != before) {
                return Err(damaged("scans are missing, or out of order"));
            }
        }
        self.lowest[first..=last].fill(Some(low));
        Ok(())
    }

    fn allocate(&mut self, headers: &Headers, component: usize) {
        if self.blocks.is_empty() {
            let (units, blocks) = (headers.units(), headers.components[component].blocks);
            self.stride = units[0] * blocks[0];
            self.blocks = vec![[0; 64]; self.stride * units[1] * blocks[1]];
        }
    }
}

/// Which blocks make up a scan's units.
struct Layout {
    units: [usize; 2],
    /// Blocks of a unit, for every channel of the scan.
    blocks: Vec<[usize; 2]>,
}

impl Layout {
    fn new(headers: &Headers, scan: &Scan) -> Self {
        if let [channel] = scan.channels.as_slice() {
            // A unit is a block, and those that lie outside of the picture are left out (ITU-T T.81, A.2.2).
            return Self {
                units: headers.samples(channel.component).map(|side| side.div_ceil(8)),
                blocks: vec![[1, 1]],
            };
        }
        let blocks = scan.channels.iter().map(|channel| headers.components[channel.component].blocks).collect();
        Self { units: headers.units(), blocks }
    }

    fn unit_blocks(&self) -> usize {
        self.blocks.iter().map(|[across, down]| across * down).sum()
    }

    /// Where the blocks of the `slot`-th channel in a unit are.
    #[inline(always)]
    fn blocks(&self, slot: usize, unit: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let [across, down] = self.blocks[slot];
        let (left, top) = (unit % self.units[0] * across, unit / self.units[0] * down);
        (0..across * down).map(move |index| (left + index % across, top + index / across))
    }
}

/// A scan's codes and state.
struct Coder<'a> {
    kind: Kind<'a>,
    /// For every channel the last block's first coefficient.
    previous: [i32; 4],
    /// The lowest bit that the scan brings.
    low: u8,
}

enum Kind<'a> {
    Sequential(Vec<(&'a Huffman, &'a Huffman)>),
    FirstDc(Vec<&'a Huffman>),
    MoreDc,
    First(Band<'a>),
    More(Band<'a>),
}

impl<'a> Coder<'a> {
    fn new(headers: &'a Headers, scan: &Scan) -> Result<Self, ImageError> {
        let ([first, last], [above, low]) = (scan.spectrum, scan.bits);
        let channels = scan.channels.iter();
        let band = || {
            let ac = headers.ac(&scan.channels[0])?;
            Ok::<_, ImageError>(Band { ac, first, last, low, empty_blocks: 0 })
        };
        let kind = match (headers.progressive, first, above) {
            (false, ..) => {
                let codes = channels.map(|channel| Ok((headers.dc(channel)?, headers.ac(channel)?)));
                Kind::Sequential(codes.collect::<Result<_, ImageError>>()?)
            }
            (true, 0, 0) => Kind::FirstDc(channels.map(|channel| headers.dc(channel)).collect::<Result<_, _>>()?),
            (true, 0, _) => Kind::MoreDc,
            (true, _, 0) => Kind::First(band()?),
            (true, ..) => Kind::More(band()?),
        };
        Ok(Self { kind, previous: [0; 4], low })
    }

    /// The fewest bits that a block takes.
    fn least_bits(&self) -> usize {
        match self.kind {
            Kind::Sequential(_) => 2,
            Kind::FirstDc(_) | Kind::MoreDc => 1,
            Kind::First(_) | Kind::More(_) => 0,
        }
    }

    #[inline(always)]
    fn block(&mut self, bits: &mut Bits, slot: usize, block: &mut Block) -> Option<()> {
        match &mut self.kind {
            Kind::Sequential(codes) => {
                let (dc, ac) = codes[slot];
                *block = [0; 64];
                let put = |index: usize, value: i32| block[index & 63] = value as i16;
                block::read(bits, dc, ac, &mut self.previous[slot], put).map(|_| ())
            }
            Kind::FirstDc(codes) => first_dc(bits, codes[slot], &mut self.previous[slot], self.low, block),
            Kind::MoreDc => {
                more_dc(bits, self.low, block);
                Some(())
            }
            Kind::First(band) => band.first(bits, block),
            Kind::More(band) => band.more(bits, block),
        }
    }

    /// Before a restart marker, and at the end: all is said, and nothing is left.
    fn finish_interval(&mut self, bits: &Bits) -> Result<(), ImageError> {
        self.previous = [0; 4];
        match &self.kind {
            Kind::First(band) | Kind::More(band) if band.empty_blocks > 0 => {
                Err(damaged(format_args!("blocks are missing: {} more are said to be empty", band.empty_blocks)))
            }
            _ => check_used_up(bits),
        }
    }
}

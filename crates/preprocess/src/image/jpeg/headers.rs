//! What a JPEG says around its compressed data (ITU-T T.81, annex B).

use super::failure::{cut_short_or_damaged, damaged, unsupported};
use super::huffman::Huffman;
use super::standard_tables;
use crate::image::error::ImageError;
use crate::image::orientation;
use ::image::metadata::Orientation;

/// Zigzag order: the place, row by row, of the `k`-th coefficient of a block.
pub(crate) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// One channel.
pub(crate) struct Component {
    id: u8,
    /// Blocks of a minimum coded unit, horizontally and vertically: 1 to 4.
    pub blocks: [usize; 2],
    quantization: usize,
}

/// What the channels mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// One channel.
    Grey,
    /// Luma and two of chroma.
    Ycc,
    /// The colours themselves.
    Rgb,
    /// Inks, inverted: 255 is none.
    Cmyk,
    /// Inverted inks, the first three as luma and chroma.
    Ycck,
}

/// All that the segments before a scan say.
#[derive(Default)]
pub(crate) struct Headers {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// One, three or four; none before the frame header.
    pub components: Vec<Component>,
    /// Whether the coefficients come in several scans, coarse to fine.
    pub progressive: bool,
    /// Minimum coded units between restart markers; 0 for none.
    pub restart_interval: usize,
    /// Of the first EXIF segment.
    pub orientation: Option<Orientation>,
    has_exif: bool,
    /// Whether a JFIF segment was there.
    jfif: bool,
    /// The colour transform in Adobe's segment.
    adobe: Option<u8>,
    quantization: [Option<[u16; 64]>; 4],
    dc: [Option<Box<Huffman>>; 4],
    ac: [Option<Box<Huffman>>; 4],
}

/// A scan's header.
pub(crate) struct Scan {
    /// The channels that are in it.
    pub channels: Vec<ScanChannel>,
    /// The first and the last coefficient that are in it, in zigzag order.
    pub spectrum: [usize; 2],
    /// The bit above the lowest that earlier scans gave, 0 if none did, and the lowest that this one gives.
    pub bits: [u8; 2],
    /// Where the compressed data begin.
    pub data: usize,
}

/// A channel of a scan.
pub(crate) struct ScanChannel {
    /// Among the frame's.
    pub component: usize,
    dc: usize,
    ac: usize,
}

impl Headers {
    /// Reads on to the next scan; `position` is then where its data begin. None at the end of the image. What stands
    /// between segments and begins no marker is passed over.
    pub(crate) fn next_scan(&mut self, bytes: &[u8], position: &mut usize) -> Result<Option<Scan>, ImageError> {
        while let Some(marker) = next_marker(bytes, position) {
            match marker {
                0xd9 => return Ok(None),
                // No parameters: restart markers out of place, the image's start, the temporary marker.
                0x01 | 0xd0..=0xd8 => continue,
                _ => {}
            }
            let Some(segment) = segment(bytes, position) else {
                return Err(cut_short_or_damaged(true, format_args!("segment FF{marker:02X} reaches over its end")));
            };
            if marker == 0xda {
                return self.scan(segment, *position).map(Some);
            }
            self.segment(marker, segment)?;
        }
        Ok(None)
    }

    fn segment(&mut self, marker: u8, segment: &[u8]) -> Result<(), ImageError> {
        let malformed = |what: &str| damaged(format_args!("its {what} cannot be read"));
        match marker {
            0xc0..=0xc2 => return self.frame(marker == 0xc2, segment),
            0xc3 => return Err(unsupported("lossless JPEGs")),
            0xc5..=0xc7 | 0xde => return Err(unsupported("hierarchical JPEGs")),
            0xc9..=0xcb | 0xcd..=0xcf => return Err(unsupported("arithmetic-coded JPEGs")),
            0xf7 => return Err(unsupported("JPEG-LS images")),
            0xc4 => self.huffman_tables(segment).ok_or_else(|| malformed("Huffman tables"))?,
            0xdb => self.quantization_tables(segment).ok_or_else(|| malformed("quantisation tables"))?,
            0xdd => {
                let interval = segment.try_into().map_err(|_| malformed("restart interval"))?;
                self.restart_interval = u16::from_be_bytes(interval).into();
            }
            0xe0 => self.jfif |= segment.len() >= 12 && segment.starts_with(b"JFIF\0"),
            0xe1 => self.exif(segment),
            0xee if segment.len() >= 12 && segment.starts_with(b"Adobe") => self.adobe = Some(segment[11]),
            // Metadata, comments, arithmetic conditioning, a height said again.
            0xe2..=0xef | 0xfe | 0xcc | 0xdc => {}
            _ => return Err(damaged(format_args!("a segment with the reserved marker FF{marker:02X}"))),
        }
        Ok(())
    }

    /// The quantisation of a channel's coefficients, in zigzag order.
    pub(crate) fn quantization(&self, component: usize) -> Result<&[u16; 64], ImageError> {
        let table = self.components[component].quantization;
        let missing = || damaged(format_args!("quantisation table {table} is missing"));
        self.quantization.get(table).and_then(Option::as_ref).ok_or_else(missing)
    }

    /// The codes of a channel's first coefficients.
    pub(crate) fn dc(&self, channel: &ScanChannel) -> Result<&Huffman, ImageError> {
        let missing = || damaged(format_args!("Huffman table {} for first coefficients is missing", channel.dc));
        self.dc.get(channel.dc).and_then(Option::as_deref).ok_or_else(missing)
    }

    /// The codes of a channel's other coefficients.
    pub(crate) fn ac(&self, channel: &ScanChannel) -> Result<&Huffman, ImageError> {
        let missing = || damaged(format_args!("Huffman table {} is missing", channel.ac));
        self.ac.get(channel.ac).and_then(Option::as_deref).ok_or_else(missing)
    }

    /// Blocks of the largest channel in a minimum coded unit, horizontally and vertically.
    pub(crate) fn blocks(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.components.iter().map(|component| component.blocks[axis]).max().unwrap_or(1))
    }

    /// Minimum coded units of a row and of a column, if all channels are in them.
    pub(crate) fn units(&self) -> [usize; 2] {
        let blocks = self.blocks();
        [self.width.div_ceil(8 * blocks[0]), self.height.div_ceil(8 * blocks[1])]
    }

    /// Samples of a row and of a column of a channel.
    pub(crate) fn samples(&self, component: usize) -> [usize; 2] {
        let (most, blocks) = (self.blocks(), self.components[component].blocks);
        [(self.width * blocks[0]).div_ceil(most[0]), (self.height * blocks[1]).div_ceil(most[1])]
    }

    /// What the channels mean, by the rules of libjpeg, which all viewers follow.
    pub(crate) fn colour(&self) -> Colour {
        let ids: Vec<u8> = self.components.iter().map(|component| component.id).collect();
        match (ids.as_slice(), self.adobe) {
            ([_], _) => Colour::Grey,
            ([_, _, _], _) if self.jfif => Colour::Ycc,
            ([_, _, _], Some(0)) | ([b'R', b'G', b'B'], None) => Colour::Rgb,
            ([_, _, _], _) => Colour::Ycc,
            (_, None | Some(0)) => Colour::Cmyk,
            _ => Colour::Ycck,
        }
    }

    fn frame(&mut self, progressive: bool, segment: &[u8]) -> Result<(), ImageError> {
        let malformed = || damaged("its frame header cannot be read");
        let (&[precision, h1, h0, w1, w0, count], channels) = segment.split_first_chunk().ok_or_else(malformed)?;
        if !self.components.is_empty() {
            return Err(damaged("it has two frame headers"));
        }
        if channels.len() != 3 * usize::from(count) || count == 0 {
            return Err(malformed());
        }
        if precision != 8 {
            return Err(unsupported(format_args!("JPEGs of {precision} bits a channel")));
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(unsupported(format_args!("JPEGs of {count} channels")));
        }
        (self.width, self.height) = (u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes([h1, h0]).into());
        if self.height == 0 && self.width > 0 {
            return Err(unsupported("JPEGs that declare their height after the picture"));
        }
        self.progressive = progressive;
        for &[id, sampling, quantization] in channels.as_chunks().0 {
            let blocks = [usize::from(sampling >> 4), usize::from(sampling & 15)];
            if blocks.iter().any(|blocks| !matches!(blocks, 1..=4)) {
                return Err(malformed());
            }
            // A channel alone is not interleaved with anything: its sampling says nothing.
            let blocks = if count == 1 { [1, 1] } else { blocks };
            self.components.push(Component { id, blocks, quantization: quantization.into() });
        }
        let most = self.blocks();
        let whole =
            |component: &Component| [0, 1].iter().all(|&axis| most[axis].is_multiple_of(component.blocks[axis]));
        if !self.components.iter().all(whole) {
            return Err(unsupported("JPEGs whose channels' sizes are not multiples of one another"));
        }
        Ok(())
    }

    fn quantization_tables(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&kind, rest)) = segment.split_first() {
            let table = self.quantization.get_mut(usize::from(kind & 15))?;
            let (values, rest) = rest.split_at_checked(if kind >> 4 == 0 { 64 } else { 128 })?;
            *table = Some(std::array::from_fn(|index| match kind >> 4 {
                0 => values[index].into(),
                _ => u16::from_be_bytes([values[2 * index], values[2 * index + 1]]),
            }));
            segment = rest;
        }
        Some(())
    }

    fn huffman_tables(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&kind, rest)) = segment.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(total)?;
            let tables = match kind >> 4 {
                // A first coefficient has a size, and no zeros before it.
                0 if symbols.iter().all(|&symbol| symbol <= 15) => &mut self.dc,
                1 => &mut self.ac,
                _ => return None,
            };
            *tables.get_mut(usize::from(kind & 15))? = Some(Box::new(Huffman::new(counts, symbols)?));
            segment = rest;
        }
        Some(())
    }

    /// The first EXIF segment counts; XMP is in segments of the same kind.
    fn exif(&mut self, segment: &[u8]) {
        if !self.has_exif && segment.starts_with(b"Exif\0") {
            self.has_exif = true;
            self.orientation = orientation::of_exif(segment);
        }
    }

    fn scan(&mut self, segment: &[u8], data: usize) -> Result<Scan, ImageError> {
        let malformed = || damaged("its scan header cannot be read");
        if self.components.is_empty() {
            return Err(damaged("a scan stands before the frame header"));
        }
        let (&count, rest) = segment.split_first().ok_or_else(malformed)?;
        let (ids, rest) = rest.split_at_checked(2 * usize::from(count)).ok_or_else(malformed)?;
        let &[first, last, bits] = rest else { return Err(malformed()) };
        let mut channels: Vec<ScanChannel> = Vec::new();
        for &[id, tables] in ids.as_chunks().0 {
            let is_it = |&index: &usize| {
                self.components[index].id == id && channels.iter().all(|channel| channel.component != index)
            };
            let component = (0..self.components.len()).find(is_it).ok_or_else(malformed)?;
            channels.push(ScanChannel { component, dc: (tables >> 4).into(), ac: (tables & 15).into() });
        }
        if channels.is_empty() {
            return Err(malformed());
        }
        if !self.progressive {
            self.add_standard_tables();
        }
        // Where there is but one scan of each channel, these say nothing.
        let (spectrum, bits) = match self.progressive {
            true => ([first.into(), last.into()], [bits >> 4, bits & 15]),
            false => ([0, 63], [0, 0]),
        };
        Ok(Scan { channels, spectrum, bits, data })
    }

    fn add_standard_tables(&mut self) {
        let defaults = [(&mut self.dc, standard_tables::DC), (&mut self.ac, standard_tables::AC)];
        for (tables, defaults) in defaults {
            for (table, (counts, symbols)) in tables.iter_mut().zip(defaults) {
                if table.is_none() {
                    *table = Huffman::new(&counts, symbols).map(Box::new);
                }
            }
        }
    }
}

/// Moves `position` behind the next marker. FF may stand before it any number of times, and anything but FF.
pub(crate) fn next_marker(bytes: &[u8], position: &mut usize) -> Option<u8> {
    loop {
        let rest = bytes.get(*position..)?;
        let Some(start) = rest.iter().position(|&byte| byte == 0xff) else {
            *position = bytes.len();
            return None;
        };
        let fill = rest[start..].iter().take_while(|&&byte| byte == 0xff).count();
        *position += start + fill + 1;
        match rest.get(start + fill)? {
            0 => {}
            &marker => return Some(marker),
        }
    }
}

/// A segment's content, `position` moved behind it; none if it does not end within the file.
fn segment<'a>(bytes: &'a [u8], position: &mut usize) -> Option<&'a [u8]> {
    let rest = bytes.get(*position..)?;
    let (length, content) = rest.split_first_chunk()?;
    // A length counts its own two bytes; where it says less, there is nothing.
    let length = usize::from(u16::from_be_bytes(*length)).saturating_sub(2);
    *position += 2 + length;
    content.get(..length)
}

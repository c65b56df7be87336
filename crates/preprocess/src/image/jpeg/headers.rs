//! What a JPEG says before its compressed data (ITU-T T.81, annex B).

use super::huffman::Huffman;
use ::image::metadata::Orientation;

/// Zigzag order: the place, row by row, of the `k`-th coefficient of a block.
pub const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// One channel: grey or Y, Cb, Cr.
pub struct Component {
    id: u8,
    /// Blocks of a minimum coded unit, horizontally and vertically: 1 or 2.
    pub blocks: [usize; 2],
    quantization: usize,
    dc: usize,
    ac: usize,
}

/// The headers of a file of the usual kind: baseline, 8 bits, grey or YCbCr, all channels in one scan.
pub struct Headers {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// One or three.
    pub components: Vec<Component>,
    /// Minimum coded units between restart markers; 0 for none.
    pub restart_interval: usize,
    /// Of the EXIF segment.
    pub orientation: Option<Orientation>,
    /// Where the compressed data begin.
    pub data: usize,
    quantization: [Option<[u16; 64]>; 4],
    dc: [Option<Box<Huffman>>; 4],
    ac: [Option<Box<Huffman>>; 4],
}

impl Headers {
    /// None for every file that is not of the usual kind, or not as it should be.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut headers = Self {
            width: 0,
            height: 0,
            components: Vec::new(),
            restart_interval: 0,
            orientation: None,
            data: 0,
            quantization: [None; 4],
            dc: Default::default(),
            ac: Default::default(),
        };
        let mut position = 2;
        bytes.starts_with(&[0xff, 0xd8]).then_some(())?;
        loop {
            let &[0xff, marker, high, low] = bytes.get(position..)?.first_chunk()? else { return None };
            let length = usize::from(u16::from_be_bytes([high, low]));
            let segment = bytes.get(position + 4..position + 2 + length)?;
            position += 2 + length;
            match marker {
                0xc0 => headers.frame(segment)?,
                0xc4 => headers.huffman_tables(segment)?,
                0xdb => headers.quantization_tables(segment)?,
                0xdd => headers.restart_interval = usize::from(u16::from_be_bytes(segment.try_into().ok()?)),
                0xe1 => headers.exif(segment)?,
                0xee => is_ycc(segment).then_some(())?,
                // Colour profiles and phones' second pictures (APP2) among them: neither changes the pixels.
                0xe0 | 0xe2..=0xed | 0xef | 0xfe => {}
                0xda => {
                    headers.data = position;
                    return headers.scan(segment).map(|()| headers);
                }
                _ => return None,
            }
        }
    }

    /// The quantisation of a channel's coefficients, in zigzag order.
    pub fn quantization(&self, component: &Component) -> Option<&[u16; 64]> {
        self.quantization[component.quantization].as_ref()
    }

    /// The codes of a channel's first coefficients and of the others.
    pub fn huffman(&self, component: &Component) -> Option<(&Huffman, &Huffman)> {
        Some((self.dc[component.dc].as_deref()?, self.ac[component.ac].as_deref()?))
    }

    /// Blocks of the largest channel in a minimum coded unit, horizontally and vertically.
    pub fn blocks(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.components.iter().map(|component| component.blocks[axis]).max().unwrap_or(1))
    }

    fn frame(&mut self, segment: &[u8]) -> Option<()> {
        let (&[precision, h1, h0, w1, w0, count], channels) = segment.split_first_chunk()?;
        let first = self.components.is_empty() && precision == 8 && matches!(count, 1 | 3);
        (first && channels.len() == 3 * usize::from(count)).then_some(())?;
        (self.width, self.height) = (u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes([h1, h0]).into());
        for &[id, sampling, quantization] in channels.as_chunks().0 {
            let blocks = [usize::from(sampling >> 4), usize::from(sampling & 15)];
            let quantization = usize::from(quantization);
            (quantization < 4).then_some(())?;
            self.components.push(Component { id, blocks, quantization, dc: 0, ac: 0 });
        }
        // Other identifiers, and chroma that is finer than luma, are rarities.
        let usual = match self.components.as_slice() {
            [grey] => grey.blocks == [1, 1],
            [y, cb, cr] => {
                let luma = y.blocks.iter().all(|blocks| matches!(blocks, 1 | 2));
                luma && cb.blocks == [1, 1] && cr.blocks == [1, 1] && [y.id, cb.id, cr.id] == [1, 2, 3]
            }
            _ => false,
        };
        usual.then_some(())
    }

    fn quantization_tables(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&kind, rest)) = segment.split_first() {
            // The upper half of the byte is the precision: 0 for 8 bits, as all baseline files have.
            let table = self.quantization.get_mut(usize::from(kind))?;
            let (values, rest) = rest.split_first_chunk::<64>()?;
            *table = Some(values.map(u16::from));
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

    /// The last EXIF segment counts, as for [`full`](super::full), which is also to judge pieces of long XMP metadata: it refuses some.
    fn exif(&mut self, segment: &[u8]) -> Option<()> {
        if let Some(exif) = segment.strip_prefix(b"Exif\0\0") {
            self.orientation = Orientation::from_exif_chunk(exif);
        }
        (!segment.starts_with(b"http://ns.adobe.com/xmp/extension/")).then_some(())
    }

    /// One scan with all channels, in order, from the first coefficient to the last.
    fn scan(&mut self, segment: &[u8]) -> Option<()> {
        let (&count, rest) = segment.split_first()?;
        let (channels, spectrum) = rest.split_at_checked(2 * usize::from(count))?;
        (spectrum == [0, 63, 0] && usize::from(count) == self.components.len() && count > 0).then_some(())?;
        for (component, &[id, tables]) in self.components.iter_mut().zip(channels.as_chunks().0) {
            (component.dc, component.ac) = (usize::from(tables >> 4), usize::from(tables & 15));
            (id == component.id && component.dc < 4 && component.ac < 4).then_some(())?;
        }
        Some(())
    }
}

/// Whether an APP14 segment is Adobe's and says YCbCr.
fn is_ycc(segment: &[u8]) -> bool {
    segment.len() == 12 && segment.starts_with(b"Adobe") && segment[11] == 1
}

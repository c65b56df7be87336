//! What the tags say of the picture, and whether it is of a kind that is read. What is not is told by name.

use super::directory::{Directory, tag};
use crate::image::error::ImageError;

/// How the strips' or tiles' bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    /// Group 4 fax.
    Fax4,
    Lzw,
    Jpeg,
    Deflate,
    PackBits,
}

/// What the numbers of a pixel mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Colour {
    /// 0 is black, or white.
    Grey {
        white_is_zero: bool,
    },
    Rgb,
    /// A colour for each index.
    Palette(Vec<[u8; 3]>),
    /// Inks, 0 for none.
    Cmyk,
    /// Only within JPEG, whose decoder makes RGB of it.
    YCbCr,
}

/// What the channel after the colours is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alpha {
    /// None, or something that nobody defines.
    None,
    /// The colours are multiplied with it already.
    Associated,
    Unassociated,
}

/// How numbers differ from those that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Predictor {
    None,
    /// Each is stored as the difference from its left neighbour.
    Horizontal,
    /// The same of the bytes of floating-point numbers, most significant bytes first.
    FloatingPoint,
}

/// The picture and where its parts lie.
pub struct Layout {
    pub width: usize,
    pub height: usize,
    /// Bits of a number: 1, 2, 4, 8, 16, or 32 for floating point.
    pub bits: usize,
    /// Numbers a pixel.
    pub samples: usize,
    /// Whether each of them has strips or tiles of its own.
    pub planar: bool,
    pub colour: Colour,
    pub alpha: Alpha,
    pub compression: Compression,
    pub predictor: Predictor,
    /// Whether the bits of each byte are stored the other way round (`FillOrder` 2).
    pub reversed_bits: bool,
    /// Width and height of a strip or tile.
    pub part: [usize; 2],
    /// Position and length of each, row by row, plane after plane.
    pub parts: Vec<[u64; 2]>,
    /// As in EXIF, 1 to 8.
    pub orientation: u8,
}

/// A refusal of what is no damage.
fn unsupported(what: impl std::fmt::Display) -> ImageError {
    ImageError::new(format_args!("{what} are not supported: save it as a TIFF of 8 or 16 bits, or as a PNG"))
}

fn corrupt(what: impl std::fmt::Display) -> ImageError {
    ImageError::new(format_args!("corrupt TIFF: {what}"))
}

impl Layout {
    /// Reads the tags.
    ///
    /// # Errors
    /// Tags that are missing, contradict one another, or describe what is not supported.
    pub fn read(directory: &Directory) -> Result<Self, ImageError> {
        refuse_camera_raw(directory)?;
        let number = |tag, default| directory.number(tag).map(|number| number.unwrap_or(default));
        let side = |tag, what| match directory.number(tag)? {
            Some(side @ 1..=0xffff_ffff) => Ok(side as usize),
            _ => Err(corrupt(format_args!("it declares no {what}"))),
        };
        let (width, height) = (side(tag::IMAGE_WIDTH, "width")?, side(tag::IMAGE_LENGTH, "height")?);
        let samples = number(tag::SAMPLES_PER_PIXEL, 1)? as usize;
        let (bits, is_float) = sample_format(directory)?;
        let compression = compression(directory)?;
        let (colour, channels) = colour(directory, bits, compression)?;
        let alpha = alpha(directory, samples, channels)?;
        let planar = number(tag::PLANAR_CONFIGURATION, 1)? == 2 && samples > 1;
        if compression == Compression::Jpeg && (samples != channels || planar || bits != 8) {
            return Err(unsupported("JPEG-compressed TIFFs with alpha, with separate planes or of other than 8 bits"));
        }
        let fax = compression == Compression::Fax4;
        if fax && (bits != 1 || samples != 1 || width > usize::from(u16::MAX)) {
            return Err(corrupt("a fax of more than one bit a pixel or 65535 pixels a line"));
        }
        let predictor = predictor(directory, bits, is_float, compression)?;
        let mut layout = Self {
            width,
            height,
            bits,
            samples,
            planar,
            colour,
            alpha,
            compression,
            predictor,
            reversed_bits: number(tag::FILL_ORDER, 1)? == 2,
            part: [width, height],
            parts: Vec::new(),
            orientation: number(tag::ORIENTATION, 1)?.min(255) as u8,
        };
        layout.find_parts(directory)?;
        Ok(layout)
    }

    /// Numbers a pixel within one strip or tile.
    pub(crate) fn part_samples(&self) -> usize {
        if self.planar { 1 } else { self.samples }
    }

    /// Bytes of a row of a strip or tile.
    pub(crate) fn row_bytes(&self) -> usize {
        (self.part[0] * self.part_samples() * self.bits).div_ceil(8)
    }

    /// Strips or tiles side by side, and one below the other.
    pub(crate) fn grid(&self) -> [usize; 2] {
        [self.width.div_ceil(self.part[0]), self.height.div_ceil(self.part[1])]
    }

    /// The most bytes that decoding takes: the picture, and one part of each plane, packed differently twice at most.
    pub(crate) fn need(&self) -> u64 {
        let planes = if self.planar { self.samples } else { 1 };
        let part = self.row_bytes() as u64 * self.part[1].min(self.height) as u64 * planes as u64;
        let times = match self.compression {
            Compression::Jpeg => 5,
            _ if self.reversed_bits => 2,
            _ => 1,
        };
        let turned = if (5..=8).contains(&self.orientation) { 2 } else { 1 };
        (self.width as u64 * self.height as u64 * 3 * turned).saturating_add(part.saturating_mul(times))
    }

    fn find_parts(&mut self, directory: &Directory) -> Result<(), ImageError> {
        let tiled = directory.has(tag::TILE_OFFSETS);
        let (offsets, lengths) = if tiled {
            for (index, tag) in [tag::TILE_WIDTH, tag::TILE_LENGTH].into_iter().enumerate() {
                let side = directory.number(tag)?.filter(|side| (1..=1 << 20).contains(side));
                self.part[index] = side.ok_or_else(|| corrupt("its tiles have no size"))? as usize;
            }
            (tag::TILE_OFFSETS, tag::TILE_BYTE_COUNTS)
        } else {
            let rows = directory.number(tag::ROWS_PER_STRIP)?.filter(|rows| *rows > 0);
            self.part[1] = rows.map_or(self.height, |rows| rows.min(self.height as u64) as usize);
            (tag::STRIP_OFFSETS, tag::STRIP_BYTE_COUNTS)
        };
        let offsets = directory.numbers(offsets)?.ok_or_else(|| corrupt("it says not where its pixels are"))?;
        let lengths = directory.numbers(lengths)?.unwrap_or_default();
        let planes = if self.planar { self.samples } else { 1 };
        let expected = self.grid()[0].saturating_mul(self.grid()[1]).saturating_mul(planes);
        if offsets.len() < expected {
            return Err(corrupt(format_args!("it has {} strips or tiles of {expected}", offsets.len())));
        }
        if lengths.len() < expected && self.compression != Compression::None {
            return Err(corrupt("it says not how long its strips or tiles are"));
        }
        let length = |index: usize| lengths.get(index).copied().unwrap_or(0);
        self.parts = (0..expected).map(|index| [offsets[index], length(index)]).collect();
        Ok(())
    }
}

/// Sensor data, which nobody but a raw converter makes a picture of; the first directory holds a thumbnail at best.
fn refuse_camera_raw(directory: &Directory) -> Result<(), ImageError> {
    // Colour filter array, and the same made linear.
    let is_raw = |directory: &Directory| {
        let photometric = directory.number(tag::PHOTOMETRIC).ok().flatten();
        matches!(photometric, Some(32803 | 34892))
    };
    let below = directory.numbers(tag::SUB_IFDS).ok().flatten().unwrap_or_default();
    let raw_below = below.iter().take(8).any(|&start| directory.at(start).is_ok_and(|below| is_raw(&below)));
    if directory.has(tag::DNG_VERSION) || is_raw(directory) || raw_below {
        return Err(ImageError::new(
            "camera raw files (DNG, NEF, ARW and others) are not supported: develop it to a JPEG, PNG or TIFF",
        ));
    }
    Ok(())
}

/// Bits of a number, and whether it is floating point.
fn sample_format(directory: &Directory) -> Result<(usize, bool), ImageError> {
    let bits = directory.numbers(tag::BITS_PER_SAMPLE)?.unwrap_or_else(|| vec![1]);
    let Some(&first) = bits.first() else { return Err(corrupt("it declares no bits a sample")) };
    if bits.iter().any(|other| *other != first) {
        return Err(unsupported("TIFFs whose channels differ in their number of bits"));
    }
    match (directory.number(tag::SAMPLE_FORMAT)?.unwrap_or(1), first) {
        // 4: undefined, which is to be read as whole numbers.
        (1 | 4, 1 | 2 | 4 | 8 | 16) => Ok((first as usize, false)),
        (1 | 4, bits) => Err(unsupported(format_args!("TIFFs of {bits} bits a channel"))),
        (2, _) => Err(unsupported("TIFFs of signed numbers")),
        (3, 32) => Ok((32, true)),
        (3, bits) => Err(unsupported(format_args!("TIFFs of {bits}-bit floating-point numbers"))),
        _ => Err(unsupported("TIFFs of complex or unknown numbers")),
    }
}

fn compression(directory: &Directory) -> Result<Compression, ImageError> {
    let named = match directory.number(tag::COMPRESSION)?.unwrap_or(1) {
        1 => return Ok(Compression::None),
        4 => return Ok(Compression::Fax4),
        5 => return Ok(Compression::Lzw),
        7 => return Ok(Compression::Jpeg),
        8 | 32946 => return Ok(Compression::Deflate),
        32773 => return Ok(Compression::PackBits),
        2 => "fax-compressed TIFFs (CCITT run lengths)",
        3 => "fax-compressed TIFFs (Group 3)",
        6 => "TIFFs with old-style JPEG compression",
        9 | 10 | 34661 => "TIFFs with JBIG compression",
        34712 | 33003 | 33005 => "TIFFs with JPEG 2000 compression",
        34887 => "TIFFs with LERC compression",
        34925 => "TIFFs with LZMA compression",
        50000 | 34926 => "TIFFs with Zstandard compression",
        50001 | 34927 => "TIFFs with WebP compression",
        50002 | 52546 => "TIFFs with JPEG XL compression",
        other => return Err(unsupported(format_args!("TIFFs with compression method {other}"))),
    };
    Err(unsupported(named))
}

/// The meaning of the colour channels, and their number.
fn colour(directory: &Directory, bits: usize, compression: Compression) -> Result<(Colour, usize), ImageError> {
    let fax = compression == Compression::Fax4;
    let Some(photometric) = directory.number(tag::PHOTOMETRIC)?.or(fax.then_some(0)) else {
        return Err(corrupt("it says not what its numbers mean (PhotometricInterpretation)"));
    };
    let whole = !matches!(bits, 32);
    let named = match photometric {
        0 | 1 => return Ok((Colour::Grey { white_is_zero: photometric == 0 }, 1)),
        2 => return Ok((Colour::Rgb, 3)),
        3 if bits <= 8 => return Ok((Colour::Palette(palette(directory, bits)?), 1)),
        3 => "TIFFs with palettes of more than 256 colours",
        4 => "TIFFs that are transparency masks",
        5 if directory.number(tag::INK_SET)?.unwrap_or(1) != 1 => "TIFFs with inks other than CMYK",
        5 if compression == Compression::Jpeg => "JPEG-compressed CMYK TIFFs",
        5 if whole => return Ok((Colour::Cmyk, 4)),
        5 => "floating-point CMYK TIFFs",
        6 if compression == Compression::Jpeg => return Ok((Colour::YCbCr, 3)),
        6 => "YCbCr TIFFs that are not JPEG-compressed",
        8..=10 => "TIFFs in the Lab colour space",
        32844 | 32845 => "TIFFs in the LogLuv colour space",
        other => return Err(unsupported(format_args!("TIFFs with photometric interpretation {other}"))),
    };
    Err(unsupported(named))
}

/// All reds, all greens, all blues; in 16 bits, though some programs write 8.
fn palette(directory: &Directory, bits: usize) -> Result<Vec<[u8; 3]>, ImageError> {
    let colours = 1 << bits;
    let map = directory.numbers(tag::COLOR_MAP)?.filter(|map| map.len() >= 3 * colours);
    let map = map.ok_or_else(|| corrupt("its palette is missing or too short"))?;
    let wide = map.iter().any(|&value| value > 255);
    let level = |value: u64| if wide { ((value.min(65535) + 128) / 257) as u8 } else { value as u8 };
    Ok((0..colours).map(|index| [0, 1, 2].map(|channel| level(map[channel * colours + index]))).collect())
}

/// What follows the colours. Without a word about it, a fourth channel of RGB is alpha, as in all viewers.
fn alpha(directory: &Directory, samples: usize, channels: usize) -> Result<Alpha, ImageError> {
    let extra = directory.numbers(tag::EXTRA_SAMPLES)?.unwrap_or_default();
    match samples.checked_sub(channels) {
        None => Err(corrupt(format_args!("it has {samples} channels where its colours need {channels}"))),
        Some(0) => Ok(Alpha::None),
        Some(1) => Ok(match extra.first() {
            Some(0) => Alpha::None,
            Some(1) => Alpha::Associated,
            _ => Alpha::Unassociated,
        }),
        Some(_) => Err(unsupported(format_args!("TIFFs of {samples} channels"))),
    }
}

fn predictor(
    directory: &Directory,
    bits: usize,
    is_float: bool,
    compression: Compression,
) -> Result<Predictor, ImageError> {
    // Only these two compressions know predictors; libtiff ignores the tag elsewhere, and so does everyone.
    if !matches!(compression, Compression::Lzw | Compression::Deflate) {
        return Ok(Predictor::None);
    }
    match directory.number(tag::PREDICTOR)?.unwrap_or(1) {
        1 => Ok(Predictor::None),
        2 if bits >= 8 && !is_float => Ok(Predictor::Horizontal),
        2 => Err(unsupported("TIFFs with differences of less than 8 bits or of floating-point numbers")),
        3 if is_float => Ok(Predictor::FloatingPoint),
        other => Err(corrupt(format_args!("predictor {other} for its numbers"))),
    }
}

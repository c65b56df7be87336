//! PNG files as people have them.
//!
//! Row by row, so that 16 bits and alpha take no more memory than what is kept. A file that ends after the last of its
//! pixels' chunks is whole for every viewer, and for us if the compressed data end properly; one that ends within
//! another chunk is cut short.

use super::failure::cut_short;
use crate::image::budget::{Beside, Held, reserve};
use crate::image::error::ImageError;
use crate::image::limits::check_size;
use crate::image::orientation::{of_exif, turns};
use crate::image::pixels::Pixels;
use crate::image::rgb::over_white;
use ::image::metadata::Orientation;
use ::png::{BitDepth, ColorType, DecodeOptions, Decoder, Transformations};
use std::borrow::Cow;
use std::io::Cursor;

/// What ends a file: an empty chunk, its name and its checksum.
const END: [u8; 12] = [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82];

/// Decodes the picture; its orientation is for the caller to apply.
///
/// # Errors
/// Cut short, corrupt or too large.
pub fn decode(bytes: &[u8], beside: Beside) -> Result<(Pixels, Option<Orientation>, Held), ImageError> {
    let chunks = Chunks::read(bytes);
    let file = chunks.completed(bytes)?;
    let told = |error: ::png::DecodingError| match &file {
        Cow::Owned(_) => cut_short("PNG", bytes),
        Cow::Borrowed(_) => ImageError::new(format_args!("corrupt PNG: {error}")),
    };
    let mut options = DecodeOptions::default();
    // Without the chunk at the end, the checksum at the end of the pixels is what tells that all are there.
    options.set_ignore_adler32(matches!(file, Cow::Borrowed(_)));
    options.set_ignore_text_chunk(true);
    options.set_ignore_iccp_chunk(true);
    let mut decoder = Decoder::new_with_options(Cursor::new(&file[..]), options);
    decoder.set_transformations(Transformations::EXPAND);
    let (width, height) = {
        let info = decoder.read_header_info().map_err(told)?;
        (info.width as usize, info.height as usize)
    };
    check_size(width as u64, height as u64)?;
    let orientation = chunks.exif.and_then(of_exif);
    let copies = if turns(orientation) { 2 } else { 1 };
    let (row, size) = (width as u64 * 8, width as u64 * height as u64);
    let mut reader = decoder.read_info().map_err(told)?;
    let kind = reader.output_color_type();
    let all_at_once = reader.info().interlaced || kind == (ColorType::Rgb, BitDepth::Eight);
    let buffer = reader.output_buffer_size().ok_or_else(|| ImageError::new("the PNG is too large"))?;
    let need = match all_at_once {
        true if kind == (ColorType::Rgb, BitDepth::Eight) => size * 3 * copies,
        true => (size * 3).saturating_mul(copies) + buffer as u64,
        false => size * 3 * copies,
    };
    let held = reserve(need + row * 4, [width, height], beside)?;
    let mut data = vec![0; width * height * 3];
    if kind == (ColorType::Rgb, BitDepth::Eight) {
        reader.next_frame(&mut data).map_err(told)?;
    } else if all_at_once {
        let mut samples = vec![0; buffer];
        reader.next_frame(&mut samples).map_err(told)?;
        to_rgb(&samples, kind, &mut data);
    } else {
        for line in data.chunks_exact_mut(width * 3) {
            let row = reader.next_row().map_err(told)?.ok_or_else(|| cut_short("PNG", bytes))?;
            to_rgb(row.data(), kind, line);
        }
    }
    reader.finish().map_err(told)?;
    Ok((Pixels { width, height, data }, orientation, held))
}

/// Converts pixels of the given kind; of 16-bit numbers the first byte is the greater.
fn to_rgb(samples: &[u8], (colour, depth): (ColorType, BitDepth), rgb: &mut [u8]) {
    let rgb = rgb.as_chunks_mut().0.iter_mut();
    let level = |bytes: [u8; 2]| ((u32::from(u16::from_be_bytes(bytes)) + 128) / 257) as u8;
    match (colour.samples(), depth == BitDepth::Sixteen) {
        (1, false) => samples.iter().zip(rgb).for_each(|(&grey, rgb)| *rgb = [grey; 3]),
        (2, false) => pixels(samples, rgb, |[grey, alpha]: [u8; 2]| over_white([grey; 3], alpha)),
        (3, false) => pixels(samples, rgb, |rgb: [u8; 3]| rgb),
        (_, false) => pixels(samples, rgb, |[r, g, b, alpha]: [u8; 4]| over_white([r, g, b], alpha)),
        (1, true) => pixels(samples, rgb, |grey: [u8; 2]| [level(grey); 3]),
        (2, true) => pixels(samples, rgb, |[a, b, c, d]: [u8; 4]| over_white([level([a, b]); 3], level([c, d]))),
        (3, true) => pixels(samples, rgb, |[a, b, c, d, e, f]: [u8; 6]| [[a, b], [c, d], [e, f]].map(level)),
        (_, true) => pixels(samples, rgb, |[a, b, c, d, e, f, g, h]: [u8; 8]| {
            over_white([[a, b], [c, d], [e, f]].map(level), level([g, h]))
        }),
    }
}

fn pixels<'a, const BYTES: usize>(
    samples: &[u8],
    rgb: impl Iterator<Item = &'a mut [u8; 3]>,
    convert: impl Fn([u8; BYTES]) -> [u8; 3],
) {
    samples.as_chunks().0.iter().zip(rgb).for_each(|(pixel, rgb)| *rgb = convert(*pixel));
}

/// What the sequence of chunks says, without decoding anything.
struct Chunks<'a> {
    /// Whether the last one is there.
    ended: bool,
    /// Where the last whole chunk ends.
    end: usize,
    /// Whether that is one of the pixels' or a later one.
    has_data: bool,
    exif: Option<&'a [u8]>,
}

impl<'a> Chunks<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let mut chunks = Self { ended: false, end: 8, has_data: false, exif: None };
        while let Some((name, data)) = chunk(bytes.get(chunks.end..).unwrap_or_default()) {
            match name {
                b"IDAT" => chunks.has_data = true,
                b"eXIf" => chunks.exif = chunks.exif.or(Some(data)),
                b"IEND" => chunks.ended = true,
                _ => {}
            }
            chunks.end += data.len() + 12;
            if chunks.ended {
                break;
            }
        }
        chunks
    }

    /// The file with an end.
    fn completed<'b>(&self, bytes: &'b [u8]) -> Result<Cow<'b, [u8]>, ImageError> {
        if self.ended {
            return Ok(Cow::Borrowed(bytes));
        }
        // Nothing more, or the beginning of the end; any other chunk was to say something.
        if !self.has_data || !END.starts_with(&bytes[self.end..]) {
            return Err(cut_short("PNG", bytes));
        }
        Ok(Cow::Owned([&bytes[..self.end], &END].concat()))
    }
}

/// The first chunk's name and data; none if it is not whole.
fn chunk(bytes: &[u8]) -> Option<(&[u8; 4], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (name, rest) = rest.split_first_chunk::<4>()?;
    let (data, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    rest.get(..4).map(|_| (name, data))
}

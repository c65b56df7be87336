//! From the bytes of a strip or tile to rows of packed numbers.

use super::layout::{Colour, Compression, Layout};
use crate::image::error::ImageError;
use fax::decoder::{DecodeStatus, Group4Decoder};
use std::borrow::Cow;
use std::convert::Infallible;
use std::io::Read;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

fn short() -> ImageError {
    ImageError::new("the TIFF is cut short or corrupt: a strip or tile holds less than its share of the pixels")
}

/// The first `rows` rows of a part.
///
/// # Errors
/// It holds fewer, or is corrupt.
pub(crate) fn unpack<'a>(
    layout: &Layout,
    data: &'a [u8],
    tables: Option<&[u8]>,
    rows: usize,
) -> Result<Cow<'a, [u8]>, ImageError> {
    let length = layout.row_bytes() * rows;
    let mut data = Cow::Borrowed(data);
    if layout.reversed_bits && layout.compression != Compression::Jpeg {
        // No more than is needed of data without compression, whose end is not known.
        let most = if layout.compression == Compression::None { length } else { data.len() };
        data = data.iter().take(most).map(|byte| byte.reverse_bits()).collect();
    }
    let unpacked = match layout.compression {
        Compression::None => {
            return match data {
                Cow::Borrowed(data) => data.get(..length).map(Cow::Borrowed).ok_or_else(short),
                Cow::Owned(data) if data.len() == length => Ok(Cow::Owned(data)),
                Cow::Owned(_) => Err(short()),
            };
        }
        Compression::PackBits => pack_bits(&data, length),
        Compression::Lzw => lzw(&data, length),
        Compression::Deflate => deflate(&data, length),
        Compression::Fax4 => group4(&data, layout.part[0] as u16, rows),
        Compression::Jpeg => jpeg(layout, &data, tables, rows),
    };
    unpacked.map(Cow::Owned)
}

/// Runs: a header of n, 0 to 127, before n + 1 bytes as they are; of -n before one byte to repeat n + 1 times (TIFF
/// 6.0, section 9).
fn pack_bits(mut data: &[u8], length: usize) -> Result<Vec<u8>, ImageError> {
    let mut out = Vec::with_capacity(length);
    while out.len() < length {
        let (&header, rest) = data.split_first().ok_or_else(short)?;
        data = match header as i8 {
            count @ 0.. => {
                let (run, rest) = rest.split_at_checked(count as usize + 1).ok_or_else(short)?;
                out.extend_from_slice(run);
                rest
            }
            -128 => rest,
            count => {
                let (&value, rest) = rest.split_first().ok_or_else(short)?;
                out.resize(out.len() + usize::from(count.unsigned_abs()) + 1, value);
                rest
            }
        };
    }
    out.truncate(length);
    Ok(out)
}

fn lzw(data: &[u8], length: usize) -> Result<Vec<u8>, ImageError> {
    // Before 1992 codes began at the other end of the bytes; libtiff tells it by the first code, "clear", as well.
    if matches!(data, [0, second, ..] if second & 1 == 1) {
        return Err(ImageError::new(
            "TIFFs with old-style LZW compression are not supported: save it again, or as a PNG",
        ));
    }
    let mut decoder = weezl::decode::Configuration::with_tiff_size_switch(weezl::BitOrder::Msb, 8)
        .with_yield_on_full_buffer(true)
        .build();
    let mut out = vec![0; length];
    let (mut read, mut written) = (0, 0);
    while written < length {
        let result = decoder.decode_bytes(&data[read..], &mut out[written..]);
        read += result.consumed_in;
        written += result.consumed_out;
        match result.status {
            Ok(weezl::LzwStatus::Ok) if result.consumed_in > 0 || result.consumed_out > 0 => {}
            Ok(_) if written < length => return Err(short()),
            Ok(_) => break,
            Err(error) => return Err(ImageError::new(format_args!("corrupt TIFF: {error}"))),
        }
    }
    Ok(out)
}

fn deflate(data: &[u8], length: usize) -> Result<Vec<u8>, ImageError> {
    let mut decoder = flate2::bufread::ZlibDecoder::new(data);
    let mut out = vec![0; length];
    decoder.read_exact(&mut out).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => short(),
        _ => ImageError::new(format_args!("corrupt TIFF: {error}")),
    })?;
    // Where the stream ends here, its checksum is looked at now.
    std::io::copy(&mut decoder.take(1), &mut std::io::sink())
        .map_err(|error| ImageError::new(format_args!("corrupt TIFF: {error}")))?;
    Ok(out)
}

/// Sets the bits of the black runs between positions of change, white first.
fn draw_line(changes: &[u16], line: &mut [u8], width: u16) {
    for run in changes.chunks(2) {
        let end = run.get(1).copied().unwrap_or(width).min(width);
        for x in usize::from(run[0])..usize::from(end) {
            line[x / 8] |= 0x80 >> (x % 8);
        }
    }
}

fn group4(data: &[u8], width: u16, rows: usize) -> Result<Vec<u8>, ImageError> {
    let bytes = data.iter().map(|byte| Ok::<u8, Infallible>(*byte));
    let mut decoder = Group4Decoder::new(bytes, width).map_err(|_| short())?;
    let row_bytes = usize::from(width).div_ceil(8);
    let mut out = vec![0; row_bytes * rows];
    for line in out.chunks_exact_mut(row_bytes) {
        match decoder.advance() {
            Ok(DecodeStatus::Incomplete) => draw_line(decoder.transition(), line, width),
            _ => return Err(short()),
        }
    }
    Ok(out)
}

/// A part is a JPEG of its own that may lack tables; they stand in the directory once.
fn jpeg(layout: &Layout, data: &[u8], tables: Option<&[u8]>, rows: usize) -> Result<Vec<u8>, ImageError> {
    let tables = tables.and_then(|tables| tables.strip_suffix(&[0xff, 0xd9]));
    let joined = match (tables, data.strip_prefix(&[0xff, 0xd8])) {
        (Some(tables), Some(rest)) => Cow::Owned([tables, rest].concat()),
        _ => Cow::Borrowed(data),
    };
    let options = DecoderOptions::default().set_strict_mode(true);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(&joined), options);
    let corrupt = |error: &dyn std::fmt::Display| ImageError::new(format_args!("corrupt JPEG in a TIFF: {error}"));
    decoder.decode_headers().map_err(|error| corrupt(&error))?;
    let output = match (&layout.colour, decoder.input_colorspace()) {
        (Colour::Rgb, Some(ColorSpace::YCbCr)) => ColorSpace::YCbCr, // Not converted: RGB stands in their place.
        (Colour::Rgb | Colour::YCbCr, _) => ColorSpace::RGB,
        _ => ColorSpace::Luma,
    };
    decoder.set_options(options.jpeg_set_out_colorspace(output));
    let (width, height) = decoder.dimensions().ok_or_else(short)?;
    if width != layout.part[0] || height < rows || height > layout.part[1] {
        return Err(corrupt(&format_args!("{width}x{height} pixels in a part of another size")));
    }
    let mut pixels = decoder.decode().map_err(|error| corrupt(&error))?;
    let length = layout.row_bytes() * rows;
    if pixels.len() < length {
        return Err(short());
    }
    pixels.truncate(length);
    Ok(pixels)
}

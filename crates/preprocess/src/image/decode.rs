//! Decodes an image file to 8-bit RGB.
//!
//! The one way to RGB, whatever the file holds:
//! - grey: the three channels are equal; palette: each index becomes its colour;
//! - 16 bits (and floating point, 0 to 1): scaled to 0 to 255 and rounded to the nearest integer;
//! - alpha: composited over white, as a browser shows it on a blank page;
//! - CMYK and YCCK in JPEG: `R = C K / 255` on inverted inks, as Adobe writes them and viewers take them (`jpeg`);
//! - colour profiles and gamma are ignored: the numbers in the file are taken for sRGB;
//! - an animation is its first frame; EXIF orientation is applied.

use super::budget::Beside;
use super::decoded::Decoded;
use super::error::ImageError;
use super::pixels::Pixels;
use super::resize::{resizing_need, shown_size};
use super::{formats, jpeg};
use crate::folder::{HEAD, format, name_of_other};
use crate::pipeline::{Filter, ImageSettings};
use crate::stage::contained::contained;
use ::image::ImageFormat;
use std::cell::Cell;

/// The least that a side is reduced to. Four times that of the thumbnails by which near-copies are found, and the
/// default size of a model's images: at that size, and below it, one decoding serves both.
const LEAST_SIDE: usize = 128;

/// Decodes `bytes` in whatever format they show themselves to be, at full size.
///
/// # Errors
/// No image or no supported one, cut short, corrupt, of more than [`MAX_PIXELS`](super::MAX_PIXELS) or a side of more
/// than `MAX_SIDE`, or one that takes more memory than [`budget`](super::budget) allows.
pub fn decode(bytes: &[u8]) -> Result<Pixels, ImageError> {
    let format = recognise(bytes)?;
    without_panics(|| decode_as(bytes, format, &|_| 0)).map(|decoded| decoded.pixels)
}

/// Decodes `bytes` for [`Decoded::resize`] with the same settings. A JPEG of at least twice the size that is needed is
/// decoded at a half, a quarter or an eighth of its own; `nearest`, which picks single pixels, needs all of them.
///
/// # Errors
/// As [`decode`]: no file is refused, or accepted, by one and not by the other.
pub fn decode_for(bytes: &[u8], settings: &ImageSettings) -> Result<Decoded, ImageError> {
    let format = recognise(bytes)?;
    let beside = |size| resizing_need(size, settings);
    let shown = |width, height| shown_size(width, height, settings);
    without_panics(|| at_scale(bytes, format, settings.filter, &shown, &beside).map(|(decoded, _)| decoded))
}

/// As [`decode_for`], but for [`Decoded::resize_part`], and the size that the whole picture has, as it is seen. `least`
/// says, given that size, how large the whole has to be decoded for its parts to be as large as they are needed.
///
/// # Errors
/// As [`decode`].
pub(crate) fn decode_for_parts(
    bytes: &[u8],
    settings: &ImageSettings,
    least: &dyn Fn([usize; 2]) -> [usize; 2],
) -> Result<(Decoded, [usize; 2]), ImageError> {
    let format = recognise(bytes)?;
    // As for the whole: a part takes no more than it, or so little that it does not matter.
    let beside = |size| resizing_need(size, settings);
    let shown = |width, height| least([width, height]).into();
    without_panics(|| at_scale(bytes, format, settings.filter, &shown, &beside))
}

/// A picture, decoded for the model and for comparing.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// For [`Decoded::resize`].
    pub decoded: Decoded,
    /// The same at another scale, where copies are not recognised by what was decoded for the model.
    own_scale: Option<Decoded>,
    /// Width and height of the picture in the file, in pixels, as it is seen: after its orientation is applied.
    pub size: [usize; 2],
}

impl Compared {
    /// What copies are recognised by.
    pub fn to_compare(&self) -> &Pixels {
        self.own_scale.as_ref().unwrap_or(&self.decoded).pixels()
    }
}

/// As [`decode_for`], and what copies are recognised by: the picture at a scale that follows from the file alone,
/// whatever `settings` say. If that is not what was decoded for the model, the file is decoded a second time.
///
/// # Errors
/// As [`decode`].
pub fn decode_to_compare(bytes: &[u8], settings: &ImageSettings) -> Result<Compared, ImageError> {
    let format = recognise(bytes)?;
    let beside = |size| resizing_need(size, settings);
    let shown = |width, height| shown_size(width, height, settings);
    without_panics(|| {
        let (decoded, size) = at_scale(bytes, format, settings.filter, &shown, &beside)?;
        let [width, height] = size;
        let least = (LEAST_SIDE, LEAST_SIDE);
        let own = if format == ImageFormat::Jpeg { jpeg::points(width, height, least) } else { 8 };
        let is_own = own * width == (decoded.covered_width() * 8.0) as usize;
        let own_scale = if is_own { None } else { Some(jpeg::decode_at_least(bytes, |_, _| least, &|_| 0)?) };
        Ok(Compared { decoded, own_scale, size })
    })
}

/// Decoded at least as large as the picture is `shown`, given its size, and the size that the whole picture has, as it
/// is seen.
fn at_scale(
    bytes: &[u8],
    format: ImageFormat,
    filter: Filter,
    shown: &dyn Fn(usize, usize) -> (usize, usize),
    beside: Beside,
) -> Result<(Decoded, [usize; 2]), ImageError> {
    let size = Cell::new([0; 2]);
    let least = |width, height| {
        size.set([width, height]);
        let (width, height) = shown(width, height);
        (width.max(LEAST_SIDE), height.max(LEAST_SIDE))
    };
    if format == ImageFormat::Jpeg && filter != Filter::Nearest {
        let decoded = jpeg::decode_at_least(bytes, least, beside)?;
        return Ok((decoded, size.get()));
    }
    let decoded = decode_as(bytes, format, beside)?;
    let size = [decoded.pixels().width, decoded.pixels().height];
    Ok((decoded, size))
}

fn recognise(bytes: &[u8]) -> Result<ImageFormat, ImageError> {
    match format(bytes.get(..HEAD).unwrap_or(bytes)) {
        None if bytes.is_empty() => Err(ImageError::new("the file is empty")),
        None => Err(match name_of_other(bytes) {
            Some(name) => ImageError::new(format_args!("its content is not an image's: it is {name}")),
            None => ImageError::new("its content is not an image's"),
        }),
        Some(Err(name)) => {
            Err(ImageError::new(format_args!("{name} images are not supported: convert it to JPEG or PNG")))
        }
        Some(Ok(format)) => Ok(format),
    }
}

fn decode_as(bytes: &[u8], format: ImageFormat, beside: Beside) -> Result<Decoded, ImageError> {
    match format {
        ImageFormat::Jpeg => jpeg::decode(bytes, beside),
        _ => formats::decode(bytes, format, beside),
    }
}

/// Runs a decoder on hostile bytes: its panic becomes a finding about the file.
fn without_panics<T>(decode: impl FnOnce() -> Result<T, ImageError>) -> Result<T, ImageError> {
    contained(decode, |reason| ImageError::new(reason))
}

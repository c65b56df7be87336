//! Decodes an image file to 8-bit RGB.
//!
//! The one way to RGB, whatever the file holds:
//! - grey: the three channels are equal; palette: each index becomes its colour;
//! - 16 bits (and floating point, 0 to 1): scaled to 0 to 255 and rounded to the nearest integer;
//! - alpha: composited over white, as a browser shows it on a blank page;
//! - CMYK and YCCK in JPEG: `R = C K / 255` on inverted inks, as Adobe writes them (`jpeg`);
//! - colour profiles and gamma are ignored: the numbers in the file are taken for sRGB;
//! - an animation is its first frame; EXIF orientation is applied.

use super::resize::shown_size;
use super::{Decoded, ImageError, Pixels, jpeg};
use crate::folder::format;
use crate::pipeline::{Filter, ImageSettings};
use ::image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::cell::Cell;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// The most pixels that a file may declare: 200 million, 600 MB of RGB. Checked before anything is allocated.
pub const MAX_PIXELS: u64 = 200_000_000;

/// The most that a decoder may allocate beside the pixels, in bytes.
const MAX_ALLOCATION: u64 = 1 << 30;

/// The least that a side is reduced to. Four times that of the thumbnails by which near-copies are found, and the default size of a model's
/// images: at that size, and below it, one decoding serves both.
const LEAST_SIDE: usize = 128;

/// Decodes `bytes` in whatever format they show themselves to be, at full size.
///
/// # Errors
/// No image or no supported one, cut short, corrupt, or of more than [`MAX_PIXELS`].
pub fn decode(bytes: &[u8]) -> Result<Pixels, ImageError> {
    let format = recognise(bytes)?;
    without_panics(|| decode_as(bytes, format))
}

/// Decodes `bytes` for [`Decoded::resize`] with the same settings. A JPEG of at least twice the size that is needed is decoded at a half,
/// a quarter or an eighth of its own; `nearest`, which picks single pixels, needs all of them.
///
/// # Errors
/// As [`decode`]: no file is refused, or accepted, by one and not by the other.
pub fn decode_for(bytes: &[u8], settings: &ImageSettings) -> Result<Decoded, ImageError> {
    let format = recognise(bytes)?;
    without_panics(|| at_scale(bytes, format, settings).map(|(decoded, _)| decoded))
}

/// As [`decode_for`], and what copies are recognised by: the picture at a scale that follows from the file alone, whatever `settings` say.
/// None if that is what was decoded for the model; otherwise the file is decoded a second time.
///
/// # Errors
/// As [`decode`].
pub fn decode_to_compare(bytes: &[u8], settings: &ImageSettings) -> Result<(Decoded, Option<Decoded>), ImageError> {
    let format = recognise(bytes)?;
    without_panics(|| {
        let (decoded, [width, height]) = at_scale(bytes, format, settings)?;
        let least = (LEAST_SIDE, LEAST_SIDE);
        let own = if format == ImageFormat::Jpeg { jpeg::points(width, height, least) } else { None };
        let is_own = own.unwrap_or(8) * width == (decoded.covered_width() * 8.0) as usize;
        let compared = if is_own { None } else { jpeg::decode_reduced(bytes, |_, _| least) };
        Ok((decoded, compared))
    })
}

/// Decoded for the model's size, and the size that the whole picture has, as it is seen.
fn at_scale(bytes: &[u8], format: ImageFormat, settings: &ImageSettings) -> Result<(Decoded, [usize; 2]), ImageError> {
    let size = Cell::new([0; 2]);
    let least = |width, height| {
        size.set([width, height]);
        let (width, height) = shown_size(width, height, settings);
        (width.max(LEAST_SIDE), height.max(LEAST_SIDE))
    };
    let reducible = format == ImageFormat::Jpeg && settings.filter != Filter::Nearest;
    if let Some(reduced) = reducible.then(|| jpeg::decode_reduced(bytes, least)).flatten() {
        return Ok((reduced, size.get()));
    }
    let pixels = decode_as(bytes, format)?;
    let size = [pixels.width, pixels.height];
    Ok((Decoded::whole(pixels), size))
}

fn recognise(bytes: &[u8]) -> Result<ImageFormat, ImageError> {
    match format(bytes) {
        None if bytes.is_empty() => Err(ImageError::new("the file is empty")),
        None => Err(ImageError::new("its content is not an image's")),
        Some(Err(name)) => Err(ImageError::new(format_args!("{name} images are not supported"))),
        Some(Ok(format)) => Ok(format),
    }
}

fn decode_as(bytes: &[u8], format: ImageFormat) -> Result<Pixels, ImageError> {
    match format {
        ImageFormat::Jpeg => jpeg::decode(bytes),
        _ => decode_other(bytes, format),
    }
}

/// All formats but JPEG.
fn decode_other(bytes: &[u8], format: ImageFormat) -> Result<Pixels, ImageError> {
    let mut decoder = ImageReader::with_format(Cursor::new(bytes), format).into_decoder().map_err(ImageError::new)?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into())?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_ALLOCATION.max(decoder.total_bytes()));
    decoder.set_limits(limits).map_err(ImageError::new)?;
    let orientation = decoder.orientation().map_err(ImageError::new)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(ImageError::new)?;
    image.apply_orientation(orientation);
    Ok(to_rgb(image))
}

/// Refuses an image that declares no pixels or too many.
pub(super) fn check_size(width: u64, height: u64) -> Result<(), ImageError> {
    match width.saturating_mul(height) {
        0 => Err(ImageError::new(format_args!("it declares {width}x{height} pixels"))),
        1..=MAX_PIXELS => Ok(()),
        _ => Err(ImageError::new(format_args!(
            "it declares {width}x{height} pixels, more than the limit of {} million",
            MAX_PIXELS / 1_000_000
        ))),
    }
}

/// The documented conversion.
pub(super) fn to_rgb(image: DynamicImage) -> Pixels {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let data = if image.color().has_alpha() {
        let pixels = image.into_rgba8();
        let over_white = |colour: u8, alpha: u8| {
            let (colour, alpha) = (u32::from(colour), u32::from(alpha));
            ((colour * alpha + 255 * (255 - alpha) + 127) / 255) as u8
        };
        pixels.pixels().flat_map(|p| [0, 1, 2].map(|channel| over_white(p.0[channel], p.0[3]))).collect()
    } else {
        image.into_rgb8().into_raw()
    };
    Pixels { width, height, data }
}

thread_local! {
    /// Whether this thread is inside a decoder, where a panic is a finding about the file and no business of the screen's.
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Runs a decoder on hostile bytes: its panic becomes an error.
fn without_panics<T>(decode: impl FnOnce() -> Result<T, ImageError>) -> Result<T, ImageError> {
    static QUIET_HOOK: Once = Once::new();
    QUIET_HOOK.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !DECODING.get() {
                print(info);
            }
        }));
    });
    DECODING.set(true);
    let result = catch_unwind(AssertUnwindSafe(decode));
    DECODING.set(false);
    result.unwrap_or_else(|_| Err(ImageError::new("the decoder gave up on it: it is corrupt in an unforeseen way")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_inside_a_decoder_is_a_finding() {
        let result: Result<(), _> = without_panics(|| panic!("index out of bounds"));
        assert!(result.is_err_and(|error| error.reason.contains("corrupt")));
        assert_eq!(without_panics(|| Ok(1)), Ok(1));
    }
}

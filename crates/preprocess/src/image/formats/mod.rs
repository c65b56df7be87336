//! All formats but JPEG: what is cut short is refused here, where the decoders are lenient, and what they take is
//! reserved before.

mod failure;
mod gif;
mod png;
#[cfg(test)]
mod tests;
mod tiff;
mod webp;

use super::budget::{Beside, Held, reserve};
use super::decoded::Decoded;
use super::error::ImageError;
use super::limits::check_size;
use super::orientation;
use super::pixels::Pixels;
use super::rgb::to_rgb;
use ::image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::io::Cursor;

/// Decodes at full size, upright. `beside` says what the caller needs besides the picture's size.
///
/// # Errors
/// Cut short, corrupt, too large, or of a kind that is not supported.
pub fn decode(bytes: &[u8], format: ImageFormat, beside: Beside) -> Result<Decoded, ImageError> {
    let (pixels, orientation, held) = match format {
        ImageFormat::Png => png::decode(bytes, beside)?,
        ImageFormat::Tiff => tiff::decode(bytes, beside)?,
        ImageFormat::WebP => {
            let webp::Checked { file, exif, planes } = webp::checked(bytes)?;
            // Brightness, colours and alpha by themselves; or four channels of a frame, and of the whole.
            let each = if planes { 3 } else { 8 };
            let (pixels, held) = through_image(&file, format, beside, |width, height| width * height * each)?;
            (pixels, exif.and_then(orientation::of_exif), held)
        }
        ImageFormat::Gif => {
            let frame = gif::first_frame(bytes)?;
            let part = |width, height| if frame == [width, height] { 0 } else { frame[0] * frame[1] * 4 };
            let (pixels, held) = through_image(bytes, format, beside, part)?;
            (pixels, None, held)
        }
        _ => {
            let (pixels, held) = through_image(bytes, format, beside, |_, _| 0)?;
            (pixels, None, held)
        }
    };
    Ok(orientation::apply(Decoded::whole(pixels), orientation).holding(held))
}

/// The crate's decoder, with `inner(width, height)` bytes for itself.
fn through_image(
    bytes: &[u8],
    format: ImageFormat,
    beside: Beside,
    inner: impl FnOnce(u64, u64) -> u64,
) -> Result<(Pixels, Held), ImageError> {
    let mut decoder = ImageReader::with_format(Cursor::new(bytes), format).into_decoder().map_err(ImageError::new)?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into())?;
    let (width, height) = (u64::from(width), u64::from(height));
    let converted = match decoder.color_type() {
        ColorType::Rgb8 | ColorType::Rgba8 => 0,
        _ => width * height * 3,
    };
    // Twice the picture where it may have to be turned.
    let turned = if format == ImageFormat::WebP { width * height * 3 } else { 0 };
    let inner = inner(width, height).max(turned);
    let need = decoder.total_bytes() + converted + inner;
    let held = reserve(need, [width as usize, height as usize], beside)?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(need);
    decoder.set_limits(limits).map_err(ImageError::new)?;
    let image = DynamicImage::from_decoder(decoder).map_err(ImageError::new)?;
    Ok((to_rgb(image), held))
}

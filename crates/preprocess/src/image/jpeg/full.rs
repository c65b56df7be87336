//! Any JPEG at full size: decoded strictly, so that a file cut short is an error and not a picture with a grey half.

use crate::image::decode::check_size;
use crate::image::{Decoded, ImageError, Pixels, orientation};
use ::image::metadata::Orientation;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// The marker that ends the image.
const END_OF_IMAGE: u8 = 0xd9;
/// The segment in which Adobe's programs leave their name.
const APP14: u8 = 0xee;

/// Decodes a baseline or progressive JPEG.
pub fn decode(bytes: &[u8]) -> Result<Pixels, ImageError> {
    let structure = Structure::read(bytes);
    if !structure.complete {
        return Err(ImageError::new(format_args!("the JPEG is cut short: it ends after {} bytes", bytes.len())));
    }
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(1 << 16).set_max_height(1 << 16);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| ImageError::new(format_args!("corrupt JPEG: {error}")))?;
    let (width, height) = decoder.dimensions().ok_or_else(|| ImageError::new("the JPEG declares no size"))?;
    check_size(width as u64, height as u64)?;
    // The decoder turns CMYK to RGB itself, but takes the inks for inverted whether or not they are.
    let cmyk = decoder.input_colorspace() == Some(ColorSpace::CMYK);
    let output = if cmyk { ColorSpace::CMYK } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(output));
    let mut data = decoder.decode().map_err(|error| ImageError::new(format_args!("corrupt JPEG: {error}")))?;
    if cmyk {
        data = data.chunks_exact(4).flat_map(|inks| cmyk_to_rgb(inks, structure.adobe)).collect();
    }
    if data.len() != width * height * 3 {
        return Err(ImageError::new("corrupt JPEG: it holds another number of pixels than it declares"));
    }
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    Ok(orientation::apply(Decoded::whole(Pixels { width, height, data }), orientation).pixels)
}

/// `R = (255 - C) (255 - K) / 255`, rounded; Adobe stores `255 - C` in C's place, and so on.
fn cmyk_to_rgb(inks: &[u8], inverted: bool) -> [u8; 3] {
    let light = |ink: u8| u32::from(if inverted { ink } else { 255 - ink });
    [0, 1, 2].map(|ink| ((light(inks[ink]) * light(inks[3]) + 127) / 255) as u8)
}

/// What the sequence of markers says, without decoding anything.
struct Structure {
    /// Whether the end-of-image marker is there. Thumbnails inside of segments do not count.
    complete: bool,
    /// Whether an Adobe segment is.
    adobe: bool,
}

impl Structure {
    fn read(bytes: &[u8]) -> Self {
        let mut structure = Self { complete: false, adobe: false };
        let mut position = 2;
        while let Some(marker) = next_marker(bytes, &mut position) {
            if marker == END_OF_IMAGE {
                structure.complete = true;
                break;
            }
            let Some(length) = bytes.get(position..position + 2) else { break };
            let segment = bytes.get(position + 2..).unwrap_or_default();
            structure.adobe |= marker == APP14 && segment.starts_with(b"Adobe");
            position += usize::from(u16::from_be_bytes([length[0], length[1]]));
        }
        structure
    }
}

/// Moves `position` behind the next marker. Runs through compressed data too: in them FF is followed by a stuffed zero, a fill byte
/// or a restart marker.
fn next_marker(bytes: &[u8], position: &mut usize) -> Option<u8> {
    loop {
        let rest = bytes.get(*position..)?;
        *position += rest.iter().position(|&byte| byte == 0xff)? + 1;
        match bytes.get(*position)? {
            0x00 | 0xd0..=0xd7 => *position += 1,
            0xff => {}
            &marker => {
                *position += 1;
                return Some(marker);
            }
        }
    }
}

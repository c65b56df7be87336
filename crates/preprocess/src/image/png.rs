//! The PNG files inside the shards: lossless 8-bit RGB, written and read fast.
//!
//! Rows are filtered with `Up` (which the decoder undoes a vector at a time) and deflated with fdeflate's one fixed
//! table, made for such data. On frames of 128x128 that takes 52 % of the pixels' bytes; the example `measure_pixels`
//! gives the speed.

use super::pixels::Pixels;
use ::png::{BitDepth, ColorType, Decoder, DeflateCompression, Encoder, Filter};
use std::io::Cursor;

/// Encodes as PNG.
///
/// # Errors
/// The buffer does not hold `width * height` pixels, or one of them is zero.
pub fn encode(pixels: &Pixels) -> Result<Vec<u8>, ::png::EncodingError> {
    let mut bytes = Vec::with_capacity(pixels.data.len() / 2 + 128);
    let mut encoder = Encoder::new(&mut bytes, pixels.width as u32, pixels.height as u32);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_deflate_compression(DeflateCompression::FdeflateUltraFast);
    encoder.set_filter(Filter::Up);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels.data)?;
    writer.finish()?;
    Ok(bytes)
}

/// Decodes what [`encode`] wrote into `pixels`, a buffer of exactly the image's `height * width * 3` bytes.
///
/// # Errors
/// No PNG, a corrupt one, or one of another size or colour type.
pub fn decode_into(bytes: &[u8], pixels: &mut [u8]) -> Result<(), String> {
    let mut reader = Decoder::new(Cursor::new(bytes)).read_info().map_err(|error| error.to_string())?;
    let (kind, size) = (reader.output_color_type(), reader.output_buffer_size());
    if kind != (ColorType::Rgb, BitDepth::Eight) || size != Some(pixels.len()) {
        let info = reader.info();
        return Err(format!(
            "it is {}x{} {kind:?}, not the {} bytes of RGB expected",
            info.width,
            info.height,
            pixels.len()
        ));
    }
    reader.next_frame(pixels).map_err(|error| error.to_string())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn pixels_come_back_and_short_files_are_refused(width in 1usize..40, height in 1usize..40, seed: u8) {
            let data: Vec<u8> = (0..width * height * 3).map(|i| ((i * i / 7) as u8).wrapping_mul(seed)).collect();
            let pixels = Pixels { width, height, data };
            let bytes = encode(&pixels).expect("encoded");
            let mut back = vec![0; pixels.data.len()];
            decode_into(&bytes, &mut back).expect("decoded");
            assert_eq!(back, pixels.data);
            assert!(decode_into(&bytes[..bytes.len() / 2], &mut back).is_err());
            assert!(decode_into(&bytes, &mut vec![0; pixels.data.len() + 3]).is_err());
        }
    }
}

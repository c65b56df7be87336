//! The one way to 8-bit RGB; `decode` says what it does with every kind of pixel.

use super::pixels::Pixels;
use ::image::DynamicImage;

/// The documented conversion. RGBA of 8 bits stays where it is.
pub(super) fn to_rgb(image: DynamicImage) -> Pixels {
    let (width, height) = (image.width() as usize, image.height() as usize);
    if !image.color().has_alpha() {
        return Pixels { width, height, data: image.into_rgb8().into_raw() };
    }
    let mut data = image.into_rgba8().into_raw();
    for pixel in 0..width * height {
        let [red, green, blue, alpha] = [0, 1, 2, 3].map(|channel| data[pixel * 4 + channel]);
        data[pixel * 3..pixel * 3 + 3].copy_from_slice(&over_white([red, green, blue], alpha));
    }
    data.truncate(width * height * 3);
    data.shrink_to_fit();
    Pixels { width, height, data }
}

/// A colour as a browser shows it on a blank page.
pub(super) fn over_white(colour: [u8; 3], alpha: u8) -> [u8; 3] {
    let alpha = u32::from(alpha);
    colour.map(|value| ((u32::from(value) * alpha + 255 * (255 - alpha) + 127) / 255) as u8)
}

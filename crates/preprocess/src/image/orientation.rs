//! How a camera was held, as EXIF says it.

use super::decoded::Decoded;
use super::pixels::{Area, Pixels};
use ::image::metadata::Orientation;
use ::image::{DynamicImage, RgbImage};

/// The tag of the orientation.
const ORIENTATION: u16 = 0x0112;

/// The orientation in EXIF metadata, as viewers read them: with or without `Exif` and its zeros before them, in either
/// byte order, as a whole number of any width. None if it is not there, or not 1 to 8.
pub(crate) fn of_exif(metadata: &[u8]) -> Option<Orientation> {
    let mut tiff = metadata;
    // The byte after the zero only fills up. Some programs write the prefix twice.
    while let Some(rest) = tiff.strip_prefix(b"Exif\0") {
        tiff = rest.get(1..)?;
    }
    let little = match tiff.first_chunk()? {
        b"II\x2a\0" => true,
        b"MM\0\x2a" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = *tiff.get(at..)?.first_chunk()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes = *tiff.get(at..)?.first_chunk()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let directory = usize::try_from(long(4)?).ok()?;
    let first = directory.checked_add(2)?;
    let entries = (0..usize::from(short(directory)?)).map_while(|index| first.checked_add(12 * index));
    for entry in entries {
        if short(entry)? != ORIENTATION {
            continue;
        }
        let value = match (short(entry + 2)?, long(entry + 4)?) {
            (_, 0) => return None,
            // Bytes, shorts and longs, without a sign and with one.
            (1 | 6, _) => u32::from(*tiff.get(entry + 8)?),
            (3 | 8, 1 | 2) => u32::from(short(entry + 8)?),
            (4 | 9, 1) => long(entry + 8)?,
            _ => return None,
        };
        return u8::try_from(value).ok().and_then(Orientation::from_exif);
    }
    None
}

/// Whether width becomes height.
pub(crate) fn swaps_sides(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

/// Whether [`apply`] may make a second copy of the picture.
pub(crate) fn turns(orientation: Option<Orientation>) -> bool {
    orientation.is_some_and(swaps_sides)
}

/// Turns a decoded image upright.
pub(crate) fn apply(decoded: Decoded, orientation: Option<Orientation>) -> Decoded {
    let Some(orientation) = orientation.filter(|orientation| *orientation != Orientation::NoTransforms) else {
        return decoded;
    };
    let Decoded { pixels, covered, held } = decoded;
    let covered = turned(covered, [pixels.width as f64, pixels.height as f64], orientation);
    let (width, height) = (pixels.width as u32, pixels.height as u32);
    let Some(image) = RgbImage::from_raw(width, height, pixels.data) else {
        unreachable!("{width}x{height} pixels in a buffer of another size");
    };
    let mut image = DynamicImage::from(image);
    image.apply_orientation(orientation);
    let (width, height) = (image.width() as usize, image.height() as usize);
    Decoded { pixels: Pixels { width, height, data: image.into_rgb8().into_raw() }, covered, held }
}

/// Where an area of a picture of that size comes to lie.
fn turned(area: Area, [width, height]: [f64; 2], orientation: Orientation) -> Area {
    let from_right = width - area.left - area.width;
    let from_bottom = height - area.top - area.height;
    let (left, top) = match orientation {
        Orientation::NoTransforms => (area.left, area.top),
        Orientation::FlipHorizontal => (from_right, area.top),
        Orientation::FlipVertical => (area.left, from_bottom),
        Orientation::Rotate180 => (from_right, from_bottom),
        Orientation::Rotate90 => (from_bottom, area.left),
        Orientation::Rotate270 => (area.top, from_right),
        Orientation::Rotate90FlipH => (area.top, area.left),
        Orientation::Rotate270FlipH => (from_bottom, from_right),
    };
    let (width, height) = if swaps_sides(orientation) { (area.height, area.width) } else { (area.width, area.height) };
    Area { left, top, width, height }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The area's corner pixel is marked; afterwards it is at the area's corner again.
    #[test]
    fn the_area_turns_with_the_pixels() {
        for exif in 1..=8 {
            let orientation = Orientation::from_exif(exif).expect("1 to 8");
            let mut pixels = Pixels { width: 5, height: 4, data: vec![0; 60] };
            // Rows 1 and 2, columns 0 to 2.
            for (row, column) in [1, 2].into_iter().flat_map(|row| [0, 1, 2].map(|column| (row, column))) {
                pixels.data[(row * 5 + column) * 3] = 255;
            }
            let covered = Area { left: 0.0, top: 1.0, width: 3.0, height: 2.0 };
            let turned = apply(Decoded { pixels, covered, held: None }, Some(orientation));
            let Decoded { pixels, covered, .. } = turned;
            for (row, column) in (0..pixels.height).flat_map(|row| (0..pixels.width).map(move |column| (row, column))) {
                let (x, y) = (column as f64 - covered.left, row as f64 - covered.top);
                let inside = x >= 0.0 && y >= 0.0 && x < covered.width && y < covered.height;
                let marked = pixels.data[(row * pixels.width + column) * 3] == 255;
                assert_eq!(marked, inside, "orientation {exif}, row {row}, column {column}");
            }
        }
    }
}

//! Brings pixels to the model's size.

use super::{Area, Pixels};
use crate::pipeline::{Filter, Fit, ImageSettings};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer, SrcCropping};
use std::cell::RefCell;

thread_local! {
    /// Keeps its scratch memory from image to image.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// Resizes to exactly `settings.width` x `settings.height`; the filters are antialiased when shrinking.
pub fn resize(pixels: &Pixels, settings: &ImageSettings) -> Pixels {
    let whole = Area { left: 0.0, top: 0.0, width: pixels.width as f64, height: pixels.height as f64 };
    fit(pixels, &whole, settings)
}

/// As [`resize`], of an area alone.
pub(super) fn fit(pixels: &Pixels, area: &Area, settings: &ImageSettings) -> Pixels {
    let (width, height) = (settings.width, settings.height);
    let options = ResizeOptions::new().resize_alg(algorithm(settings.filter));
    let of = |area: &Area| options.crop(area.left, area.top, area.width, area.height);
    match settings.fit {
        Fit::Stretch => scale(pixels, width, height, &of(area)),
        Fit::Crop => scale(pixels, width, height, &of(&centre(area, width as f64 / height as f64))),
        Fit::Pad => {
            let (inner_width, inner_height) = inner_size(area.width, area.height, settings);
            pad(&scale(pixels, inner_width, inner_height, &of(area)), width, height)
        }
    }
}

/// The size at which [`resize`] shows the picture, its cut-off parts not counted: what `pad` leaves of the model's size, all of it
/// otherwise.
pub(super) fn shown_size(width: usize, height: usize, settings: &ImageSettings) -> (usize, usize) {
    match settings.fit {
        Fit::Stretch | Fit::Crop => (settings.width, settings.height),
        Fit::Pad => inner_size(width as f64, height as f64, settings),
    }
}

/// The largest size with the picture's aspect ratio that fits into the model's.
fn inner_size(width: f64, height: f64, settings: &ImageSettings) -> (usize, usize) {
    let factor = f64::min(settings.width as f64 / width, settings.height as f64 / height);
    let inner = |side: f64, limit: usize| ((side * factor).round() as usize).clamp(1, limit);
    (inner(width, settings.width), inner(height, settings.height))
}

/// The largest part of an area with that ratio of width to height, in its middle.
fn centre(area: &Area, ratio: f64) -> Area {
    let (width, height) = (area.width.min(area.height * ratio), area.height.min(area.width / ratio));
    let (left, top) = (area.left + (area.width - width) / 2.0, area.top + (area.height - height) / 2.0);
    Area { left, top, width, height }
}

fn algorithm(filter: Filter) -> ResizeAlg {
    match filter {
        Filter::Nearest => ResizeAlg::Nearest,
        Filter::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
        Filter::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
        Filter::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
    }
}

/// Resizes to `width` x `height` with the given options.
pub(crate) fn scale(pixels: &Pixels, width: usize, height: usize, options: &ResizeOptions) -> Pixels {
    let whole = match options.cropping {
        SrcCropping::Crop(part) => (part.width, part.height) == (pixels.width as f64, pixels.height as f64),
        _ => true,
    };
    if whole && (pixels.width, pixels.height) == (width, height) {
        return pixels.clone();
    }
    let mut target = Image::new(width as u32, height as u32, PixelType::U8x3);
    let source = ImageRef::new(pixels.width as u32, pixels.height as u32, &pixels.data, PixelType::U8x3);
    let resized = source.map_err(|error| error.to_string()).and_then(|source| {
        let resized = RESIZER.with_borrow_mut(|resizer| resizer.resize(&source, &mut target, options));
        resized.map_err(|error| error.to_string())
    });
    // Buffers of matching size and one pixel type: nothing is left to refuse.
    if let Err(error) = resized {
        unreachable!("resizing {}x{} to {width}x{height}: {error}", pixels.width, pixels.height);
    }
    Pixels { width, height, data: target.into_vec() }
}

/// Centres the image on black; where the border is odd, the larger part is at the right and bottom.
fn pad(inner: &Pixels, width: usize, height: usize) -> Pixels {
    let mut data = vec![0; width * height * 3];
    let (left, top) = ((width - inner.width) / 2, (height - inner.height) / 2);
    for (row, line) in inner.data.chunks_exact(inner.width * 3).enumerate() {
        let start = ((top + row) * width + left) * 3;
        data[start..start + line.len()].copy_from_slice(line);
    }
    Pixels { width, height, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red left half, green right half.
    fn halves(width: usize, height: usize) -> Pixels {
        let row = (0..width).flat_map(|x| if x < width / 2 { [255, 0, 0] } else { [0, 255, 0] });
        let data = std::iter::repeat_n(row.collect::<Vec<u8>>(), height).flatten().collect();
        Pixels { width, height, data }
    }

    fn at(pixels: &Pixels, x: usize, y: usize) -> &[u8] {
        &pixels.data[(y * pixels.width + x) * 3..][..3]
    }

    #[test]
    fn each_fit_does_what_it_says() {
        let wide = halves(40, 10);
        let fitted = |fit| resize(&wide, &ImageSettings { width: 20, height: 20, fit, filter: Filter::Bilinear });
        let (stretched, cropped, padded) = (fitted(Fit::Stretch), fitted(Fit::Crop), fitted(Fit::Pad));
        for image in [&stretched, &cropped, &padded] {
            assert_eq!((image.width, image.height, image.data.len()), (20, 20, 1200));
        }
        assert_eq!((at(&stretched, 1, 0), at(&stretched, 18, 19)), (&[255, 0, 0][..], &[0, 255, 0][..]));
        assert_eq!((at(&cropped, 1, 0), at(&cropped, 18, 19)), (&[255, 0, 0][..], &[0, 255, 0][..]));
        assert_eq!(
            (at(&padded, 1, 0), at(&padded, 1, 10), at(&padded, 18, 19)),
            (&[0; 3][..], &[255, 0, 0][..], &[0; 3][..])
        );
        // 40 pixels became 20, so the border between the colours is at 10 when padded and when stretched.
        assert!(at(&padded, 8, 10)[0] == 255 && at(&padded, 11, 10)[1] == 255);
    }

    #[test]
    fn shrinking_is_antialiased_except_with_nearest() {
        let stripes = (0..64).flat_map(|x| if x % 2 == 0 { [0; 3] } else { [255; 3] }).collect::<Vec<u8>>();
        let stripes = Pixels { width: 64, height: 1, data: stripes };
        for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            let grey = resize(&stripes, &ImageSettings { width: 8, height: 1, filter, ..Default::default() });
            assert!(grey.data.iter().all(|&value| (100..=155).contains(&value)), "{filter:?}: {:?}", grey.data);
        }
        let nearest =
            resize(&stripes, &ImageSettings { width: 8, height: 1, filter: Filter::Nearest, ..Default::default() });
        assert!(nearest.data.iter().all(|&value| value == 0 || value == 255));
    }

    #[test]
    fn extreme_shapes_are_brought_to_size() {
        for (width, height) in [(1, 1), (1, 5000), (5000, 1), (3, 2)] {
            for fit in [Fit::Stretch, Fit::Crop, Fit::Pad] {
                let settings = ImageSettings { width: 16, height: 12, fit, filter: Filter::Lanczos };
                assert_eq!(
                    resize(&halves(width, height), &settings).data.len(),
                    16 * 12 * 3,
                    "{width}x{height} {fit:?}"
                );
            }
        }
    }
}

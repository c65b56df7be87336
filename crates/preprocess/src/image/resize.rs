//! Brings pixels to the model's size.

use super::Pixels;
use crate::pipeline::{Filter, Fit, ImageSettings};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use std::cell::RefCell;

thread_local! {
    /// Keeps its scratch memory from image to image.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// Resizes to exactly `settings.width` x `settings.height`; the filters are antialiased when shrinking.
pub fn resize(pixels: &Pixels, settings: &ImageSettings) -> Pixels {
    let (width, height) = (settings.width, settings.height);
    let options = ResizeOptions::new().resize_alg(algorithm(settings.filter));
    match settings.fit {
        Fit::Stretch => scale(pixels, width, height, &options),
        Fit::Crop => scale(pixels, width, height, &options.fit_into_destination(None)),
        Fit::Pad => {
            let factor = f64::min(width as f64 / pixels.width as f64, height as f64 / pixels.height as f64);
            let inner = |side: usize, limit: usize| ((side as f64 * factor).round() as usize).clamp(1, limit);
            let (inner_width, inner_height) = (inner(pixels.width, width), inner(pixels.height, height));
            pad(&scale(pixels, inner_width, inner_height, &options), width, height)
        }
    }
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
    if (pixels.width, pixels.height) == (width, height) {
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

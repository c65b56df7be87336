//! Brings pixels to the model's size.
//!
//! One axis at a time. fast_image_resize 6.1.0 does both in one call in a way that is not safe: it leaves out weights
//! of zero at either end of a pixel's sources, then takes the first result's first source for the smallest of all and
//! the last one's last for the greatest. Where an area is enlarged and the first weight happens to be zero (bicubic
//! and Lanczos have zeros at whole pixels), others begin before it: memory outside of the image is read. With one axis
//! a call there is no image in between, and every source lies in the one that it checks. `nearest` is a loop of our
//! own.

use super::pixels::{Area, Pixels};
use crate::pipeline::{Filter, Fit, ImageSettings};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer, SrcCropping};
use std::cell::{Cell, RefCell};
use std::ops::Range;

/// The widest filter's reach, in pixels of the smaller image.
const REACH: f64 = 3.0;

/// Of an image between the two passes: so many bytes do not matter, and a thread keeps them for the next.
const SMALL: usize = 16 << 20;

thread_local! {
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
    /// Memory for the image between the two passes.
    static BETWEEN: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
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
        Fit::Stretch => scale(pixels, width, height, &of(&inner_part(area, settings.crop_fraction))),
        Fit::Crop => {
            let centre = centre(area, width as f64 / height as f64);
            scale(pixels, width, height, &of(&inner_part(&centre, settings.crop_fraction)))
        }
        Fit::Pad => {
            let (inner_width, inner_height) = inner_size(area.width, area.height, settings);
            pad(&scale(pixels, inner_width, inner_height, &of(area)), width, height)
        }
    }
}

/// The size at which [`resize`] shows the picture, what `crop` cuts off not counted and what `crop_fraction` cuts off
/// counted: what `pad`, which cuts off nothing, leaves of the model's size; all of it otherwise.
pub(super) fn shown_size(width: usize, height: usize, settings: &ImageSettings) -> (usize, usize) {
    let whole = |side: usize| (side as f64 / settings.crop_fraction).ceil() as usize;
    match settings.fit {
        Fit::Stretch | Fit::Crop => (whole(settings.width), whole(settings.height)),
        Fit::Pad => inner_size(width as f64, height as f64, settings),
    }
}

/// The largest size with the picture's aspect ratio that fits into the model's.
fn inner_size(width: f64, height: f64, settings: &ImageSettings) -> (usize, usize) {
    let factor = f64::min(settings.width as f64 / width, settings.height as f64 / height);
    let inner = |side: f64, limit: usize| ((side * factor).round() as usize).clamp(1, limit);
    (inner(width, settings.width), inner(height, settings.height))
}

/// The part in an area's middle with so much of either side.
fn inner_part(area: &Area, fraction: f64) -> Area {
    let (width, height) = (area.width * fraction, area.height * fraction);
    Area { left: area.left + (area.width - width) / 2.0, top: area.top + (area.height - height) / 2.0, width, height }
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
    let whole = Area { left: 0.0, top: 0.0, width: pixels.width as f64, height: pixels.height as f64 };
    let area = match options.cropping {
        SrcCropping::Crop(part) => {
            within(pixels, Area { left: part.left, top: part.top, width: part.width, height: part.height })
        }
        _ => whole,
    };
    if area == whole && (pixels.width, pixels.height) == (width, height) {
        return pixels.clone();
    }
    if options.algorithm == ResizeAlg::Nearest {
        return nearest(pixels, &area, width, height);
    }
    let columns = touched(area.left, area.width, width, pixels.width);
    let rows = touched(area.top, area.height, height, pixels.height);
    let mut between = BETWEEN.take();
    let vertically_first = vertically_first([columns.len(), rows.len()], [width, height]);
    let (first, second, size) = if vertically_first {
        let (left, columns) = (columns.start as f64, columns.len());
        (
            Area { left, width: columns as f64, ..area },
            Area { left: area.left - left, top: 0.0, height: height as f64, ..area },
            [columns, height],
        )
    } else {
        let (top, rows) = (rows.start as f64, rows.len());
        (
            Area { top, height: rows as f64, ..area },
            Area { top: area.top - top, left: 0.0, width: width as f64, ..area },
            [width, rows],
        )
    };
    between.resize(size[0] * size[1] * 3, 0);
    one_axis(pixels, &first, &mut between, size, options.algorithm);
    let between = Pixels { width: size[0], height: size[1], data: between };
    let mut data = vec![0; width * height * 3];
    one_axis(&between, &second, &mut data, [width, height], options.algorithm);
    if between.data.capacity() <= SMALL {
        BETWEEN.set(between.data);
    }
    Pixels { width, height, data }
}

/// An area that reaches over the edge by nothing but rounding, without that.
fn within(pixels: &Pixels, area: Area) -> Area {
    let (left, top) = (area.left.clamp(0.0, pixels.width as f64), area.top.clamp(0.0, pixels.height as f64));
    let (width, height) = (area.width.min(pixels.width as f64 - left), area.height.min(pixels.height as f64 - top));
    Area { left, top, width, height }
}

/// The pixels of a side that have a part in the result, and perhaps some more.
fn touched(start: f64, length: f64, target: usize, side: usize) -> Range<usize> {
    let reach = REACH * f64::max(length / target as f64, 1.0) + 2.0;
    let first = (start - reach).floor().max(0.0) as usize;
    let last = (start + length + reach).ceil().min(side as f64) as usize;
    first..last
}

/// Whether rows are resampled before columns, as is faster, unless the image between would be large and smaller the
/// other way round.
fn vertically_first(source: [usize; 2], target: [usize; 2]) -> bool {
    let (vertically, horizontally) = (source[0] * target[1], target[0] * source[1]);
    vertically * 3 <= SMALL || vertically <= horizontally
}

/// The most bytes that [`resize`] takes for an image of that size.
pub(super) fn resizing_need([width, height]: [usize; 2], settings: &ImageSettings) -> u64 {
    let target = settings.width * settings.height * 3;
    let between = if vertically_first([width, height], [settings.width, settings.height]) {
        width * settings.height * 3
    } else {
        settings.width * height * 3
    };
    // Weights: as numbers of 8 bytes, then of 2.
    let weights = (width.max(height) as f64 * 2.0 * REACH) as usize * 10 + settings.width.max(settings.height) * 100;
    (target * 2 + between + weights) as u64
}

/// Resamples one axis of an area; along the other one, it must have the target's size and begin at a whole pixel.
fn one_axis(pixels: &Pixels, area: &Area, data: &mut [u8], [width, height]: [usize; 2], algorithm: ResizeAlg) {
    let options = ResizeOptions::new().resize_alg(algorithm).crop(area.left, area.top, area.width, area.height);
    let source = ImageRef::new(pixels.width as u32, pixels.height as u32, &pixels.data, PixelType::U8x3);
    let target = Image::from_slice_u8(width as u32, height as u32, data, PixelType::U8x3);
    let resized = source.map_err(|error| error.to_string()).and_then(|source| {
        let mut target = target.map_err(|error| error.to_string())?;
        let resized = RESIZER.with_borrow_mut(|resizer| resizer.resize(&source, &mut target, &options));
        resized.map_err(|error| error.to_string())
    });
    // Buffers of matching size and one pixel type: nothing is left to refuse.
    if let Err(error) = resized {
        unreachable!("resizing {area:?} of {}x{} to {width}x{height}: {error}", pixels.width, pixels.height);
    }
}

/// Each pixel becomes the one at its centre.
fn nearest(pixels: &Pixels, area: &Area, width: usize, height: usize) -> Pixels {
    let picks = |start: f64, length: f64, target: usize, side: usize| -> Vec<usize> {
        let step = length / target as f64;
        (0..target).map(|index| ((start + step * 0.5 + step * index as f64) as usize).min(side - 1)).collect()
    };
    let columns = picks(area.left, area.width, width, pixels.width);
    let mut data = Vec::with_capacity(width * height * 3);
    for row in picks(area.top, area.height, height, pixels.height) {
        let line = &pixels.data[row * pixels.width * 3..][..pixels.width * 3];
        columns.iter().for_each(|column| data.extend_from_slice(&line[column * 3..column * 3 + 3]));
    }
    Pixels { width, height, data }
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
#[path = "resize_tests.rs"]
mod tests;

//! Fits and filters, and a plain resampler that both are held against.

use super::super::decoded::Decoded;
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
    let fitted = |fit| resize(&wide, &ImageSettings { width: 20, height: 20, fit, ..Default::default() });
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
            let settings = ImageSettings { width: 16, height: 12, fit, filter: Filter::Lanczos, ..Default::default() };
            assert_eq!(resize(&halves(width, height), &settings).data.len(), 16 * 12 * 3, "{width}x{height} {fit:?}");
        }
    }
}

/// The weights' definition, in double precision and one pixel at a time; each axis as a whole before it is rounded.
fn reference(pixels: &Pixels, area: &Area, width: usize, height: usize, filter: Filter) -> Vec<f64> {
    let (weight, reach): (fn(f64) -> f64, f64) = match filter {
        Filter::Bilinear => (|x| (1.0 - x.abs()).max(0.0), 1.0),
        Filter::Bicubic => (
            |x| match x.abs() {
                x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
                x if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
                _ => 0.0,
            },
            2.0,
        ),
        Filter::Lanczos => (
            |x| {
                let sinc =
                    |x: f64| if x == 0.0 { 1.0 } else { (x * std::f64::consts::PI).sin() / (x * std::f64::consts::PI) };
                if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }
            },
            3.0,
        ),
        Filter::Nearest => unreachable!("no weights"),
    };
    let weights = |start: f64, length: f64, target: usize, side: usize| -> Vec<Vec<(usize, f64)>> {
        let step = length / target as f64;
        let stretch = step.max(1.0);
        let of = |index: usize| {
            let centre = start + (index as f64 + 0.5) * step;
            let first = (centre - reach * stretch).floor().max(0.0) as usize;
            let last = ((centre + reach * stretch).ceil() as usize).min(side);
            let all: Vec<_> = (first..last).map(|x| (x, weight((x as f64 + 0.5 - centre) / stretch))).collect();
            let sum: f64 = all.iter().map(|(_, weight)| weight).sum();
            all.into_iter().map(|(x, weight)| (x, weight / sum)).collect()
        };
        (0..target).map(of).collect()
    };
    let columns = weights(area.left, area.width, width, pixels.width);
    let rows = weights(area.top, area.height, height, pixels.height);
    let mut data = Vec::with_capacity(width * height * 3);
    for row in &rows {
        for column in &columns {
            for channel in 0..3 {
                let of_row = |y: usize| -> f64 {
                    column.iter().map(|&(x, w)| w * f64::from(pixels.data[(y * pixels.width + x) * 3 + channel])).sum()
                };
                data.push(row.iter().map(|&(y, w)| w * of_row(y)).sum::<f64>().clamp(0.0, 255.0));
            }
        }
    }
    data
}

/// Waves, dark and bright neighbours.
fn waves(width: usize, height: usize, seed: usize) -> Pixels {
    let value = |i: usize| ((i * 37 + i / 3 * seed) % 251) as f64;
    let smooth = |i: usize| (127.0 + 60.0 * (i as f64 / 9.0).sin() + value(i) / 8.0) as u8;
    Pixels { width, height, data: (0..width * height * 3).map(smooth).collect() }
}

/// What the result may differ by: each of two passes rounds weights and sums, and the first one cuts off what
/// overshoots.
const TOLERANCE: f64 = 4.0;

fn agrees(pixels: &Pixels, settings: &ImageSettings) {
    let found = resize(pixels, settings);
    assert_eq!(found.data.len(), settings.width * settings.height * 3);
    if settings.filter == Filter::Nearest {
        return;
    }
    let whole = Area { left: 0.0, top: 0.0, width: pixels.width as f64, height: pixels.height as f64 };
    let area = match settings.fit {
        Fit::Crop => centre(&whole, settings.width as f64 / settings.height as f64),
        _ => whole,
    };
    // `pad` keeps the whole.
    let kept = if settings.fit == Fit::Pad { 1.0 } else { settings.crop_fraction };
    let cut = |start: f64, length: f64| start + length * (1.0 - kept) / 2.0;
    let area = Area {
        left: cut(area.left, area.width),
        top: cut(area.top, area.height),
        width: area.width * kept,
        height: area.height * kept,
    };
    let all = ImageSettings { crop_fraction: 1.0, ..settings.clone() };
    let (inner_width, inner_height) = shown_size(pixels.width, pixels.height, &all);
    let expected = reference(pixels, &area, inner_width, inner_height, settings.filter);
    let (left, top) = ((settings.width - inner_width) / 2, (settings.height - inner_height) / 2);
    for (index, expected) in expected.iter().enumerate() {
        let (row, column) = (index / 3 / inner_width + top, index / 3 % inner_width + left);
        let found = at(&found, column, row)[index % 3];
        assert!(
            (f64::from(found) - expected).abs() <= TOLERANCE,
            "{}x{} with {settings:?}: {found} instead of {expected:.1} at {column}, {row}",
            pixels.width,
            pixels.height
        );
    }
}

#[test]
fn every_fit_and_filter_agrees_with_the_weights_definition() {
    // The first of these, cropped with bicubic, was read outside of its memory.
    let sources = [
        (1000, 16),
        (16, 1000),
        (1, 300),
        (300, 1),
        (1, 1),
        (2, 3),
        (7, 7),
        (97, 31),
        (64, 48),
        (4, 3),
        (8, 6),
        (1200, 2),
    ];
    let targets = [(64, 48), (48, 64), (1, 1), (3, 200), (200, 3), (31, 33)];
    for ((width, height), (to_width, to_height)) in sources.iter().flat_map(|s| targets.iter().map(move |t| (*s, *t))) {
        let pixels = waves(width, height, 5);
        for fit in [Fit::Stretch, Fit::Crop, Fit::Pad] {
            for filter in [Filter::Nearest, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
                for crop_fraction in [1.0, 0.875] {
                    agrees(&pixels, &ImageSettings { width: to_width, height: to_height, fit, crop_fraction, filter });
                }
            }
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]
    #[test]
    fn any_size_agrees_with_the_weights_definition(
        (width, height) in (1usize..150, 1usize..150),
        (to_width, to_height) in (1usize..90, 1usize..90),
        (fit, filter) in (0usize..3, 0usize..4),
        (seed, crop_fraction) in (0usize..50, 0.1..1.0),
    ) {
        let fit = [Fit::Stretch, Fit::Crop, Fit::Pad][fit];
        let filter = [Filter::Nearest, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos][filter];
        for crop_fraction in [1.0, crop_fraction] {
            let settings = ImageSettings { width: to_width, height: to_height, fit, crop_fraction, filter };
            agrees(&waves(width, height, seed), &settings);
        }
    }
}

proptest::proptest! {
    /// Parts with whole and with broken borders: of a picture at full size, and of one at a reduced scale, which ends
    /// within a pixel.
    #[test]
    fn any_part_agrees_with_the_weights_definition(
        (width, height) in (1usize..90, 1usize..90),
        (to_width, to_height) in (1usize..60, 1usize..60),
        (from_left, from_top, across, down) in (0.0..1.0, 0.0..1.0, 0.01..1.0, 0.01..1.0),
        (times, fit, filter) in (1usize..=8, 0usize..3, 1usize..4),
    ) {
        let fit = [Fit::Stretch, Fit::Crop, Fit::Pad][fit];
        let filter = [Filter::Nearest, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos][filter];
        // A part is the part that it is, whatever is kept of whole pictures.
        let settings = ImageSettings { width: to_width, height: to_height, fit, crop_fraction: 0.5, filter };
        let pixels = waves(width, height, 3);
        // The whole picture has `times` as many pixels, less one.
        let whole = [width, height].map(|side| (side * times - 1).max(1));
        let sides = whole.map(|side| side as f64 / times as f64);
        let inner = [across * whole[0] as f64, down * whole[1] as f64];
        let (left, top) = (from_left * (whole[0] as f64 - inner[0]), from_top * (whole[1] as f64 - inner[1]));
        let part = Area { left, top, width: inner[0], height: inner[1] };
        let found = Decoded::part(pixels.clone(), sides).resize_part(&part, whole, &settings);
        let shrunk = |length: f64| length / times as f64;
        let area = Area { left: shrunk(left), top: shrunk(top), width: shrunk(inner[0]), height: shrunk(inner[1]) };
        let expected = reference(&pixels, &area, to_width, to_height, filter);
        proptest::prop_assert_eq!((found.width, found.height), (to_width, to_height));
        for (index, (&found, expected)) in found.data.iter().zip(expected).enumerate() {
            let differs = (f64::from(found) - expected).abs();
            proptest::prop_assert!(differs <= TOLERANCE, "{} at {}: {} instead of {:.1}", part.left, index, found, expected);
        }
    }
}

#[test]
fn what_is_resized_long_and_thin_takes_little_memory() {
    let settings = ImageSettings { width: 4096, height: 4096, filter: Filter::Bicubic, ..Default::default() };
    // The image between the two passes is made along the axis that shrinks.
    assert!(!vertically_first([500_000, 400], [4096, 4096]));
    assert!(resizing_need([500_000, 400], &settings) < 200_000_000);
    let small = ImageSettings { width: 128, height: 128, ..settings };
    assert!(resizing_need([500_000, 1], &small) < 60_000_000);
    assert!(vertically_first([4000, 3000], [128, 128]));
}

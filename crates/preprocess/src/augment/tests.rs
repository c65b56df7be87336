use super::*;
use crate::pipeline::{Copies, Fill};
use proptest::prelude::*;

fn gradient(width: usize, height: usize) -> Pixels {
    let data =
        (0..width * height).flat_map(|i| [(i % width * 7) as u8, (i / width * 5) as u8, (i * i % 251) as u8]).collect();
    Pixels { width, height, data }
}

fn rgb(pixels: &Pixels, row: usize, column: usize) -> [u8; 3] {
    let at = (row * pixels.width + column) * 3;
    [pixels.data[at], pixels.data[at + 1], pixels.data[at + 2]]
}

const FILLS: [Fill; 4] = [Fill::Nearest, Fill::Constant, Fill::Reflect, Fill::Wrap];

proptest! {
    #[test]
    fn the_fast_warp_equals_the_reference(
        width in 1usize..40, height in 1usize..40, fill in proptest::sample::select(&FILLS[..]), seed: u64,
        rotation in 0.0..180.0, shift in 0.0..0.9, shear in 0.0..60.0, zoom in 0.0..0.9, flip: bool,
    ) {
        let settings = AugmentSettings {
            copies: Copies::Stored(1), rotation, shift: [shift, shift / 2.0], shear, zoom, brightness: [0.5, 1.6], horizontal_flip: flip, fill,
            ..Default::default()
        };
        let image = gradient(width, height);
        let transform = Transform::draw(&settings, seed, "a/1.png", 1, width, height);
        prop_assert_eq!(warp(&image, &transform, fill), warp_reference(&image, &transform, fill));
    }
}

#[test]
fn settings_that_change_nothing_give_the_image_itself() {
    let image = gradient(33, 20);
    for fill in FILLS {
        let settings = AugmentSettings { copies: Copies::Stored(1), fill, ..Default::default() };
        assert_eq!(augment(&image, &settings, 1, "a", 1), image, "{fill:?}");
    }
}

#[test]
fn whole_pixel_maps_move_pixels_exactly() {
    let image = gradient(9, 7);
    let about_centre = |affine: Affine| affine.about_centre(9, 7);
    type Case = (&'static str, Affine, fn(usize, usize) -> (usize, usize));
    let cases: [Case; 3] = [
        ("shift by 2 rows, 1 column", Affine::translation(2.0, 1.0), |r, c| ((r + 2).min(6), (c + 1).min(8))),
        ("flip", flip::flip(9), |r, c| (r, 8 - c)),
        ("half a turn", about_centre(rotation::rotation(180.0)), |r, c| (6 - r, 8 - c)),
    ];
    for (name, affine, from) in cases {
        let moved = warp(&image, &Transform { affine, brightness: 1.0 }, Fill::Nearest);
        for (row, column) in (0..7).flat_map(|r| (0..9).map(move |c| (r, c))) {
            let (r, c) = from(row, column);
            assert_eq!(rgb(&moved, row, column), rgb(&image, r, c), "{name} at {row}, {column}");
        }
    }
}

#[test]
fn a_quarter_turn_turns_as_keras_does() {
    // keras: [[cos, -sin], [sin, cos]] on (row, column): the result at (r, c) is the image at (-c, r) about the centre.
    let image = gradient(5, 5);
    let affine = rotation::rotation(90.0).about_centre(5, 5);
    let turned = warp(&image, &Transform { affine, brightness: 1.0 }, Fill::Nearest);
    assert_eq!(rgb(&turned, 0, 0), rgb(&image, 4, 0));
    assert_eq!(rgb(&turned, 0, 4), rgb(&image, 0, 0));
}

#[test]
fn fills_repeat_the_documented_patterns() {
    let row = Pixels { width: 4, height: 1, data: [10, 20, 30, 40].iter().flat_map(|&v| [v; 3]).collect() };
    let cases = [
        (Fill::Nearest, -4.0, [10, 10, 10, 10]),
        (Fill::Nearest, 4.0, [40, 40, 40, 40]),
        (Fill::Nearest, 2.5, [35, 40, 40, 40]),
        (Fill::Reflect, -4.0, [40, 30, 20, 10]),
        (Fill::Reflect, 4.0, [40, 30, 20, 10]),
        (Fill::Wrap, -3.0, [20, 30, 40, 10]),
        (Fill::Wrap, 1.0, [20, 30, 40, 10]),
        (Fill::Constant, 2.0, [30, 40, 0, 0]),
        (Fill::Constant, -0.5, [0, 15, 25, 35]),
        (Fill::Nearest, -0.5, [10, 15, 25, 35]),
    ];
    for (fill, columns, expected) in cases {
        let transform = Transform { affine: Affine::translation(0.0, columns), brightness: 1.0 };
        let moved = warp(&row, &transform, fill);
        let reds: Vec<u8> = moved.data.iter().step_by(3).copied().collect();
        assert_eq!(reds, expected, "{fill:?} by {columns}");
    }
}

#[test]
fn brightness_multiplies_and_ends_at_white() {
    let image = Pixels { width: 3, height: 1, data: vec![0, 100, 200, 1, 2, 3, 255, 254, 5] };
    let brighter = warp(&image, &Transform { brightness: 1.5, ..Transform::IDENTITY }, Fill::Nearest);
    assert_eq!(brighter.data, [0, 150, 255, 2, 3, 5, 255, 255, 8]);
}

#[test]
fn draws_are_determined_by_seed_image_and_copy() {
    let settings = AugmentSettings { copies: Copies::Stored(2), rotation: 40.0, shift: [0.2; 2], ..Default::default() };
    let draw = |seed, source, copy| Transform::draw(&settings, seed, source, copy, 64, 64);
    let first = draw(1, "a/1.jpg", 1);
    assert_eq!(first, draw(1, "a/1.jpg", 1));
    for (name, other) in
        [("seed", draw(2, "a/1.jpg", 1)), ("image", draw(1, "a/2.jpg", 1)), ("copy", draw(1, "a/1.jpg", 2))]
    {
        assert_ne!(first, other, "{name}");
    }
    // Changing one setting leaves the others' draws.
    let flipped = AugmentSettings { horizontal_flip: true, brightness: [0.5, 2.0], ..settings.clone() };
    let other = Transform::draw(&flipped, 1, "a/1.jpg", 1, 64, 64);
    assert!((other.affine.matrix[0][0] - first.affine.matrix[0][0]).abs() < 1e-12);
}

#[derive(serde::Deserialize)]
struct KerasFixture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    cases: Vec<KerasCase>,
}

#[derive(serde::Deserialize)]
struct KerasCase {
    name: String,
    theta: f64,
    tx: f64,
    ty: f64,
    shear: f64,
    zx: f64,
    zy: f64,
    flip: bool,
    fill: Fill,
    expected: Vec<f64>,
}

/// `tests/fixtures/make_affine.py`: Keras' matrices, scipy's resampling.
#[test]
fn warps_agree_with_keras() {
    let fixture: KerasFixture =
        serde_json::from_str(include_str!("../../tests/fixtures/affine.json")).expect("a fixture");
    let (width, height) = (fixture.width, fixture.height);
    let image = Pixels { width, height, data: fixture.pixels };
    for case in fixture.cases {
        let zoom = Affine::linear([[case.zx, 0.0], [0.0, case.zy]]);
        let shifted = rotation::rotation(case.theta) * Affine::translation(case.tx, case.ty);
        let mut affine = (shifted * shear::shear(case.shear) * zoom).about_centre(width, height);
        if case.flip {
            affine = affine * flip::flip(width);
        }
        let warped = warp(&image, &Transform { affine, brightness: 1.0 }, case.fill);
        // Positions are rounded to 1/128 pixel, which at the steepest edge is a level on each axis; then the value is.
        for (index, (value, expected)) in std::iter::zip(&warped.data, &case.expected).enumerate() {
            let (pixel, channel) = (index / 3, index % 3);
            let difference = (f64::from(*value) - expected).abs();
            assert!(difference <= 2.5, "{} at {pixel}, channel {channel}: {value}, Keras {expected}", case.name);
        }
    }
}

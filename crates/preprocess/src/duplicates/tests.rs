use super::*;
use crate::image::Pixels;

/// Smooth blobs at places that `seed` determines: a picture with content at low frequencies, as photographs have.
fn picture(seed: u64, width: usize, height: usize) -> Pixels {
    let mut random = crate::stage::random::stream(seed, "test picture", &[]);
    let mut blob = || (random.uniform(), random.uniform(), random.range(0.05, 0.3), random.range(-1.0, 1.0));
    let blobs: Vec<_> = (0..24).map(|_| blob()).collect();
    let value = |x: f64, y: f64| {
        let sum: f64 = blobs
            .iter()
            .map(|(bx, by, radius, weight)| weight * (-((x - bx).powi(2) + (y - by).powi(2)) / (radius * radius)).exp())
            .sum();
        (128.0 + 60.0 * sum).clamp(0.0, 255.0) as u8
    };
    let at = |index: usize| value((index % width) as f64 / width as f64, (index / width) as f64 / height as f64);
    Pixels { width, height, data: (0..width * height).flat_map(|index| [at(index); 3]).collect() }
}

fn map(pixels: &Pixels, change: impl Fn(usize, u8) -> u8) -> Pixels {
    let data = pixels.data.iter().enumerate().map(|(index, &value)| change(index, value)).collect();
    Pixels { data, ..*pixels }
}

fn mirrored(pixels: &Pixels) -> Pixels {
    let rows = pixels.data.chunks_exact(pixels.width * 3);
    Pixels { data: rows.flat_map(|row| row.rchunks_exact(3).flatten().copied()).collect(), ..*pixels }
}

fn shifted(pixels: &Pixels, by: usize) -> Pixels {
    let transform = crate::augment::Transform {
        affine: crate::augment::Affine::translation(by as f64, by as f64),
        ..crate::augment::Transform::IDENTITY
    };
    crate::augment::warp(pixels, &transform, crate::pipeline::Fill::Nearest)
}

#[test]
fn altered_copies_are_near_and_others_are_not() {
    let original = picture(1, 160, 120);
    let noise =
        |index: usize, value: u8| value.saturating_add(((index * 2_654_435_761) >> 7) as u8 % 9).saturating_sub(4);
    let cases = [
        ("the image itself", original.clone()),
        ("another size", picture(1, 96, 80)),
        ("brighter", map(&original, |_, value| (f64::from(value) * 1.2) as u8)),
        ("less contrast", map(&original, |_, value| value / 2 + 60)),
        ("noise, as of compression", map(&original, noise)),
        ("shifted by a pixel", shifted(&original, 1)),
    ];
    let one = Signature::of(&original);
    for (name, altered) in cases {
        let other = Signature::of(&altered);
        let (distance, correlation) = (one.distance(&other, Way::Plain), one.correlation(&other, Way::Plain));
        assert!(distance <= MIN_DISTANCE && correlation >= MIN_CORRELATION, "{name}: {distance}, {correlation}");
    }
    let two_pixels = Signature::of(&shifted(&original, 2));
    assert!(
        one.distance(&two_pixels, Way::Plain) <= MAX_DISTANCE,
        "shifted by two pixels: {}",
        one.distance(&two_pixels, Way::Plain)
    );
    for seed in 2..40 {
        let distance = one.distance(&Signature::of(&picture(seed, 160, 120)), Way::Plain);
        assert!(distance > MAX_DISTANCE, "picture {seed}: {distance}");
    }
}

#[test]
fn groups_are_numbered_in_order_and_count_exact_copies() {
    let [a, b, c] = [1, 2, 3].map(|seed| picture(seed, 64, 64));
    let brighter = map(&b, |_, value| value / 2 + 70);
    let images = [&a, &b, &c, &brighter, &a];
    let signatures: Vec<Signature> = images.map(Signature::of).to_vec();
    let found = find(&signatures, &[0, 0, 0, 0, 0]).expect("found");
    assert_eq!(found.group, [0, 1, 2, 1, 0]);
    assert_eq!((found.exact(), found.max_distance), (1, MAX_DISTANCE));
}

#[test]
fn images_without_content_match_only_exact_copies() {
    let uniform = |value| Pixels { width: 40, height: 40, data: vec![value; 4800] };
    let speckled = |step: usize| map(&uniform(100), move |index, value| value + u8::from(index % step == 0));
    let images = [uniform(0), uniform(1), uniform(255), uniform(0), speckled(7), speckled(11)];
    let signatures: Vec<Signature> = images.iter().map(Signature::of).collect();
    let found = find(&signatures, &[0; 6]).expect("found");
    assert_eq!(found.group, [0, 1, 2, 0, 3, 4]);
    assert_eq!(found.exact(), 1);
}

#[test]
fn equal_bytes_of_another_shape_are_another_image() {
    let data: Vec<u8> = (0..1200).map(|i| (i * 7 % 256) as u8).collect();
    let wide = Pixels { width: 40, height: 10, data: data.clone() };
    let tall = Pixels { width: 10, height: 40, data };
    assert_ne!(Signature::of(&wide).pixels, Signature::of(&tall).pixels);
}

#[test]
fn mirrored_copies_are_near_and_others_are_not() {
    let original = picture(1, 160, 120);
    let one = Signature::of(&original);
    let turned = mirrored(&original);
    let cases = [
        ("mirrored", turned.clone()),
        ("mirrored and brighter", map(&turned, |_, value| (f64::from(value) * 1.2) as u8)),
        ("mirrored, another size", mirrored(&picture(1, 96, 80))),
    ];
    for (name, altered) in cases {
        let other = Signature::of(&altered);
        let (distance, correlation) = (one.distance(&other, Way::Mirrored), one.correlation(&other, Way::Mirrored));
        assert!(distance <= MIN_DISTANCE && correlation >= MIN_CORRELATION, "{name}: {distance}, {correlation}");
        assert_eq!(distance, other.distance(&one, Way::Mirrored), "{name}: whichever comes first");
        assert_eq!(correlation, other.correlation(&one, Way::Mirrored), "{name}: whichever comes first");
        assert!(one.distance(&other, Way::Plain) > MAX_DISTANCE, "{name}: an asymmetric picture");
    }
    for seed in 2..40 {
        let distance = one.distance(&Signature::of(&picture(seed, 160, 120)), Way::Mirrored);
        assert!(distance > MAX_DISTANCE, "picture {seed}: {distance}");
    }
}

#[test]
fn each_image_is_told_by_what_it_hangs_together_with_its_group() {
    let [a, b, c] = [1, 2, 3].map(|seed| picture(seed, 64, 64));
    let brighter = map(&b, |_, value| value / 2 + 70);
    let images = [&a, &a, &b, &brighter, &mirrored(&b), &c];
    let signatures: Vec<Signature> = images.map(Signature::of).to_vec();
    let found = find(&signatures, &[0; 6]).expect("found");
    assert_eq!(found.group, [0, 0, 1, 1, 1, 2]);
    let expected = [Kind::Exact, Kind::Exact, Kind::Near, Kind::Near, Kind::Mirrored];
    assert_eq!(found.kind, expected.map(Some).into_iter().chain([None]).collect::<Vec<_>>());
}

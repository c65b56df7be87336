//! What is drawn for a copy: ranges, frequencies, and that it depends on seed, image and copy alone.

use super::*;
use crate::pipeline::{BlurSettings, ColorSettings, Copies, CropSettings, Fill, RandAugmentSettings};
use policy::OPS;
use proptest::prelude::*;

fn gradient(width: usize, height: usize) -> Pixels {
    let data =
        (0..width * height).flat_map(|i| [(i * 7 % 256) as u8, (i / width * 5 % 256) as u8, (i * i % 251) as u8]);
    Pixels { width, height, data: data.collect() }
}

/// One setting of each kind but the crop, which is taken before.
fn each_kind() -> [(&'static str, AugmentSettings); 5] {
    let with = |set: fn(&mut AugmentSettings)| {
        let mut settings = AugmentSettings { copies: Copies::Stored(1), ..Default::default() };
        set(&mut settings);
        settings
    };
    [
        ("rand_augment", with(|settings| settings.rand_augment = Some(RandAugmentSettings { ops: 3, magnitude: 20 }))),
        ("trivial_augment", with(|settings| settings.trivial_augment = true)),
        ("color", with(|settings| settings.color = Some(ColorSettings { contrast: 0.5, saturation: 0.5, hue: 0.3 }))),
        ("grayscale", with(|settings| settings.grayscale = 0.5)),
        ("blur", with(|settings| settings.blur = Some(BlurSettings { probability: 0.5, sigma: [0.5, 3.0] }))),
    ]
}

#[test]
fn copies_are_determined_by_seed_image_and_copy() {
    let image = gradient(17, 11);
    for (name, settings) in each_kind() {
        let copies = |seed, source: &str| -> Vec<Pixels> {
            (1..=40).map(|copy| augment(&image, &settings, seed, source, copy)).collect()
        };
        let first = copies(1, "a/1.png");
        assert_eq!(first, copies(1, "a/1.png"), "{name}");
        assert!(first != copies(2, "a/1.png"), "{name}: another seed");
        assert!(first != copies(1, "a/2.png"), "{name}: another image");
        assert!(first.iter().any(|copy| *copy != first[0]), "{name}: another copy");
    }
}

#[test]
fn old_settings_draw_what_they_drew_whatever_is_beside_them() {
    let image = gradient(17, 11);
    let old = AugmentSettings {
        copies: Copies::Stored(1),
        rotation: 20.0,
        shift: [0.1; 2],
        brightness: [0.5, 1.5],
        ..Default::default()
    };
    // Nothing of these changes a pixel: what the old settings make shows through.
    let beside = AugmentSettings {
        color: Some(ColorSettings::default()),
        blur: Some(BlurSettings { probability: 0.0, sigma: [1.0, 2.0] }),
        grayscale: 1e-12,
        random_resized_crop: Some(CropSettings::default()),
        ..old.clone()
    };
    for copy in 1..20 {
        assert_eq!(augment(&image, &old, 3, "a", copy), augment(&image, &beside, 3, "a", copy));
    }
}

#[test]
fn settings_are_written_only_where_they_are_given() {
    let plain = serde_json::to_value(AugmentSettings::default()).expect("JSON");
    let keys: Vec<&str> = plain.as_object().expect("a section").keys().map(String::as_str).collect();
    assert_eq!(keys, ["copies", "rotation", "shift", "shear", "zoom", "brightness", "horizontal_flip", "fill"]);
    for (name, settings) in each_kind() {
        let text = serde_json::to_string(&settings).expect("JSON");
        assert!(text.contains(name), "{name}");
        assert_eq!(serde_json::from_str::<AugmentSettings>(&text).expect("read"), settings, "{name}");
    }
}

#[test]
fn probabilities_are_how_often_it_happens() {
    let image = Pixels { width: 3, height: 1, data: vec![255, 0, 0, 0, 0, 255, 9, 9, 9] };
    let share = |settings: &AugmentSettings| {
        let changed = (1..=4000).filter(|&copy| augment(&image, settings, 1, "a", copy) != image).count();
        changed as f64 / 4000.0
    };
    let blur = Some(BlurSettings { probability: 0.3, sigma: [1.0, 2.0] });
    // Five standard errors.
    for settings in
        [AugmentSettings { grayscale: 0.3, ..Default::default() }, AugmentSettings { blur, ..Default::default() }]
    {
        let share = share(&settings);
        assert!((share - 0.3).abs() < 0.037, "{share}");
    }
    assert_eq!(share(&AugmentSettings { grayscale: 1.0, ..Default::default() }), 1.0);
}

#[test]
fn every_op_and_magnitude_of_a_policy_is_as_likely() {
    let mut random = random::stream(1, "test", &[]);
    let policy = Policy::RandAugment(RandAugmentSettings { ops: 2, magnitude: 7 });
    let drawn: Vec<_> = (0..7_000).flat_map(|_| policy.draw(&mut random)).collect();
    assert_eq!(drawn.len(), 14_000);
    assert!(drawn.iter().all(|drawn| drawn.magnitude == 7));
    for op in OPS {
        // 1000 expected, standard deviation 30.
        let count = drawn.iter().filter(|drawn| drawn.op == op).count();
        assert!((850..1150).contains(&count), "{op:?}: {count}");
    }
    let wide: Vec<_> = (0..31_000).flat_map(|_| Policy::TrivialAugment.draw(&mut random)).collect();
    assert_eq!(wide.len(), 31_000);
    for magnitude in 0..=30 {
        let count = wide.iter().filter(|drawn| drawn.magnitude == magnitude).count();
        assert!((850..1150).contains(&count), "{magnitude}: {count}");
    }
    let reversed = wide.iter().filter(|drawn| drawn.reversed).count();
    assert!((15_000..16_000).contains(&reversed), "{reversed}");
}

#[test]
fn ops_follow_one_another() {
    let image = gradient(15, 13);
    let policy = Policy::RandAugment(RandAugmentSettings { ops: 3, magnitude: 17 });
    for copy in 1..30 {
        let drawn = policy.draw(&mut stream("augment: policy", 5, "a", copy));
        let one_by_one = drawn.into_iter().fold(image.clone(), |pixels, op| policy.perform(pixels, op, Fill::Wrap));
        assert_eq!(policy.apply(image.clone(), Fill::Wrap, 5, "a", copy), one_by_one);
    }
}

proptest! {
    #[test]
    fn a_crop_lies_in_the_picture_and_has_the_area_and_the_ratio_that_were_asked_for(
        width in 1usize..3000, height in 1usize..3000, least in 0.01..=1.0, aspect in 0.2..3.0, wider in 1.0..3.0, seed: u64,
    ) {
        let settings = CropSettings { area: [least, 1.0], aspect: [aspect, aspect * wider] };
        let part = crop::draw(&settings, &mut random::stream(seed, "test", &[]), [width, height]);
        prop_assert!(part.left >= 0.0 && part.left + part.width <= width as f64, "{part:?}");
        prop_assert!(part.top >= 0.0 && part.top + part.height <= height as f64, "{part:?}");
        prop_assert!(part.width >= 1.0 && part.height >= 1.0);
        // Whole pixels: each side is rounded by up to one half, or cut off to one.
        let least_area = (part.width + 0.5) * (part.height + 0.5) / (width * height) as f64;
        let ratios = [(part.width - 0.5) / (part.height + 0.5), (part.width + 0.5) / (part.height - 0.5)];
        let possible = ratios[1] >= settings.aspect[0] && ratios[0] <= settings.aspect[1];
        let is_one_pixel = part.width == 1.0 || part.height == 1.0;
        prop_assert!(possible || is_one_pixel, "{part:?}: {ratios:?}");
        // The central crop has the ratio and whatever area is left.
        let ratio = width as f64 / height as f64;
        let fits = (settings.aspect[0]..=settings.aspect[1]).contains(&ratio);
        prop_assert!(!fits || least_area >= least, "{part:?}: {least_area}");
        // Decoded at the least size for a 50x40 target, the part is no smaller than it (but for rounding to whole pixels).
        let [across, down] = least_size(&settings, [width, height], [50, 40]);
        prop_assert!((part.width + 0.5) * across as f64 / width as f64 >= 50.0, "{part:?} at {across}");
        prop_assert!((part.height + 0.5) * down as f64 / height as f64 >= 40.0, "{part:?} at {down}");
    }
}

#[test]
fn after_ten_tries_the_crop_is_central() {
    let narrow = CropSettings { area: [0.9, 1.0], aspect: [0.5, 2.0] };
    let crop_of = |width, height| crop(&narrow, 1, "a", 1, [width, height]);
    // No part of nine tenths of this strip is at most twice as wide as high.
    let part = crop_of(1000, 100);
    assert_eq!([part.left, part.top, part.width, part.height], [400.0, 0.0, 200.0, 100.0]);
    let part = crop_of(100, 1001);
    assert_eq!([part.left, part.top, part.width, part.height], [0.0, 400.0, 100.0, 200.0]);
    let whole = CropSettings { area: [1.0, 1.0], aspect: [1.5, 1.5] };
    let part = crop(&whole, 1, "a", 1, [300, 200]);
    assert_eq!([part.left, part.top, part.width, part.height], [0.0, 0.0, 300.0, 200.0]);
}

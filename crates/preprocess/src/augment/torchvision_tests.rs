//! `tests/fixtures/make_torchvision.py`: what torchvision and Pillow make of a small picture.

use super::policy::{Drawn, OPS, Op, Policy, affine};
use super::*;
use crate::pipeline::{Fill, RandAugmentSettings};
use std::collections::HashMap;

#[derive(serde::Deserialize)]
struct Fixture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    cases: Vec<Case>,
    equalized: Vec<u8>,
    /// By policy: each op's name, its strengths and whether they are taken either way.
    spaces: HashMap<String, Vec<(String, Vec<f64>, bool)>>,
}

#[derive(serde::Deserialize)]
struct Case {
    op: String,
    argument: f64,
    expected: Vec<u8>,
}

impl Fixture {
    fn read() -> Self {
        serde_json::from_str(include_str!("../../tests/fixtures/torchvision.json")).expect("a fixture")
    }

    fn picture(&self) -> Pixels {
        Pixels { width: self.width, height: self.height, data: self.pixels.clone() }
    }
}

fn op_of(name: &str) -> Option<Op> {
    OPS.into_iter().find(|op| format!("{op:?}") == name)
}

#[test]
fn ops_on_colours_agree_with_torchvision() {
    let fixture = Fixture::read();
    let mut tried = 0;
    for Case { op, argument, expected } in &fixture.cases {
        let (mut pixels, argument) = (fixture.picture(), *argument);
        match op.as_str() {
            "brightness" => tone::brightness(&mut pixels, argument),
            "contrast" => tone::contrast(&mut pixels, argument),
            "saturation" => color::saturation(&mut pixels, argument),
            "hue" => color::hue(&mut pixels, argument),
            "sharpness" => sharpness::sharpness(&mut pixels, argument),
            "posterize" => tone::posterize(&mut pixels, argument as u32),
            "solarize" => tone::solarize(&mut pixels, argument),
            "autocontrast" => tone::autocontrast(&mut pixels),
            "equalize" => tone::equalize(&mut pixels),
            "grayscale" => luma::grayscale(&mut pixels),
            "blur" => blur::blur(&mut pixels, argument),
            _ => continue,
        }
        tried += 1;
        // Both drop what lies behind the point, where we round.
        let allowed = match op.as_str() {
            "posterize" | "solarize" | "equalize" | "grayscale" => 0,
            _ => 1,
        };
        for (index, (&found, &expected)) in std::iter::zip(&pixels.data, expected).enumerate() {
            assert!(found.abs_diff(expected) <= allowed, "{op} {argument} at {index}: {found}, torchvision {expected}");
        }
    }
    assert_eq!(tried, 34);
}

#[test]
fn a_large_picture_is_equalized_as_by_pillow() {
    let fixture = Fixture::read();
    let small = fixture.picture();
    let at = |i: usize| (i / (8 * fixture.width) / 8) * fixture.width + i % (8 * fixture.width) / 8;
    let data = (0..64 * fixture.width * fixture.height)
        .flat_map(|i| [0, 1, 2].map(|channel| small.data[at(i) * 3 + channel] / 32 * 32));
    let mut large = Pixels { width: 8 * fixture.width, height: 8 * fixture.height, data: data.collect() };
    tone::equalize(&mut large);
    for (pixel, expected) in fixture.equalized.chunks_exact(3).enumerate() {
        let (row, column) = (pixel / fixture.width * 8, pixel % fixture.width * 8);
        assert_eq!(&large.data[(row * large.width + column) * 3..][..3], expected, "row {row}, column {column}");
    }
}

#[test]
fn ops_that_move_pixels_agree_with_torchvision_inside_of_the_picture() {
    let fixture = Fixture::read();
    let (width, height) = (fixture.width, fixture.height);
    let mut compared = 0;
    for Case { op, argument, expected } in &fixture.cases {
        let Some(affine) = op_of(op).and_then(|op| affine(op, *argument, [width, height])) else { continue };
        let moved = warp(&fixture.picture(), &Transform { affine, brightness: 1.0 }, Fill::Nearest);
        for (pixel, (found, expected)) in moved.data.chunks(3).zip(expected.chunks(3)).enumerate() {
            let [row, column] = affine.apply([(pixel / width) as f64, (pixel % width) as f64]);
            // At the edges torchvision takes black for what lies outside.
            if row < 0.0 || column < 0.0 || row > (height - 1) as f64 || column > (width - 1) as f64 {
                continue;
            }
            compared += 1;
            for (found, expected) in found.iter().zip(expected) {
                // Positions are rounded to 1/128 pixel; neighbours differ by up to 255 levels, on two axes.
                assert!(found.abs_diff(*expected) <= 3, "{op} {argument} at {pixel}: {found}, torchvision {expected}");
            }
        }
    }
    assert!(compared > 600, "{compared} pixels");
}

#[test]
fn strengths_are_torchvisions() {
    let spaces = Fixture::read().spaces;
    let policies = [
        ("rand_augment", Policy::RandAugment(RandAugmentSettings { ops: 1, magnitude: 9 })),
        ("trivial_augment", Policy::TrivialAugment),
    ];
    for (name, policy) in policies {
        assert_eq!(spaces[name].len(), OPS.len());
        for ((op_name, strengths, signed), op) in spaces[name].iter().zip(OPS) {
            assert_eq!(format!("{op:?}"), *op_name, "{name}");
            for (magnitude, &expected) in strengths.iter().enumerate() {
                let strength = |reversed| policy.strength(Drawn { op, magnitude, reversed }, [331, 200]);
                // torchvision cuts off parts of pixels when it applies the op.
                let expected = if op_name.starts_with("Translate") { expected.trunc() } else { expected };
                assert!((strength(false) - expected).abs() < 1e-4, "{name}, {op_name} {magnitude}: {expected}");
                assert_eq!(strength(true), if *signed { -strength(false) } else { strength(false) }, "{op_name}");
            }
        }
    }
}

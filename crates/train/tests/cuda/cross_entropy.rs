//! The cross-entropy and its gradient against the reference.

use crate::common::{assert_close, device, noise, pool};
use preprocess::pipeline::Precision;
use train::device::cuda::Indices;
use train::ops::cross_entropy::{CrossEntropyKernel, Targets, gradient, reference};
use train::tensor::memory::Memory;

#[test]
fn equals_the_reference() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    // Classes: fewer than threads, as many, more; logits that are small, equal in places, large.
    for (shape @ [n, classes], scale) in [([1, 2], 1.0), ([5, 17], 10.0), ([3, 128], 0.1), ([7, 500], 300.0)] {
        let logits: Vec<f32> = noise(1, n * classes).iter().map(|v| (v * 8.0).round() * scale / 8.0).collect();
        let labels: Vec<usize> = (0..n).map(|image| image * 7 % classes).collect();
        let on_device = device.upload(&pool, [n, classes, 1, 1], &logits).unwrap();
        let labels_on_device = Indices::new(&pool, &[&[1][..], &labels].concat(), classes).unwrap();
        for smoothing in [0.0, 0.1] {
            // A part of the labels.
            let (computed, scores) =
                gradient(&pool, shape, &on_device, &labels_on_device, 1..n + 1, smoothing).unwrap();
            let (expected_scores, expected) = reference::gradient(&logits, &Targets::new(&labels, smoothing));
            let computed = device.download([n, classes, 1, 1], &computed).unwrap();
            assert_close(&format!("gradient, {shape:?}, {smoothing}"), &computed, &expected, 1e-6);
            let scores = device.download([n, 3, 1, 1], &scores).unwrap();
            for (image, (found, expected)) in scores.chunks_exact(3).zip(expected_scores).enumerate() {
                assert_close(&format!("loss of image {image}, {shape:?}"), &found[..1], &[expected.loss as f32], 1e-6);
                assert_eq!(found[1], expected.prediction as f32, "class of image {image}, {shape:?}");
                assert_eq!(found[2], expected.margin, "margin of image {image}, {shape:?}");
            }
        }
    }
}

#[test]
fn mixed_weighted_and_adjusted_targets_equal_the_reference() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    for (n, classes) in [(1, 2), (5, 17), (3, 300)] {
        let logits: Vec<f32> = noise(1, n * classes).iter().map(|v| v * 5.0).collect();
        let labels: Vec<usize> = (0..n).map(|image| image * 7 % classes).collect();
        let others: Vec<usize> = (0..n).map(|image| image * 5 % classes).collect();
        let shares: Vec<f32> = (0..n).map(|image| 0.5 + image as f32 / 16.0).collect();
        let weights: Vec<f32> = noise(2, classes).iter().map(|v| 1.0 + v.abs()).collect();
        let offsets: Vec<f32> = noise(3, classes).iter().map(|v| v * 3.0).collect();
        let on_device = device.upload(&pool, [n, classes, 1, 1], &logits).unwrap();
        let plain = Targets::new(&labels, 0.1);
        let mixed = Targets { mixed: Some((&others, &shares)), ..plain };
        let weighted = Targets { weights: Some(&weights), ..plain };
        let adjusted = Targets { offsets: Some(&offsets), ..plain };
        let all = Targets { weights: Some(&weights), offsets: Some(&offsets), ..mixed };
        for (name, targets) in
            [("plain", plain), ("mixed", mixed), ("weighted", weighted), ("adjusted", adjusted), ("all", all)]
        {
            let (computed, scores) =
                device.cross_entropy_gradient(&pool, [n, classes], &on_device, &targets).unwrap().unwrap();
            let (expected_scores, expected) = reference::gradient(&logits, &targets);
            let computed = device.download([n, classes, 1, 1], &computed).unwrap();
            assert_close(&format!("gradient, {name}, {n} of {classes}"), &computed, &expected, 1e-6);
            let losses: Vec<f32> = expected_scores.iter().map(|score| score.loss as f32).collect();
            let scores = device.download([n, 3, 1, 1], &scores).unwrap();
            let found: Vec<f32> = scores.chunks_exact(3).map(|score| score[0]).collect();
            assert_close(&format!("losses, {name}, {n} of {classes}"), &found, &losses, 1e-6);
        }
    }
}

#[test]
fn what_is_not_a_number_shows_in_the_loss_and_the_gradient() {
    let device = device();
    let pool = pool(&device, Precision::Fp32);
    let logits = device.upload(&pool, [2, 2, 1, 1], &[f32::NAN, f32::NAN, 1.0, f32::NAN]).unwrap();
    let labels = Indices::new(&pool, &[1, 0], 2).unwrap();
    let (gradient, scores) = gradient(&pool, [2, 2], &logits, &labels, 0..2, 0.0).unwrap();
    assert!(device.download([2, 2, 1, 1], &gradient).unwrap().iter().all(|v| v.is_nan()));
    let scores = device.download([2, 3, 1, 1], &scores).unwrap();
    assert!(scores[0].is_nan() && scores[1] == 0.0 && scores[3].is_nan() && scores[4] == 0.0, "{scores:?}");
}

//! The fit against scikit-learn's (`tests/fixtures/head.py`), and how λ is chosen.

use super::*;
use crate::ops::cross_entropy::logits::softmax;
use dfdx::tensor::Cpu;
use preprocess::stage::random;
use safetensors::SafeTensors;

const FIXTURE: &[u8] = include_bytes!("../../../tests/fixtures/head.safetensors");

fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    file.tensor(name).unwrap().data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn features(dim: usize, values: Vec<f32>, labels: Vec<usize>) -> Features {
    let groups = (0..labels.len() as u64).collect();
    Features { dim, values, labels, groups }
}

fn logits(head: &Head, row: &[f32]) -> Vec<f32> {
    let rows = head.weight.chunks_exact(row.len()).zip(&head.bias);
    rows.map(|(weight, bias)| bias + weight.iter().zip(row).map(|(w, x)| w * x).sum::<f32>()).collect()
}

#[test]
fn finds_the_optimum_that_scikit_learn_finds() {
    let file = SafeTensors::deserialize(FIXTURE).unwrap();
    let labels = file.tensor("labels").unwrap().data().as_chunks::<4>().0.iter();
    let labels: Vec<usize> = labels.map(|bytes| i32::from_le_bytes(*bytes) as usize).collect();
    let (dim, classes) = (7, 3);
    let training = features(dim, floats(&file, "features"), labels.clone());
    let nothing = features(dim, Vec::new(), Vec::new());
    let scaling = Scaling::of(&training);
    for penalty in [1.0, 0.1, 0.01] {
        let head =
            fit_with(penalty, &scaling, &training, &nothing, (classes, &RareClasses::default()), &Cpu::default())
                .unwrap();
        let name = if penalty == 1.0 { "1.0".to_owned() } else { penalty.to_string() };
        let expected = floats(&file, &format!("{name}/probabilities"));
        for (row, expected) in training.values.chunks_exact(dim).zip(expected.chunks_exact(classes)) {
            for (ours, theirs) in softmax(&logits(&head, row)).iter().zip(expected) {
                assert!((ours - theirs).abs() < 2e-3, "penalty {penalty}: {ours} where scikit-learn has {theirs}");
            }
        }
        let square: f64 =
            (0..classes * dim).map(|at| (f64::from(head.weight[at]) * scaling.deviation[at % dim]).powi(2)).sum();
        let objective = head.path.last().unwrap().training.loss() + penalty / 2.0 * square;
        let theirs = f64::from(floats(&file, &format!("{name}/objective"))[0]);
        assert!((objective / theirs - 1.0).abs() < 1e-4, "penalty {penalty}: {objective}, scikit-learn {theirs}");
    }
}

/// So many images of two classes: feature 0 tells them apart with noise, the others are noise.
fn noisy(seed: u64, count: usize, dim: usize) -> Features {
    let mut noise = random::stream(seed, "features", &[]);
    let labels: Vec<usize> = (0..count).map(|at| at % 2).collect();
    let mut values = Vec::new();
    for &label in &labels {
        let told = 1.5 * (label as f64 - 0.5) + noise.normal();
        values.push(told as f32);
        values.extend((1..dim).map(|_| noise.normal() as f32));
    }
    features(dim, values, labels)
}

#[test]
fn few_images_of_many_features_are_fitted_with_a_stronger_penalty() {
    let device = Cpu::default();
    let unseen = noisy(9, 500, 60);
    let few = fit(&noisy(1, 40, 60), &unseen, (2, &RareClasses::default()), &device).unwrap();
    let many = fit(&noisy(1, 2000, 60), &unseen, (2, &RareClasses::default()), &device).unwrap();
    assert!(few.penalty > 3.0 * many.penalty, "{} and {}", few.penalty, many.penalty);
    let loss = |head: &Head| head.path.last().unwrap().validation.loss();
    assert!(loss(&many) < loss(&few));
    // The one chosen is better than those beside it.
    let (training, scaling) = (noisy(1, 40, 60), Scaling::of(&noisy(1, 40, 60)));
    for penalty in [few.penalty / 10.0, few.penalty * 10.0] {
        let other = fit_with(penalty, &scaling, &training, &unseen, (2, &RareClasses::default()), &device).unwrap();
        assert!(loss(&few) < loss(&other), "{} is worse than {penalty}", few.penalty);
    }
}

#[test]
fn without_a_validation_split_a_fifth_is_held_back_in_whole_groups_and_nothing_is_lost() {
    let mut training = noisy(2, 300, 5);
    training.groups = (0..300).map(|at| at / 3).collect();
    let (most, fifth) = training.without_a_fifth();
    assert_eq!(most.labels.len() + fifth.labels.len(), 300);
    assert!((30..90).contains(&fifth.labels.len()), "{}", fifth.labels.len());
    assert!(fifth.groups.iter().all(|group| !most.groups.contains(group)));
    let nothing = features(5, Vec::new(), Vec::new());
    let head = fit(&training, &nothing, (2, &RareClasses::default()), &Cpu::default()).unwrap();
    let last = head.path.last().unwrap();
    assert_eq!((last.training.images, last.validation.images), (300, 0));
    assert!(last.training.accuracy() > 0.7);
}

//! Holds the scores to scikit-learn's. `fixtures/make_sklearn.py` made the numbers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use report::metrics::{self, ConfusionMatrix, Groups, Interval};
use serde::Deserialize;
use train::model::predictions::Prediction;

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
    mcnemar: Vec<McNemar>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    labels: Vec<usize>,
    probabilities: Vec<Vec<f32>>,
    accuracy: f64,
    accuracy_interval: [f64; 2],
    loss: f64,
    loss_interval: [f64; 2],
    confusion: Vec<Vec<usize>>,
    precision: Vec<f64>,
    recall: Vec<f64>,
    f1: Vec<f64>,
    support: Vec<usize>,
    #[serde(rename = "macro")]
    macro_average: [f64; 3],
    weighted: [f64; 3],
    top_3: Option<f64>,
}

#[derive(Deserialize)]
struct McNemar {
    only_first: usize,
    only_second: usize,
    p: f64,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/sklearn.json")).expect("the fixture is JSON")
}

#[track_caller]
fn close(case: &str, what: &str, got: f64, expected: f64) {
    assert!((got - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{case}, {what}: {got} instead of {expected}");
}

#[track_caller]
fn close_bounds(case: &str, what: &str, got: Interval, [low, high]: [f64; 2]) {
    close(case, what, got.low, low);
    close(case, what, got.high, high);
}

fn rows(case: &Case) -> Vec<Prediction> {
    let argmax = |p: &[f32]| (0..p.len()).max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap();
    let row = |(group, (&label, p)): (usize, (&usize, &Vec<f32>))| Prediction {
        path: String::new(),
        content: String::new(),
        group,
        label,
        prediction: argmax(p),
        probabilities: p.clone(),
    };
    case.labels.iter().zip(&case.probabilities).enumerate().map(row).collect()
}

#[test]
fn scores_agree_with_scikit_learn() {
    for case in fixture().cases {
        let name = case.name.as_str();
        let rows = rows(&case);
        let matrix = ConfusionMatrix::of(&rows, case.confusion.len());
        assert_eq!(matrix.rows(), case.confusion, "{name}");
        close(name, "accuracy", matrix.accuracy(), case.accuracy);
        let (groups, correct) = (Groups::singles(rows.len()), rows.iter().map(|row| row.prediction == row.label));
        let correct: Vec<bool> = correct.collect();
        close_bounds(name, "accuracy interval", metrics::accuracy_interval(&correct, &groups), case.accuracy_interval);

        let losses = metrics::cross_entropy(&rows);
        close(name, "loss", metrics::mean(&losses), case.loss);
        close_bounds(
            name,
            "loss interval",
            metrics::positive_mean_interval(&losses, &groups).unwrap(),
            case.loss_interval,
        );

        for class in 0..matrix.classes() {
            let scores = matrix.class_scores(class);
            close(name, "precision", scores.precision, case.precision[class]);
            close(name, "recall", scores.recall, case.recall[class]);
            close(name, "F1", scores.f1, case.f1[class]);
            assert_eq!(scores.support, case.support[class], "{name}");
        }
        for (kind, got, expected) in [
            ("macro", matrix.macro_average(), case.macro_average),
            ("weighted", matrix.weighted_average(), case.weighted),
        ] {
            close(name, kind, got.precision, expected[0]);
            close(name, kind, got.recall, expected[1]);
            close(name, kind, got.f1, expected[2]);
        }
        let absent = case.support.iter().filter(|&&support| support == 0).count();
        assert_eq!(matrix.empty_classes(), absent, "{name}");
        if let Some(expected) = case.top_3 {
            close(name, "top-3 accuracy", metrics::top_k_accuracy(&rows, 3), expected);
        }
    }
}

#[test]
fn mcnemar_agrees_with_the_binomial_test() {
    for McNemar { only_first, only_second, p } in fixture().mcnemar {
        let ones = |count, value| std::iter::repeat_n(value, count);
        let got = metrics::two_sided(&ones(only_first, -1).chain(ones(only_second, 1)).collect::<Vec<i64>>());
        assert!((got - p).abs() <= 1e-9 * p.max(1e-3), "{only_first}, {only_second}: {got} instead of {p}");
    }
}

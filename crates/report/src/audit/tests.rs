//! Findings, kind by kind: what is found, and as important, what is not.

use super::relatives::Relatives;
use super::testing::{distinct, image};
use super::*;
use preprocess::pipeline::Split;
use preprocess::stage::random;
use train::audit::evidence::{FeatureSource, ImageEvidence, Neighbour, PictureStatistics, Record};

fn evidence(images: Vec<ImageEvidence>, classes: &[&str]) -> Evidence {
    let record = Record {
        format: train::audit::evidence::FORMAT,
        fingerprint: String::new(),
        dataset_fingerprint: String::new(),
        classes: classes.iter().map(|&class| class.to_owned()).collect(),
        features: FeatureSource::Trained("model".into()),
        folds: 5,
        penalty: 1.0,
        evidence: String::new(),
    };
    Evidence { record, images }
}

/// `row suggestion evidence` of the findings of a kind.
#[track_caller]
fn found(evidence: &Evidence, kind: Kind) -> Vec<String> {
    let relatives = Relatives::of(&evidence.images);
    let findings = find(evidence, &relatives, true, &BTreeSet::new(), None);
    assert!(findings.iter().all(|finding| (0.0..=1.0).contains(&finding.score)), "{findings:?}");
    let line = |finding: &Finding| {
        let suggestion = match finding.suggestion {
            Suggestion::Relabel(class) => evidence.record.classes[class].clone(),
            Suggestion::Drop => "drop".into(),
            Suggestion::Look => "look".into(),
        };
        format!("{} {suggestion}: {}", finding.row, finding.evidence)
    };
    findings.iter().filter(|finding| finding.kind == kind).map(line).collect()
}

#[test]
fn a_wrong_label_is_explained_by_both_votes() {
    let mut images: Vec<_> =
        (0..20).map(|row| image(row % 2, if row % 2 == 0 { &[0.9, 0.1] } else { &[0.1, 0.9] })).collect();
    images.push(image(0, &[0.008, 0.992]));
    images[20].neighbours =
        (0..10).map(|row| Neighbour { row: if row < 9 { 2 * row + 1 } else { 0 }, similarity: 0.9 }).collect();
    let evidence = evidence(distinct(images), &["cat", "dog"]);
    let expected = "20 dog: held back: over 99 % dog, under 1 % cat; 9 of its 10 nearest images are dog";
    assert_eq!(found(&evidence, Kind::WrongLabel), [expected]);
}

#[test]
fn the_same_picture_under_two_labels() {
    type Change = fn(&mut Vec<ImageEvidence>);
    let cases: [(&str, Change, &[&str]); 7] = [
        ("one class", |images| images[2].pixels = images[0].pixels.clone(), &[]),
        (
            "equal pixels, two classes",
            |images| images[1].pixels = images[0].pixels.clone(),
            &["0 dog: equal pixels as 1/1.png (dog)", "1 cat: equal pixels as 0/0.png (cat)"],
        ),
        (
            "a majority",
            |images| {
                for row in [2, 3] {
                    images[row].content = images[0].content.clone();
                }
            },
            &["3 cat: equal pixels as 0/0.png (cat); of its copies 0 are dog, 2 are cat"],
        ),
        (
            "found by pixels",
            |images| images[1].copies = vec![4],
            &["1 cat: near-copy of 0/4.png (cat)", "4 dog: near-copy of 1/1.png (dog)"],
        ),
        (
            "found by preprocess",
            |images| images[5].group = images[4].group,
            &["4 dog: near-copy of 1/5.png (dog)", "5 cat: near-copy of 0/4.png (cat)"],
        ),
        (
            "equal ones first, and once",
            |images| {
                images[1].copies = vec![0, 4];
                images[1].pixels = images[0].pixels.clone();
            },
            &[
                "0 dog: equal pixels as 1/1.png (dog)",
                "1 cat: equal pixels as 0/0.png (cat)",
                "4 dog: near-copy of 1/1.png (dog)",
            ],
        ),
        (
            "the more probable of two other classes",
            |images| {
                for row in [1, 6] {
                    images[row].pixels = images[0].pixels.clone();
                }
                images[6].label = 2;
                images[0].probabilities = vec![0.5, 0.1, 0.4];
                images[0].label_probabilities = images[0].probabilities.clone();
            },
            &[
                "0 bird: equal pixels as 0/6.png (bird)",
                "1 cat: equal pixels as 0/0.png (cat)",
                "6 cat: equal pixels as 0/0.png (cat)",
            ],
        ),
    ];
    for (name, change, expected) in cases {
        let mut images = distinct((0..8).map(|row| image(row % 2, &[0.4, 0.3, 0.3])).collect());
        change(&mut images);
        let mut lines = found(&evidence(images, &["cat", "dog", "bird"]), Kind::Duplicate);
        let first = lines.first().cloned();
        lines.sort();
        assert_eq!(lines, expected, "{name}");
        assert!(first.is_none_or(|line| !line.contains("near-copy") || !expected[0].contains("equal")), "{name}");
    }
}

#[test]
fn given_groups_are_no_copies() {
    let mut images = distinct((0..4).map(|row| image(row % 2, &[0.5, 0.5])).collect());
    images[1].group = images[0].group;
    let evidence = evidence(images, &["cat", "dog"]);
    let relatives = Relatives::of(&evidence.images);
    assert_eq!(find(&evidence, &relatives, false, &BTreeSet::new(), None), []);
}

#[test]
fn leaks_are_told_of_the_measured_side() {
    let splits = |images: &mut Vec<ImageEvidence>, of: &[(usize, Split)]| {
        of.iter().for_each(|&(row, split)| images[row].split = split);
    };
    let mut images = distinct((0..12).map(|row| image(row % 2, &[0.5, 0.5])).collect());
    splits(
        &mut images,
        &[(2, Split::Validation), (3, Split::Validation), (4, Split::Test), (6, Split::Test), (8, Split::Test)],
    );
    // 2 is a copy of training's 0, and of 4 in the test split; 6 has 7's pixels and its own group with 9.
    images[0].copies = vec![2];
    images[4].copies = vec![2];
    images[6].pixels = images[7].pixels.clone();
    images[9].group = images[6].group;
    images[8].group = images[10].group;
    let evidence = evidence(images, &["cat", "dog"]);
    assert_eq!(
        found(&evidence, Kind::Leak),
        [
            "6 drop: equal pixels as 1/7.png (train, labelled dog)",
            "4 drop: near-copy of 0/2.png (validation)",
            "8 drop: same group as 0/10.png (train)",
            "2 drop: near-copy of 0/0.png (train)",
        ]
    );
}

/// Normal logarithms around what a kind of pictures has: brightness, contrast, sharpness, entropy, width by height.
fn pictures(number: usize, seed: u64, of: fn(&mut random::Random) -> PictureStatistics) -> Vec<ImageEvidence> {
    let mut random = random::stream(seed, "pictures", &[]);
    let images = (0..number).map(|row| ImageEvidence { picture: of(&mut random), ..image(row % 2, &[0.5, 0.5]) });
    distinct(images.collect())
}

fn around(random: &mut random::Random, median: f64, spread: f64) -> f32 {
    (median * (spread * random.normal()).exp()) as f32
}

fn photograph(random: &mut random::Random) -> PictureStatistics {
    let (width, height) = if random.below(3) == 0 { (480, 640) } else { (640, 480) };
    let contrast = around(random, 55.0, 0.3);
    let sharpness = around(random, 0.25, 0.9) * contrast * contrast;
    PictureStatistics { width, height, brightness: around(random, 115.0, 0.3), contrast, sharpness, entropy: 7.2 }
}

fn drawing(random: &mut random::Random) -> PictureStatistics {
    let contrast = around(random, 35.0, 0.35);
    PictureStatistics {
        width: 256,
        height: 256,
        brightness: 245.0,
        contrast,
        sharpness: around(random, 1.2, 0.3) * contrast * contrast,
        entropy: around(random, 0.9, 0.4),
    }
}

fn radiograph(random: &mut random::Random) -> PictureStatistics {
    PictureStatistics {
        width: 1000 + random.below(1000),
        height: 1000 + random.below(1000),
        brightness: around(random, 60.0, 0.4),
        contrast: around(random, 45.0, 0.3),
        sharpness: around(random, 25.0, 0.6),
        entropy: around(random, 6.5, 0.1),
    }
}

fn product(random: &mut random::Random) -> PictureStatistics {
    let contrast = around(random, 50.0, 0.5);
    PictureStatistics {
        width: 800,
        height: 400 + random.below(1600),
        brightness: 225.0,
        contrast,
        sharpness: around(random, 0.3, 0.8) * contrast * contrast,
        entropy: around(random, 3.0, 0.4),
    }
}

type Kinds = [(&'static str, fn(&mut random::Random) -> PictureStatistics); 4];

const KINDS: Kinds =
    [("photographs", photograph), ("drawings", drawing), ("radiographs", radiograph), ("products", product)];

#[test]
fn sound_sets_are_left_alone() {
    for (name, of) in KINDS {
        for (seed, number) in [(1, 3), (2, 25), (3, 2000)] {
            let lines = found(&evidence(pictures(number, seed, of), &["cat", "dog"]), Kind::Unusable);
            assert!(lines.len() <= number / 1000, "{name}, {number}: {lines:?}");
        }
    }
}

#[test]
fn useless_pictures_are_found_in_any_set() {
    type Change = fn(&mut PictureStatistics);
    let cases: [(&str, Change, &str); 5] = [
        (
            "black",
            |picture| (picture.brightness, picture.contrast, picture.sharpness, picture.entropy) = (2.0, 0.5, 0.2, 0.4),
            "drop: nearly black: mean luma 2 of 255",
        ),
        (
            "white",
            |picture| {
                (picture.brightness, picture.contrast, picture.sharpness, picture.entropy) = (254.0, 0.8, 0.5, 0.3)
            },
            "drop: nearly white",
        ),
        (
            "grey",
            |picture| {
                (picture.brightness, picture.contrast, picture.sharpness, picture.entropy) = (128.0, 0.0, 0.0, 0.0)
            },
            "drop: almost constant",
        ),
        ("blurred", |picture| picture.sharpness = 0.0004 * picture.contrast * picture.contrast, "drop: blurred"),
        (
            "a strip",
            |picture| (picture.width, picture.height) = (2000, 100),
            "drop: odd form: 2000 x 100 pixels, 1:20.0",
        ),
    ];
    for (set, of) in KINDS {
        for (name, change, expected) in &cases {
            let mut images = pictures(200, 5, of);
            change(&mut images[77].picture);
            let lines = found(&evidence(images, &["cat", "dog"]), Kind::Unusable);
            assert!(
                lines.len() == 1 && lines[0].starts_with("77 ") && lines[0].contains(expected),
                "{set}, {name}: {lines:?}"
            );
        }
    }
}

#[test]
fn few_images_have_no_norm_but_show_something() {
    let mut images = pictures(5, 6, photograph);
    images[1].picture = PictureStatistics { brightness: 3.0, ..PictureStatistics::default() };
    images[2].picture.sharpness = 1.0;
    (images[3].picture.width, images[3].picture.height) = (3000, 100);
    let lines = found(&evidence(images, &["cat", "dog"]), Kind::Unusable);
    assert!(lines.len() == 1 && lines[0].starts_with("1 drop: nearly black"), "{lines:?}");
}

#[test]
fn unknown_sizes_have_no_form() {
    let mut images = pictures(60, 7, photograph);
    images.iter_mut().take(30).for_each(|image| image.picture.width = 0);
    images[3].picture.height = 0;
    assert_eq!(found(&evidence(images, &["cat", "dog"]), Kind::Unusable), [""; 0]);
}

/// Features of a class are alike to 0.8, give or take.
fn typical(number: usize) -> Vec<ImageEvidence> {
    let mut random = random::stream(8, "typical", &[]);
    let images = (0..number).map(|row| {
        let similarity = |random: &mut random::Random| 1.0 - around(random, 0.2, 0.25);
        let mut image = image(row % 2, &[0.5, 0.5]);
        image.typicality = Some(similarity(&mut random));
        image.neighbours = vec![Neighbour { row: (row + 2) % number, similarity: similarity(&mut random) }];
        image
    });
    distinct(images.collect())
}

#[test]
fn outliers_are_far_from_all() {
    let cases: [(&str, Option<f32>, f32, usize); 5] = [
        ("usual", Some(0.8), 0.8, 0),
        ("far from its class alone: rather a wrong label", Some(0.1), 0.85, 0),
        ("far from its neighbours alone", Some(0.8), 0.1, 0),
        ("far from both", Some(0.05), 0.1, 1),
        ("alone in its class", None, 0.1, 0),
    ];
    for (name, typicality, similarity, expected) in cases {
        for (number, expected) in [(600, expected), (30, 0)] {
            let mut images = typical(number);
            images[9].typicality = typicality;
            images[9].neighbours[0].similarity = similarity;
            let lines = found(&evidence(images, &["cat", "dog"]), Kind::Outlier);
            assert_eq!(lines.len(), expected, "{name}, {number} images: {lines:?}");
            assert!(lines.iter().all(|line| line.starts_with("9 look: similarity 0.05")), "{lines:?}");
        }
    }
}

#[test]
fn findings_are_in_order_and_can_be_silenced() {
    let mut images = pictures(60, 9, photograph);
    for row in [3, 4] {
        images[row].picture =
            PictureStatistics { brightness: 3.0, contrast: row as f32 / 10.0, ..PictureStatistics::default() };
    }
    images[11].pixels = images[10].pixels.clone();
    (images[20].split, images[22].split) = (Split::Test, Split::Validation);
    images[20].copies = vec![30];
    images[22].copies = vec![32];
    let evidence = evidence(images, &["cat", "dog"]);
    let relatives = Relatives::of(&evidence.images);
    let listed = |silenced: &[usize]| -> Vec<(Kind, usize)> {
        let silenced = silenced.iter().map(|&row| evidence.images[row].path.clone()).collect();
        find(&evidence, &relatives, true, &silenced, None).iter().map(|finding| (finding.kind, finding.row)).collect()
    };
    let all = [
        (Kind::Duplicate, 10),
        (Kind::Duplicate, 11),
        (Kind::Leak, 20),
        (Kind::Leak, 22),
        (Kind::Unusable, 3),
        (Kind::Unusable, 4),
    ];
    assert_eq!(listed(&[]), all);
    assert_eq!(listed(&[10, 20, 4]), [all[1], all[3], all[4]]);
}

#[test]
fn folds_are_scored_each_by_itself() {
    let mut images: Vec<_> = (0..12)
        .map(|row| ImageEvidence {
            fold: Some(row / 4),
            ..image(row % 2, if row == 1 { &[0.9, 0.1] } else { &[0.4, 0.6] })
        })
        .collect();
    images.push(ImageEvidence { fold: None, split: Split::Test, ..image(0, &[0.0, 1.0]) });
    // Class 1 is right but for row 1, class 0 never: 1 of 4, 2 of 4, 2 of 4; the test split is in no fold.
    let folds = scores::FoldScores::of(&images, 2);
    assert_eq!(folds.images, [4, 4, 4]);
    assert_eq!(folds.accuracy.folds, [0.25, 0.5, 0.5]);
    assert_eq!(folds.macro_recall.folds, [0.25, 0.5, 0.5]);
    let spread = folds.accuracy.spread.unwrap();
    assert!((spread - (0.25f64 * 0.25 / 3.0).sqrt()).abs() < 1e-12 && folds.accuracy.mean == Some(1.25 / 3.0));
    let none = scores::FoldScores::of(&[], 2);
    assert_eq!((none.accuracy.mean, none.accuracy.spread, none.accuracy.interval), (None, None, None));
}

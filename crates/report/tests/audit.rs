//! The audit in the report, on a synthetic run with faults by hand.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod fixture;

use fixture::{Run, Shape};
use preprocess::pipeline::Split;
use report::audit::{Audit, Kind, load};
use report::document::{to_html, to_markdown};
use report::gate;
use report::metrics_file::Metrics;
use report::results::Results;
use report::run::Written;
use report::sections::{self, Material};
use std::collections::BTreeSet;
use train::audit::evidence::{AUDIT_DIRECTORY, AUDIT_FILE, Evidence, FeatureSource};

fn row(evidence: &Evidence, class: usize, name: &str) -> usize {
    let path = format!("{}/{name}.png", evidence.record.classes[class]);
    evidence.images.iter().position(|image| image.path == path).expect("the image is in the evidence")
}

/// One fault of each kind, and two wrong labels.
fn faulty(run: &Run) -> Evidence {
    let mut evidence = run.evidence();
    let rows = |class: usize, names: &[&str]| names.iter().map(|name| row(&evidence, class, name)).collect::<Vec<_>>();
    let [wrong, pixels, original] = rows(0, &["train-003", "train-005", "train-007"])[..] else { panic!() };
    let [alike, same] = rows(1, &["train-004", "train-005"])[..] else { panic!() };
    let (doubtful, leak, black, odd) = (
        row(&evidence, 2, "train-002"),
        row(&evidence, 0, "test-000"),
        row(&evidence, 4, "train-001"),
        row(&evidence, 5, "train-009"),
    );
    let neighbours = evidence.images[alike].neighbours.clone();
    let images = &mut evidence.images;
    images[wrong].probabilities = vec![0.02, 0.95, 0.01, 0.01, 0.01, 0.0];
    images[wrong].label_probabilities = images[wrong].probabilities.clone();
    images[wrong].neighbours = neighbours;
    images[doubtful].probabilities = vec![0.01, 0.01, 0.01, 0.96, 0.01, 0.0];
    images[doubtful].label_probabilities = images[doubtful].probabilities.clone();
    images[same].pixels = images[pixels].pixels.clone();
    images[leak].copies = vec![original];
    let picture = &mut images[black].picture;
    (picture.brightness, picture.contrast, picture.sharpness, picture.entropy) = (1.0, 0.2, 0.0, 0.1);
    images[odd].typicality = Some(0.1);
    images[odd].neighbours.iter_mut().for_each(|neighbour| neighbour.similarity = 0.1);
    evidence
}

fn write(run: &Run) -> Written {
    report::run::write(&run.pipeline, false).expect("the fixture is sound")
}

fn audited(run: &Run) -> (Results, Audit) {
    let results = Results::load(&run.pipeline, false).unwrap();
    let (audit, reason) = load(&results).unwrap();
    let audit = audit.unwrap_or_else(|| panic!("{reason:?}"));
    (results, audit)
}

#[test]
fn the_file_lists_every_finding_in_order() {
    let run = Run::new(Shape::default());
    run.write_evidence(&mut faulty(&run));
    write(&run);
    let text = std::fs::read_to_string(run.report_file("audit.csv")).unwrap();
    assert!(text.starts_with("path,finding,label,suggestion,score,evidence\n"), "{text}");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<Vec<String>> =
        reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
    let classes = fixture::CLASSES;
    let expected = [
        ("train-002.png", "wrong-label", classes[2], classes[3], "; 0 of its 10 nearest images are Üñïcödé 中文"),
        (
            "train-003.png",
            "wrong-label",
            classes[0],
            classes[1],
            "held back: 95 % <b>bold</b> & \"quoted\", 2 % plain_name; 10 of its 10",
        ),
        ("train-005.png", "duplicate", classes[1], classes[0], "equal pixels as plain_name/train-005.png (plain_name)"),
        (
            "train-005.png",
            "duplicate",
            classes[0],
            classes[1],
            "equal pixels as <b>bold</b> & \"quoted\"/train-005.png",
        ),
        ("test-000.png", "leak", classes[0], "drop", "near-copy of plain_name/train-007.png (train)"),
        ("train-001.png", "unusable", classes[4], "drop", "nearly black: mean luma 1 of 255"),
        ("train-009.png", "outlier", "'=1+1, 'comma'", "", "similarity 0.10 to its nearest of =1+1, 'comma'"),
    ];
    assert_eq!(rows.len(), expected.len(), "{text}");
    for (row, (name, finding, label, suggestion, reason)) in rows.iter().zip(expected) {
        assert_eq!(row[0], format!("{label}/{name}"), "{text}");
        assert_eq!([row[1].as_str(), &row[2], &row[3]], [finding, label, suggestion], "{text}");
        assert!((0.0..=1.0).contains(&row[4].parse::<f64>().unwrap()), "{text}");
        assert!(row[5].contains(reason), "{reason} in {text}");
    }
}

#[test]
fn numbers_go_into_the_metrics_file_and_the_gate_takes_no_notice() {
    let run = Run::new(Shape::default());
    write(&run);
    let plain = std::fs::read_to_string(run.report_file("metrics.json")).unwrap();
    assert!(!plain.contains("\"audit\""), "a report without evidence has the keys that it had");
    gate::accept(&run.pipeline, None).unwrap();
    run.write_evidence(&mut faulty(&run));
    let written = write(&run).metrics;
    let read = Metrics::read(&run.report_file("metrics.json")).unwrap();
    let (audit, sent) = (read.audit.expect("there is evidence"), written.audit.expect("there is evidence"));
    assert_eq!((&audit.features, &audit.findings), (&sent.features, &sent.findings));
    let counts: Vec<(Kind, usize)> = audit.findings.into_iter().collect();
    assert_eq!(counts.iter().map(|&(_, number)| number).collect::<Vec<_>>(), [2, 2, 1, 1, 1], "{counts:?}");
    assert_eq!((audit.images, audit.redundant_copies), (288, 0));
    assert!((audit.label_errors.images - 2.0).abs() < 0.2, "{:?}", audit.label_errors);
    assert_eq!(audit.folds.images.iter().sum::<usize>(), 228);
    let scores = &audit.models["resnet"];
    let test = &read.models["resnet"].splits[&Split::Test];
    assert_eq!((scores.all.images, scores.all.left_out, scores.all.accuracy), (60, 0, Some(test.accuracy)));
    assert_eq!(scores.all.accuracy_interval, test.accuracy_interval);
    assert_eq!((scores.without_relatives.images, scores.without_relatives.left_out), (59, 1));
    assert_eq!(scores.without_wrong_labels.left_out, 0, "no suspect is in the test split");
    gate::check(&run.pipeline).unwrap();
    std::fs::remove_dir_all(run.pipeline.output.join(AUDIT_DIRECTORY)).unwrap();
    gate::check(&run.pipeline).unwrap();
}

#[test]
fn silenced_images_have_no_findings() {
    let run = Run::new(Shape::default());
    let evidence = faulty(&run);
    let results = Results::load(&run.pipeline, false).unwrap();
    let of = |silenced: &[(usize, &str)]| {
        let silenced: BTreeSet<String> =
            silenced.iter().map(|&(class, name)| format!("{}/{name}.png", fixture::CLASSES[class])).collect();
        Audit::of(evidence.clone(), &results, &silenced, None)
    };
    assert_eq!(of(&[]).findings.len(), 7);
    let audit = of(&[(0, "train-003"), (0, "train-005"), (4, "train-001")]);
    let kinds: Vec<Kind> = audit.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [Kind::WrongLabel, Kind::Duplicate, Kind::Leak, Kind::Outlier]);
    assert!(audit.metrics.label_errors.images < 1.2, "a label that was looked at is right");
}

#[test]
fn a_section_shows_what_is_wrong() {
    let run = Run::new(Shape::default());
    run.write_evidence(&mut faulty(&run));
    let (results, audit) = audited(&run);
    let metrics = Metrics { audit: Some(audit.metrics.clone()), ..Metrics::compute(&results) };
    let pictures = fixture::pictures(audit.evidence.images.iter().map(|image| image.path.as_str()));
    let document = sections::document(&Material {
        results: &results,
        metrics: &metrics,
        picks: None,
        audit: Some(&audit),
        pictures: &pictures,
        notes: &[],
    });
    let text = to_markdown(&document);
    for expected in [
        "## Audit of the data",
        "features of a pretrained network (timm/resnet18.a1_in1k) that has seen none",
        "| duplicate   |      2 |",
        "Confident learning estimates 2 wrong labels of 288",
        "| plain_name ",
        "95 % interval of the mean",
        "without relatives in training",
        "labelled plain_name, likely &lt;b&gt;bold",
        "nearly black: mean luma 1 of 255",
        "| relabel CLASS |",
        "preprocess.corrections: corrections.csv",
        "[All findings, with the reason of each](audit.csv)",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    let shown = |name: &str| {
        let drawing = document.drawings().find(|drawing| drawing.name == name).unwrap_or_else(|| panic!("{name}"));
        let svg = drawing.figure.to_file();
        assert!(!svg.contains("NaN") && !svg.contains("<b>"), "{name}");
        svg.matches("data:image/png;base64,").count()
    };
    assert_eq!((shown("audit-wrong-label-1"), shown("audit-duplicate-1"), shown("audit-unusable-1")), (4, 2, 1));
    assert!(!to_html(&document).contains("<b>bold"));
}

#[test]
fn features_that_have_seen_the_labels_are_told() {
    let run = Run::new(Shape::default());
    let mut evidence = faulty(&run);
    evidence.record.features = FeatureSource::Trained("resnet".into());
    run.write_evidence(&mut evidence);
    write(&run);
    let text = std::fs::read_to_string(run.report_file("report.md")).unwrap();
    assert!(text.contains("They were trained on these very labels"), "{text}");
}

#[test]
fn nothing_is_wrong_with_a_sound_run() {
    let run = Run::new(Shape::default());
    run.write_evidence(&mut run.evidence());
    let written = write(&run);
    let audit = written.metrics.audit.expect("there is evidence");
    assert!(audit.findings.values().all(|&number| number == 0), "{:?}", audit.findings);
    assert_eq!(audit.label_errors.images, 0.0);
    let text = std::fs::read_to_string(run.report_file("audit.csv")).unwrap();
    assert_eq!(text, "path,finding,label,suggestion,score,evidence\n");
}

#[test]
fn evidence_that_does_not_belong_is_told_and_never_believed() {
    type Spoil = fn(&Run, &mut Evidence);
    let cases: [(&str, Spoil, &str); 6] = [
        ("another data set", |_, evidence| evidence.record.dataset_fingerprint = "else".into(), "an earlier version"),
        ("other classes", |_, evidence| evidence.record.classes[0] = "else".into(), "its classes are not those"),
        (
            "an image less",
            |_, evidence| {
                evidence.images.pop();
            },
            "its images are not those of the test split",
        ),
        (
            "another image",
            |_, evidence| evidence.images.last_mut().unwrap().content = "else".into(),
            "it does not know the test image",
        ),
        ("an image twice", |_, evidence| evidence.images[1].path = evidence.images[0].path.clone(), "an image twice"),
        ("no fold", |_, evidence| evidence.images[0].fold = None, "cannot be used"),
    ];
    for (name, spoil, expected) in cases {
        let run = Run::new(Shape::default());
        run.write_evidence(&mut run.evidence());
        write(&run);
        assert!(run.report_file("audit.csv").exists(), "{name}");
        let mut evidence = run.evidence();
        spoil(&run, &mut evidence);
        if name == "an image less" {
            let last = evidence.images.len();
            for image in &mut evidence.images {
                image.neighbours.retain(|neighbour| neighbour.row < last);
            }
        }
        run.write_evidence(&mut evidence);
        not_believed(&run, name, expected);
    }
    let run = Run::new(Shape::default());
    run.write_evidence(&mut run.evidence());
    std::fs::write(run.pipeline.output.join(AUDIT_DIRECTORY).join(AUDIT_FILE), "{}").unwrap();
    not_believed(&run, "damaged", "cannot be used");
}

#[track_caller]
fn not_believed(run: &Run, name: &str, expected: &str) {
    let written = write(run);
    let note = written.notes.iter().find(|note| note.contains("audit")).unwrap_or_else(|| panic!("{name}"));
    assert!(note.contains(expected) && note.contains("`train` makes it anew"), "{name}: {note}");
    assert_eq!(written.metrics.audit, None, "{name}");
    let text = std::fs::read_to_string(run.report_file("report.md")).unwrap();
    assert!(!text.contains("Audit of the data") && text.contains("The audit is left out"), "{name}: {text}");
    assert!(!run.report_file("audit.csv").exists(), "{name}: an earlier file would be believed");
}

#[test]
fn without_evidence_nothing_is_said() {
    let run = Run::new(Shape::default());
    let written = write(&run);
    assert!(written.metrics.audit.is_none() && !run.report_file("audit.csv").exists());
    assert!(written.notes.iter().all(|note| !note.contains("audit")), "{:?}", written.notes);
}

#[test]
fn the_same_evidence_gives_the_same_bytes() {
    let run = Run::new(Shape::default());
    run.write_evidence(&mut faulty(&run));
    let files = ["metrics.json", "report.md", "report.html", "audit.csv", "figures/audit-wrong-label-1.svg"];
    let read = || files.map(|file| std::fs::read(run.report_file(file)).expect(file));
    write(&run);
    let first = read();
    write(&run);
    assert_eq!(read(), first);
}

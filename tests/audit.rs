//! What is wrong with the data: found, told, corrected, and believed only while it is of these images.

use crate::harness::{Bench, fashion_images};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use train::audit::evidence::{Evidence, FeatureSource};
use train::model::margins;

/// The small pipeline with one picture under two classes and a black one.
fn faulty() -> Bench {
    let bench = Bench::small();
    bench.write("images/bag/a-trouser.png", &fashion_images("trouser")[0].1);
    let mut black = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(28, 28).write_to(&mut black, image::ImageFormat::Png).unwrap();
    bench.write("images/sneaker/black.png", black.into_inner());
    bench
}

/// `path finding` of each row of the list.
fn findings(bench: &Bench) -> Vec<String> {
    let text = fs::read_to_string(bench.path("out/report/audit.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("path,finding,label,suggestion,score,evidence"));
    let cells = lines.map(|line| line.split(',').take(2).collect::<Vec<_>>().join(" "));
    cells.filter(|row| !row.ends_with("wrong-label") && !row.ends_with("outlier")).collect()
}

fn images(bench: &Bench) -> u64 {
    let text = fs::read_to_string(bench.path("out/report/metrics.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["audit"]["images"].as_u64().unwrap()
}

#[test]
fn faults_are_told_corrected_and_silenced() {
    let bench = faulty();
    bench.run_all();
    let original = format!("trouser/{}", fashion_images("trouser")[0].0);
    let both = [format!("{original} duplicate"), "bag/a-trouser.png duplicate".to_owned()];
    let found = findings(&bench);
    assert!(both.iter().all(|row| found.contains(row)), "{found:?}");
    assert!(found.contains(&"sneaker/black.png unusable".to_owned()), "{found:?}");
    assert_eq!(images(&bench), 182);

    // Asked not to, training gathers nothing and leaves what is there.
    fs::remove_dir_all(bench.path("out/audit")).unwrap();
    bench.stage("train", &["--set", "train.audit=false"]).succeeds();
    assert!(!bench.path("out/audit").exists());

    // As it is right after all, and as the list has it.
    let keep = ["--set", "preprocess.corrections=corrections.csv"];
    bench.write("corrections.csv", "path,action\nbag/a-trouser.png,drop\nsneaker/black.png,keep\n");
    for stage in ["preprocess", "train", "report"] {
        bench.stage(stage, &keep).succeeds();
    }
    let found = findings(&bench);
    assert!(!found.iter().any(|row| row.ends_with("duplicate") || row.starts_with("sneaker/black")), "{found:?}");
    assert_eq!(images(&bench), 181);
    assert!(bench.path("images/bag/a-trouser.png").exists(), "the source is left alone");
}

#[test]
fn evidence_of_other_images_is_not_believed_and_made_anew() {
    let bench = faulty();
    bench.run_all();
    let evidence = Evidence::read(&bench.path("out")).unwrap();
    assert_eq!(evidence.record.features, FeatureSource::Trained("small".into()));
    let margins = margins::read(&bench.path("out/models/small")).unwrap();
    let training = evidence.images.iter().filter(|image| image.split.name() == "train");
    let training: BTreeSet<&String> = training.map(|image| &image.path).collect();
    assert_eq!(margins.keys().collect::<BTreeSet<_>>(), training);

    let file = bench.path("out/audit/evidence.parquet");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    bench.stage("report", &[]).succeeds().says("The audit is left out");
    assert!(!bench.path("out/report/audit.csv").exists(), "nothing of before is shown");
    bench.stage("train", &[]).succeeds().says("audit: evidence in");
    assert_eq!(fs::read(&file).unwrap(), whole, "the same to the byte");
    bench.stage("report", &[]).succeeds();
    assert!(bench.path("out/report/audit.csv").exists());

    bench.write("images/bag/one-more.png", &fashion_images("bag")[100].1);
    bench.stage("preprocess", &[]).succeeds();
    bench.stage("train", &[]).succeeds().says("audit: evidence in");
    bench.stage("train", &[]).succeeds().says("audit: up to date");
    assert_eq!(Evidence::read(&bench.path("out")).unwrap().images.len(), evidence.images.len() + 1);
}

//! The report and the gate on a synthetic run.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod fixture;

use fixture::{Run, Shape};
use preprocess::Result;
use preprocess::pipeline::Split;
use preprocess::stage::sealed;
use report::document::{Document, text_table, to_html, to_markdown};
use report::gate::{self, Present};
use report::metrics_file::Metrics;
use report::results::Results;
use report::samples::Picks;
use report::sections::{self, Material};
use std::process::ExitCode;
use train::model::predictions::{Predictions, predictions_file};

fn document(run: &Run) -> Document {
    let results = Results::load(&run.pipeline, false).expect("the fixture is sound");
    let metrics = Metrics::compute(&results);
    let picks = Picks::choose(&results);
    let pictures = picks.as_ref().map(|picks| fixture::pictures(picks.paths(&results))).unwrap_or_default();
    sections::document(&Material {
        results: &results,
        metrics: &metrics,
        picks: picks.as_ref(),
        audit: None,
        pictures: &pictures,
        notes: &[],
    })
}

/// The run's own directory and hashes of Parquet files, which may change with the library, are left out.
fn settled(run: &Run, text: &str) -> String {
    let mut text = text.replace(run.path("").to_str().unwrap(), "/");
    for model in run.pipeline.train.models.keys() {
        for split in [Split::Validation, Split::Test] {
            let file = predictions_file(&run.pipeline.model_dir(model), split);
            let hash = preprocess::stage::fingerprint::of_file(&file).unwrap();
            text = text.replace(&hash, "[hash]");
        }
    }
    text
}

/// The page without its figures and styles.
fn skeleton(html: &str) -> String {
    let mut out = html.to_string();
    for (open, close) in [("<svg", "</svg>"), ("<style>", "</style>")] {
        while let Some(start) = out.find(open) {
            let end = start + out[start..].find(close).unwrap() + close.len();
            out.replace_range(start..end, "[left out]");
        }
    }
    out
}

#[track_caller]
fn message<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("this should have been refused"),
        Err(error) => error.to_string(),
    }
}

fn write(run: &Run) -> Metrics {
    report::run::write(&run.pipeline, false).expect("the fixture is sound").metrics
}

/// Turns the first `wrong` right answers of a model on the test split into wrong ones, and reports anew.
fn spoil(run: &Run, model: &str, wrong: usize) {
    let file = predictions_file(&run.pipeline.model_dir(model), Split::Test);
    let mut predictions = Predictions::read(&file).unwrap();
    for row in predictions.rows.iter_mut().filter(|row| row.prediction == row.label).take(wrong) {
        row.prediction = (row.label + 1) % predictions.classes.len();
        row.probabilities.swap(row.label, row.prediction);
    }
    predictions.write(&file).unwrap();
    run.publish(model, &run.config(model));
    write(run);
}

#[test]
fn markdown_reads_as_approved() {
    let run = Run::new(Shape::default());
    insta::assert_snapshot!(settled(&run, &to_markdown(&document(&run))));
}

#[test]
fn html_is_built_as_approved() {
    let run = Run::new(Shape::default());
    insta::assert_snapshot!(skeleton(&settled(&run, &to_html(&document(&run)))));
}

#[test]
fn html_needs_nothing_but_itself() {
    let html = to_html(&document(&Run::new(Shape::default())));
    for forbidden in ["<script", "<link", "@import", "url(", "<b>bold", "href=\"http", "src=\"http"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    assert!(html.contains("data:image/png;base64,"), "the images are in the page");
}

#[test]
fn figures_are_well_formed() {
    for drawing in document(&Run::new(Shape::default())).drawings() {
        let svg = drawing.figure.to_file();
        let (mut depth, mut rest) = (0i32, svg.as_str());
        while let Some(start) = rest.find('<') {
            let end = start + rest[start..].find('>').expect("every tag is closed");
            let tag = &rest[start + 1..end];
            depth += if tag.starts_with('/') { -1 } else { i32::from(!tag.ends_with('/')) };
            assert!(depth >= 0 && !tag.contains('<'), "{}: {tag}", drawing.name);
            rest = &rest[end + 1..];
        }
        assert_eq!(depth, 0, "{}", drawing.name);
        assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains("var("), "{}", drawing.name);
    }
}

#[test]
fn the_same_results_give_the_same_bytes() {
    let run = Run::new(Shape::default());
    let files = ["metrics.json", "report.md", "report.html", "figures/loss.svg", "confusion-resnet-test.csv"];
    let read = || files.map(|file| std::fs::read(run.report_file(file)).expect(file));
    write(&run);
    let first = read();
    std::fs::write(run.report_file("figures/confusion-other-test.svg"), "somebody else's").unwrap();
    write(&run);
    assert_eq!(read(), first);
    assert!(run.report_file("figures/confusion-other-test.svg").exists(), "others' files stay");
}

#[test]
fn splits_may_be_missing() {
    let cases = [
        ("no test split", 8, 0, Some(Split::Validation)),
        ("no validation split", 0, 8, Some(Split::Test)),
        ("neither", 0, 0, None),
    ];
    for (name, validation, test, judged) in cases {
        let run = Run::new(Shape { validation, test, models: vec![("only", 1.0)], ..Shape::default() });
        assert_eq!(write(&run).judged_split, judged, "{name}");
    }
}

#[test]
fn results_that_do_not_belong_together_are_refused() {
    type Spoil = fn(&Run);
    let cases: [(&str, Spoil, &str); 6] = [
        (
            "not trained",
            |run| std::fs::remove_dir_all(run.pipeline.model_dir("resnet")).unwrap(),
            "the model `resnet` is not trained",
        ),
        (
            "not preprocessed",
            |run| std::fs::remove_dir_all(run.pipeline.shards_dir()).unwrap(),
            "holds no finished data set",
        ),
        (
            "another data set",
            |run| {
                let mut config = run.config("resnet");
                config.dataset_fingerprint = "else".into();
                run.publish("resnet", &config);
            },
            "trained on an earlier version of the data set",
        ),
        (
            "predictions missing",
            |run| std::fs::remove_file(predictions_file(&run.pipeline.model_dir("baseline"), Split::Test)).unwrap(),
            "there are no predictions at",
        ),
        (
            "predictions of other images",
            |run| {
                let predictions = run.predictions(Split::Test, 9, 0, 1.0);
                predictions.write(&predictions_file(&run.pipeline.model_dir("baseline"), Split::Test)).unwrap();
            },
            "it predicts 54 images of the test split, which has 60",
        ),
        (
            "probabilities that are none",
            |run| {
                let mut predictions = run.predictions(Split::Test, 10, 0, 1.0);
                predictions.rows[3].probabilities[0] = f32::NAN;
                predictions.write(&predictions_file(&run.pipeline.model_dir("baseline"), Split::Test)).unwrap();
            },
            "row 3 has a probability that is none",
        ),
    ];
    for (name, spoil, expected) in cases {
        let run = Run::new(Shape::default());
        spoil(&run);
        let error = message(Results::load(&run.pipeline, false));
        assert!(error.contains(expected) && error.contains("hint: run"), "{name}: {error}");
    }
}

#[test]
fn images_that_belong_together_count_as_one() {
    let run = Run::new(Shape::default());
    let single = write(&run).models["resnet"].splits[&Split::Test].clone();
    for model in ["baseline", "resnet"] {
        let file = predictions_file(&run.pipeline.model_dir(model), Split::Test);
        let mut predictions = Predictions::read(&file).unwrap();
        for (index, row) in predictions.rows.iter_mut().enumerate() {
            row.group = index / 5;
        }
        predictions.write(&file).unwrap();
        run.publish(model, &run.config(model));
    }
    let metrics = write(&run);
    let grouped = &metrics.models["resnet"].splits[&Split::Test];
    assert_eq!((grouped.images, grouped.groups, grouped.accuracy), (60, 12, single.accuracy));
    let width = |interval: &report::metrics::Interval| interval.high - interval.low;
    assert!(width(&grouped.accuracy_interval) > width(&single.accuracy_interval));
    let text = to_markdown(&document(&run));
    assert!(text.contains("60 in 12 groups") && text.contains("test split: 60 images in 12 groups"), "{text}");
}

#[test]
fn models_not_yet_trained_may_be_left_out() {
    let run = Run::new(Shape::default());
    std::fs::remove_dir_all(run.pipeline.model_dir("resnet")).unwrap();
    let results = Results::load(&run.pipeline, true).unwrap();
    assert_eq!(results.models.len(), 1);
    assert!(results.notes[0].contains("resnet is not trained yet"), "{:?}", results.notes);
}

#[test]
fn the_gate_tells_small_losses_from_large_ones() {
    // Of 60 test images one is 1.67 points of accuracy. An unchanged model passes; of six the images cannot tell;
    // twenty are enough.
    for (wrong, code, junit) in [
        (0, ExitCode::SUCCESS, "tests=\"2\" failures=\"0\" errors=\"0\" skipped=\"0\""),
        (6, ExitCode::SUCCESS, "<skipped message=\"undecidable: "),
        (20, ExitCode::from(1), "<failure message=\"failed: "),
    ] {
        let run = Run::new(Shape::default());
        write(&run);
        gate::accept(&run.pipeline, None).unwrap();
        spoil(&run, "resnet", wrong);
        let outcome = gate::check(&run.pipeline);
        let got = outcome.as_ref().err().map_or(ExitCode::SUCCESS, |error| error.exit_code());
        assert_eq!(got, code, "{wrong} more wrong: {outcome:?}");
        let text = std::fs::read_to_string(run.report_file("junit.xml")).unwrap();
        assert!(text.contains(junit), "{wrong} more wrong: {text}");
    }
}

#[test]
fn the_gates_table_reads_as_approved() {
    let run = Run::new(Shape::default());
    write(&run);
    gate::accept(&run.pipeline, None).unwrap();
    spoil(&run, "resnet", 12);
    let gate = run.pipeline.report.gate.as_ref().unwrap();
    let now = Present::of(&gate::verified_results(&run.pipeline, None).unwrap()).unwrap();
    let comparison = gate::compare(&gate::read_baseline(&gate.baseline).unwrap(), &now, gate).unwrap();
    insta::assert_snapshot!(text_table(&gate::table(&comparison)));
}

#[test]
fn baselines_that_cannot_be_compared_are_refused() {
    type Change = fn(&mut serde_json::Value);
    let cases: [(&str, Change, &str); 5] = [
        ("another pipeline", |b| b["pipeline"] = "else".into(), "it is of the pipeline `else`"),
        ("another split", |b| b["split"] = "validation".into(), "on the validation split, not on test"),
        ("another format", |b| b["format"] = 3.into(), "it has format 3, not 2"),
        ("no such key", |b| b["surprise"] = 1.into(), "unknown field `surprise`"),
        (
            "a model more",
            |b| {
                let model = b["models"]["resnet"].clone();
                b["models"]["other"] = model;
            },
            "the model `other` of the baseline is missing from the results",
        ),
    ];
    let run = Run::new(Shape::default());
    write(&run);
    gate::accept(&run.pipeline, None).unwrap();
    let file = &run.pipeline.report.gate.as_ref().unwrap().baseline;
    let good = std::fs::read_to_string(file).unwrap();
    for (name, change, expected) in cases {
        let mut baseline = serde_json::from_str(&sealed::unseal(&good).unwrap()).unwrap();
        change(&mut baseline);
        std::fs::write(file, sealed::seal(&serde_json::to_string_pretty(&baseline).unwrap()).unwrap()).unwrap();
        let error = message(gate::check(&run.pipeline));
        assert!(error.contains(expected) && error.contains("report accept"), "{name}: {error}");
    }
    std::fs::remove_file(file).unwrap();
    assert!(message(gate::check(&run.pipeline)).contains("there is no baseline at"));
}

#[test]
fn a_report_older_than_its_predictions_is_refused() {
    let run = Run::new(Shape::default());
    assert!(message(gate::accept(&run.pipeline, None)).contains("there is no report at"));
    write(&run);
    gate::accept(&run.pipeline, None).unwrap();
    let file = predictions_file(&run.pipeline.model_dir("resnet"), Split::Test);
    run.predictions(Split::Test, 10, 5, 0.1).write(&file).unwrap();
    run.publish("resnet", &run.config("resnet"));
    for outcome in [gate::check(&run.pipeline), gate::accept(&run.pipeline, None)] {
        let error = message(outcome);
        assert!(error.contains("is out of date") && error.contains("hint: run `train` and `report`"), "{error}");
    }
}

#[test]
fn a_pipeline_without_a_gate_says_how_to_add_one() {
    let mut run = Run::new(Shape::default());
    run.pipeline.report.gate = None;
    let error = message(gate::check(&run.pipeline));
    assert!(error.contains("has no gate") && error.contains("baselines/fixture.json"), "{error}");
}

/// The program itself: exit codes, and the summary for GitHub.
#[test]
fn the_program_ends_with_its_verdict() {
    let run = Run::new(Shape::default());
    let summary = run.path("summary.md");
    let program = |arguments: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_report"))
            .args(arguments)
            .arg("--pipeline")
            .arg(run.path("pipeline.yaml"))
            .env("GITHUB_STEP_SUMMARY", &summary)
            .output()
            .unwrap()
    };
    type Step<'a> = (&'a str, &'a [&'a str], i32, &'a str);
    let steps: [Step; 8] = [
        ("check before the report", &["check"], 2, "there is no report at"),
        ("report", &[], 0, "report.html"),
        ("check before accept", &["check"], 2, "there is no baseline at"),
        ("accept", &["accept"], 0, "no baseline before"),
        ("accept again", &["accept"], 0, "is these results already"),
        ("check", &["check"], 0, "gate passed"),
        ("unknown option", &["--colour"], 2, "unexpected argument"),
        ("options before the command", &["--allow-missing", "check"], 2, "cannot be used with"),
    ];
    let follow = |steps: &[Step]| {
        for (name, arguments, code, text) in steps {
            let output = program(arguments);
            let all = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(*code), "{name}: {all}");
            assert!(all.contains(text), "{name}: {all}");
        }
    };
    follow(&steps);
    follow(&[("accept one model", &["accept", "--model", "resnet"], 0, "is these results already")]);
    spoil(&run, "baseline", 5);
    follow(&[("check after a small loss", &["check"], 0, "gate UNDECIDABLE: baseline: accuracy")]);
    spoil(&run, "baseline", 17);
    follow(&[("check after a loss", &["check"], 1, "gate failed: baseline: accuracy")]);
    let summary = std::fs::read_to_string(summary).unwrap();
    for verdict in ["passed", "undecidable", "failed"] {
        assert!(summary.contains(&format!("fixture: {verdict}")), "{verdict}: {summary}");
    }
}

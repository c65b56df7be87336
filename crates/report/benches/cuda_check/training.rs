//! The shipped data set trained on the GPU and on the processor: as good on both, and each model the same on the other
//! device.

use crate::command::{program, run_well};
use crate::findings::Findings;
use crate::{Setup, command};
use preprocess::pipeline::Pipeline;
use preprocess::stage::error::Context;
use preprocess::{Error, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Instant;

const PIPELINE: &str = "pipelines/fashion-mnist.yaml";
const MODELS: [&str; 2] = ["baseline", "resnet"];
const DEVICES: [&str; 2] = ["cuda", "cpu"];

/// By how much a model's accuracy on all images may differ between devices: 3 of 3,000, whose best classes are as good
/// as equal.
const SAME: f64 = 0.001;

/// Images of each class that the emulator gets by with.
const FEW: usize = 24;

pub fn both_devices(setup: &Setup, findings: &mut Findings) -> Result<()> {
    let directory = tempfile::tempdir().context(|| "cannot create a temporary directory".to_owned())?;
    let trainings = Trainings::new(setup, directory.path())?;
    for device in DEVICES {
        trainings.run(device, findings)?;
    }
    trainings.compare(findings)?;
    for model in MODELS {
        for device in DEVICES {
            trainings.exchange(model, device, findings)?;
        }
    }
    trainings.gate(findings)
}

struct Trainings<'a> {
    setup: &'a Setup,
    /// A directory below it for every device's output.
    output: PathBuf,
    source: PathBuf,
    /// Settings beside the pipeline file's.
    settings: Vec<String>,
    tolerance: f64,
}

impl<'a> Trainings<'a> {
    fn new(setup: &'a Setup, output: &Path) -> Result<Self> {
        let pipeline = Pipeline::load(&setup.root.join(PIPELINE), &[])?;
        let gate = pipeline.report.gate.ok_or_else(|| Error::new(format!("`{PIPELINE}` has no gate")))?;
        let (mut source, mut settings) = (setup.root.join("data/fashion-mnist"), Vec::new());
        if setup.gpu.is_emulated() {
            source = some_images(&source, output)?;
            settings = MODELS.map(|model| format!("train.models.{model}.epochs=1")).to_vec();
            settings.push(format!("preprocess.source={}", source.display()));
        }
        Ok(Self { setup, output: output.to_owned(), source, settings, tolerance: gate.tolerance })
    }

    /// The three stages, training on one device.
    fn run(&self, device: &str, findings: &mut Findings) -> Result<()> {
        let started = Instant::now();
        for stage in ["preprocess", "train", "report"] {
            let mut command = program(stage);
            command.args(["--pipeline", PIPELINE]).args(self.overrides(device));
            if stage == "train" {
                command.args(["--device", device]);
            }
            run_well(self.setup, &format!("{stage}-{device}"), &mut command)?;
        }
        findings.note(format!("{PIPELINE} on {device}"), format!("{:.1} s", started.elapsed().as_secs_f64()));
        Ok(())
    }

    fn overrides(&self, device: &str) -> Vec<String> {
        let output = format!("output={}", self.output.join(device).display());
        self.settings.iter().chain([&output]).flat_map(|setting| ["--set".to_owned(), setting.clone()]).collect()
    }

    /// Accuracies of both trainings.
    fn compare(&self, findings: &mut Findings) -> Result<()> {
        let metrics = |device| metrics(&self.output.join(device));
        let (cuda, cpu) = (metrics("cuda")?, metrics("cpu")?);
        for model in MODELS {
            let (cuda, cpu) = (test_accuracy(&cuda, model)?, test_accuracy(&cpu, model)?);
            let measured = format!("{} on cuda, {} on cpu", percent(cuda), percent(cpu));
            let goal = format!("at most {} less", percent(self.tolerance));
            findings.judge(cuda >= cpu - self.tolerance, format!("{model}, test accuracy"), measured, goal);
        }
        Ok(())
    }

    /// A model trained on `device`, used on both.
    fn exchange(&self, model: &str, device: &str, findings: &mut Findings) -> Result<()> {
        let mut accuracies = Vec::new();
        for on in DEVICES {
            let mut command = program("train");
            command.arg("evaluate").arg("--model").arg(self.output.join(device).join("models").join(model));
            command.arg("--images").arg(&self.source).args(["--format", "json", "--device", on]);
            let text = run_well(self.setup, &format!("evaluate-{model}-of-{device}-on-{on}"), &mut command)?;
            let scores: Value = serde_json::from_str(&text).context(|| "cannot read the scores".to_owned())?;
            accuracies.push(scores["accuracy"].as_f64().ok_or_else(|| Error::new("the scores have no accuracy"))?);
        }
        let measured = format!("{} on cuda, {} on cpu", percent(accuracies[0]), percent(accuracies[1]));
        let what = format!("{model} trained on {device}, all images");
        let is_same = (accuracies[0] - accuracies[1]).abs() <= SAME;
        findings.judge(is_same, what, measured, format!("within {}", percent(SAME)));
        Ok(())
    }

    /// The committed baseline's verdict on the GPU's models.
    fn gate(&self, findings: &mut Findings) -> Result<()> {
        let what = "the gate of the models trained on cuda (`report check`)";
        if self.setup.gpu.is_emulated() {
            findings.not_run(what, "the baseline is of all images and epochs");
            return Ok(());
        }
        let mut check = program("report");
        check.args(["check", "--pipeline", PIPELINE]).args(self.overrides("cuda"));
        let written = command::run(self.setup, "gate", &mut check)?;
        let verdict = if written.succeeded { "not failed" } else { "failed, see gate.log" };
        findings.judge(written.succeeded, what, verdict, "not failed");
        Ok(())
    }
}

/// The first images of two classes, copied.
fn some_images(source: &Path, below: &Path) -> Result<PathBuf> {
    let target = below.join("images");
    for class in ["bag", "trouser"] {
        let cannot = || format!("cannot copy images of `{}`", source.join(class).display());
        std::fs::create_dir_all(target.join(class)).context(cannot)?;
        let entries = std::fs::read_dir(source.join(class)).context(cannot)?;
        let mut files = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().context(cannot)?;
        files.sort();
        for file in files.iter().take(FEW) {
            let copy = target.join(class).join(file.file_name().unwrap_or_default());
            std::fs::copy(file, copy).context(cannot)?;
        }
    }
    Ok(target)
}

/// The report's figures.
///
/// # Errors
/// There is no report.
pub fn metrics(output: &Path) -> Result<Value> {
    let file = output.join("report/metrics.json");
    let text = std::fs::read_to_string(&file).context(|| format!("cannot read `{}`", file.display()))?;
    serde_json::from_str(&text).context(|| format!("cannot read `{}`", file.display()))
}

/// A model's accuracy on the test split.
///
/// # Errors
/// The report does not know it.
pub fn test_accuracy(metrics: &Value, model: &str) -> Result<f64> {
    let accuracy = metrics["models"][model]["splits"]["test"]["accuracy"].as_f64();
    accuracy.ok_or_else(|| Error::new(format!("the report has no test accuracy of `{model}`")))
}

/// `92.8 %`.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

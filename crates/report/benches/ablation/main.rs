//! `make ablation`: what each part of a recipe gives. The models of `pipelines/ablation/*.yaml`, each trained from
//! several seeds, on splits of those seeds; a table of the test splits' scores at the end.
//!
//! `TRASHNET=DIR` and `SIMPSONS=DIR` hold class directories (data/trashnet and data/simpsons unless given), `WEIGHTS` is what the
//! tuned models begin with; `ONLY='trashnet uneven'` runs some of the files, `SEEDS='1 2 3'` says which seeds, `DEVICE` what to
//! train on. Everything lies below `runs/ablation`: what is finished there is not done again, what was interrupted goes on.

// The modules of the other benchmarks have more than this one needs.
#[path = "../shared/mod.rs"]
mod shared;

mod uneven;

use preprocess::stage::error::Context;
use preprocess::{Error, Result};
use serde_json::Value;
use shared::machine;
use shared::sections::Sections;
use shared::table::Table;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// A pipeline file, and what its images are.
struct Set {
    name: &'static str,
    images: Images,
}

#[derive(Clone, Copy)]
enum Images {
    Trashnet,
    Simpsons,
    /// Trashnet's, split, the training images of the classes thinned out.
    Uneven,
}

const SETS: [Set; 6] = [
    Set { name: "trashnet", images: Images::Trashnet },
    Set { name: "trashnet-tuned", images: Images::Trashnet },
    Set { name: "simpsons", images: Images::Simpsons },
    Set { name: "simpsons-tuned", images: Images::Simpsons },
    Set { name: "uneven", images: Images::Uneven },
    Set { name: "uneven-tuned", images: Images::Uneven },
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<()> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::set_current_dir(&root).context(|| format!("cannot enter `{}`", root.display()))?;
    let sections = Sections::from_environment(&SETS.map(|set| set.name))?;
    let seeds = seeds()?;
    for set in SETS.iter().filter(|set| sections.want(set.name)) {
        let runs = seeds.iter().map(|&seed| Run::new(set, seed)).collect::<Result<Vec<_>>>()?;
        runs.iter().try_for_each(Run::make)?;
        println!("\n{} ({}), seeds {seeds:?}:\n", set.name, runs[0].file.display());
        table(&runs)?.print();
    }
    println!("\n{}.", machine::describe());
    Ok(())
}

fn seeds() -> Result<Vec<u64>> {
    let given = std::env::var("SEEDS").unwrap_or_default();
    let seeds: std::result::Result<Vec<u64>, _> = given.split_whitespace().map(str::parse).collect();
    match seeds {
        Ok(seeds) if !seeds.is_empty() => Ok(seeds),
        Ok(_) => Ok(vec![1, 2, 3]),
        Err(error) => Err(Error::new(format!("`SEEDS` is `{given}`"))
            .because(error.to_string())
            .hint("give whole numbers, as SEEDS='1 2 3'")),
    }
}

/// A variable of the environment, or its default.
fn given(name: &str, default: &str) -> String {
    std::env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
}

/// One pipeline file with one seed.
struct Run {
    file: PathBuf,
    output: PathBuf,
    settings: Vec<String>,
}

impl Run {
    fn new(set: &Set, seed: u64) -> Result<Self> {
        let file = Path::new("pipelines/ablation").join(set.name).with_extension("yaml");
        let output = Path::new("runs/ablation").join(format!("{}-{seed}", set.name));
        let trashnet = given("TRASHNET", "data/trashnet");
        let source = match set.images {
            Images::Trashnet => trashnet,
            Images::Simpsons => given("SIMPSONS", "data/simpsons"),
            Images::Uneven => {
                let target = Path::new("runs/ablation").join(format!("uneven-images-{seed}"));
                uneven::make(Path::new(&trashnet), &target, seed)?;
                target.display().to_string()
            }
        };
        let settings = vec![
            format!("output={}", output.display()),
            format!("preprocess.source={source}"),
            format!("preprocess.split.seed={seed}"),
            format!("train.seed={seed}"),
        ];
        Ok(Self { file, output, settings })
    }

    /// The three stages. What is up to date costs nothing.
    fn make(&self) -> Result<()> {
        let weights = std::env::var("WEIGHTS").unwrap_or_default();
        for program in ["preprocess", "train", "report"] {
            eprintln!("== {program}, {}", self.output.display());
            let binary = Path::new(env!("CARGO_BIN_EXE_report")).with_file_name(program);
            let mut command = Command::new(&binary);
            command.arg("--pipeline").arg(&self.file).stdin(Stdio::null()).stdout(Stdio::null());
            let pretrained = self.pretrained_models()?.into_iter().filter(|_| !weights.is_empty());
            let pretrained = pretrained.map(|model| format!("train.models.{model}.pretrained={weights}"));
            for setting in self.settings.iter().cloned().chain(pretrained) {
                command.args(["--set", &setting]);
            }
            if program == "train" {
                command.args(["--device", &given("DEVICE", "auto")]);
            }
            let status = command.status().context(|| format!("cannot start `{}`", binary.display()))?;
            if !status.success() {
                return Err(Error::new(format!("`{program}` failed on `{}`", self.file.display()))
                    .hint("what is finished is kept: run `make ablation` again"));
            }
        }
        Ok(())
    }

    /// The models of the file that begin with weights.
    fn pretrained_models(&self) -> Result<Vec<String>> {
        let pipeline = preprocess::pipeline::Pipeline::load(&self.file, &[])?;
        let models = pipeline.train.models.into_iter().filter(|(_, model)| model.pretrained.is_some());
        Ok(models.map(|(name, _)| name).collect())
    }

    /// The report's figures.
    fn metrics(&self) -> Result<Value> {
        let file = self.output.join("report/metrics.json");
        let text = std::fs::read_to_string(&file).context(|| format!("cannot read `{}`", file.display()))?;
        serde_json::from_str(&text).context(|| format!("cannot read `{}`", file.display()))
    }
}

/// A row a model: mean and deviation over the seeds of each score, and how much better the accuracy is than the first
/// model's, seed by seed.
fn table(runs: &[Run]) -> Result<Table> {
    let metrics = runs.iter().map(Run::metrics).collect::<Result<Vec<_>>>()?;
    let models: Vec<String> =
        metrics[0]["models"].as_object().map(|models| models.keys().cloned().collect()).unwrap_or_default();
    let scores = |model: &str, path: &str| -> Result<Vec<f64>> {
        let of = |metrics: &Value| metrics["models"][model]["splits"]["test"].pointer(path).and_then(Value::as_f64);
        let found: Option<Vec<f64>> = metrics.iter().map(of).collect();
        found.ok_or_else(|| Error::new(format!("a report has no test score of `{model}`")))
    };
    let mut table =
        Table::new(&["model", ">accuracy", ">± over seeds", ">better than the first", ">macro recall", ">loss"]);
    for model in &models {
        let accuracies = scores(model, "/accuracy")?;
        let first = scores(&models[0], "/accuracy")?;
        let gains: Vec<f64> = accuracies.iter().zip(&first).map(|(ours, first)| ours - first).collect();
        let ((accuracy, spread), (gain, of_gain)) = (moments(&accuracies), moments(&gains));
        let gain = if *model == models[0] {
            "–".to_owned()
        } else {
            format!("{:+.2} ± {:.2}", 100.0 * gain, 100.0 * of_gain)
        };
        table.row(vec![
            model.clone(),
            format!("{:.2} %", 100.0 * accuracy),
            format!("{:.2}", 100.0 * spread),
            gain,
            format!("{:.2} %", 100.0 * moments(&scores(model, "/macro_average/recall")?).0),
            format!("{:.3}", moments(&scores(model, "/loss")?).0),
        ]);
    }
    Ok(table)
}

/// Mean and standard deviation (of a sample).
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

//! A directory with drawn images, a pipeline file and finished shards, on which the `train` binary is run.

use preprocess::pipeline::Pipeline;
use preprocess::stage::random;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

pub const CLASSES: [&str; 3] = ["bottom", "left", "top right"];
pub const IMAGES_PER_CLASS: usize = 16;
/// Pixels.
const SIDE: usize = 24;

/// A run's directory with images, a pipeline file and finished shards.
pub struct Run {
    directory: TempDir,
}

impl Run {
    pub fn new() -> Self {
        let run = Self { directory: tempfile::tempdir().unwrap() };
        for (label, class) in CLASSES.iter().enumerate() {
            fs::create_dir_all(run.path("images").join(class)).unwrap();
            for number in 0..IMAGES_PER_CLASS {
                fs::write(run.path("images").join(class).join(format!("{number}.ppm")), image(label, number)).unwrap();
            }
        }
        let source = run.path("images");
        fs::write(
            run.path("pipeline.yaml"),
            format!(
                "name: small\n\
                 output: {}\n\
                 preprocess:\n  source: {}\n  image: {{ width: {SIDE}, height: {SIDE} }}\n  \
                 split: {{ validation: 0.25, test: 0.25, near_duplicates: ignore }}\n  \
                 augment: {{ copies: 2, shift: [0.1, 0.1] }}\n\
                 train:\n  batch_size: 7\n  models:\n    \
                 plain: {{ architecture: baseline-cnn, epochs: 5 }}\n    \
                 residual: {{ architecture: resnet, augmented: true, epochs: 3, early_stopping: {{ patience: 9 }} }}\n",
                run.path("out").display(),
                source.display()
            ),
        )
        .unwrap();
        preprocess::run::run(&Pipeline::load(&run.path("pipeline.yaml"), &[]).unwrap()).unwrap();
        run
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn model(&self, name: &str) -> PathBuf {
        self.path("out/models").join(name)
    }

    /// `train COMMAND… --pipeline FILE`, not yet started.
    pub fn train(&self, arguments: &[&str]) -> Command {
        let mut command = train();
        command.args(arguments).arg("--pipeline").arg(self.path("pipeline.yaml"));
        command
    }
}

pub fn train() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_train"));
    command.stdin(Stdio::null());
    command
}

/// Dark noise with a brighter half (the class), as a binary PPM.
pub fn image(label: usize, number: usize) -> Vec<u8> {
    let mut noise = random::stream(number as u64, "image", &[&[label as u8]]);
    let mut bytes = format!("P6 {SIDE} {SIDE} 255\n").into_bytes();
    for pixel in 0..SIDE * SIDE {
        let (x, y) = (pixel % SIDE, pixel / SIDE);
        let is_bright = [y >= SIDE / 2, x < SIDE / 2, x > y][label];
        bytes.extend((0..3).map(|_| noise.below(if is_bright { 256 } else { 100 }) as u8));
    }
    bytes
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs to the end and returns stdout.
#[track_caller]
pub fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {status}\n{}\n{}", text(&stdout), text(&stderr));
    text(&stdout)
}

/// Runs to an error and returns stderr.
#[track_caller]
pub fn fail(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert_eq!(status.code(), Some(2), "{command:?}\n{}\n{}", text(&stdout), text(&stderr));
    text(&stderr)
}

/// All files that must not differ between two runs of the same settings.
pub fn results(model: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let names = ["model.safetensors", "history.csv", "predictions-validation.parquet", "predictions-test.parquet"];
    names.into_iter().map(|name| (name, fs::read(model.join(name)).unwrap())).collect()
}

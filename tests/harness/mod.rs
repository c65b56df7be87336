//! A temporary working directory with images and a pipeline file, and the three binaries to run in it. A failed
//! expectation prints the command, its exit code and everything it wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A temporary directory that one test works in.
pub struct Bench {
    directory: tempfile::TempDir,
}

/// What a finished command left.
pub struct Finished {
    command: String,
    /// Exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Bench {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    /// A path below the working directory.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(relative)
    }

    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().expect("a file below the working directory")).expect("its directory");
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// Copies the first `images` images of each named Fashion-MNIST class to `<source>/<class>/`.
    pub fn fashion(&self, source: &str, classes: &[&str], images: usize) {
        for class in classes {
            for (name, bytes) in fashion_images(class).into_iter().take(images) {
                self.write(&format!("{source}/{class}/{name}"), bytes);
            }
        }
    }

    /// Writes `pipeline.yaml`: three Fashion-MNIST-sized stages with output in `out`; `extra` replaces whole sections.
    pub fn pipeline(&self, preprocess: &str, train: &str, report: &str) {
        let indent = |text: &str| text.lines().map(|line| format!("  {line}\n")).collect::<String>();
        let text = format!(
            "name: test\noutput: out\npreprocess:\n{}train:\n{}{}",
            indent(preprocess),
            indent(train),
            if report.is_empty() { String::new() } else { format!("report:\n{}", indent(report)) }
        );
        self.write("pipeline.yaml", text);
    }

    /// Three classes of 60 images, one small model, two epochs.
    pub fn small() -> Self {
        let bench = Self::new();
        bench.fashion("images", &["trouser", "bag", "sneaker"], 60);
        bench.pipeline(SMALL_PREPROCESS, SMALL_TRAIN, "gate: { baseline: baseline.json }");
        bench
    }

    /// `stage --pipeline pipeline.yaml <arguments>` for a subcommand-less call.
    pub fn stage(&self, stage: &str, arguments: &[&str]) -> Finished {
        let mut all = vec!["--pipeline", "pipeline.yaml"];
        all.extend_from_slice(arguments);
        self.run(stage, &all)
    }

    /// Runs a binary to its end.
    pub fn run(&self, stage: &str, arguments: &[&str]) -> Finished {
        let output = self.command(stage, arguments).output().expect("the binary starts");
        Finished::new(format!("{stage} {}", arguments.join(" ")), output)
    }

    /// Runs a binary to its end with these variables in its environment.
    pub fn run_with(&self, environment: &[(&str, &str)], stage: &str, arguments: &[&str]) -> Finished {
        let mut command = self.command(stage, arguments);
        command.envs(environment.iter().copied());
        Finished::new(
            format!("{environment:?} {stage} {}", arguments.join(" ")),
            command.output().expect("the binary starts"),
        )
    }

    /// Starts a binary and lets it run.
    pub fn start(&self, stage: &str, arguments: &[&str]) -> Child {
        self.command(stage, arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts")
    }

    fn command(&self, stage: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary(stage));
        command.args(arguments).current_dir(self.directory.path()).stdin(Stdio::null());
        command.env_remove("GITHUB_STEP_SUMMARY");
        command
    }

    /// Runs all three stages, each of which must end well.
    pub fn run_all(&self) {
        for stage in ["preprocess", "train", "report"] {
            self.stage(stage, &[]).succeeds();
        }
    }

    /// Every file below `relative` with its bytes, by name relative to it. Hidden ones (locks, bookkeeping with times
    /// of modification) are not part of the output and left out.
    pub fn files(&self, relative: &str) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        collect_files(&self.path(relative), "", &mut found);
        found
    }
}

pub const SMALL_PREPROCESS: &str = "source: images
image: { width: 28, height: 28 }
split: { validation: 0.2, test: 0.2, seed: 1 }
augment: { copies: 2, rotation: 10, shift: [0.1, 0.1], zoom: 0.1, horizontal_flip: true }";

pub const SMALL_TRAIN: &str = "batch_size: 16
device: cpu
models:
  small: { architecture: resnet, augmented: true, epochs: 2 }";

impl Finished {
    fn new(command: String, output: Output) -> Self {
        Self {
            command,
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.ends_with(0)
    }

    /// Ends with exit code 2, no panic, and an error that holds all of `words`.
    #[track_caller]
    pub fn fails_naming(self, words: &[&str]) -> Self {
        let finished = self.ends_with(2);
        for word in words {
            assert!(finished.stderr.contains(word), "the error does not mention `{word}`\n{finished}");
        }
        assert!(finished.stderr.contains("error: "), "no error was printed\n{finished}");
        finished
    }

    #[track_caller]
    pub fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "another exit code\n{self}");
        assert!(!self.stderr.contains("panicked"), "it panicked\n{self}");
        self
    }

    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(self.stdout.contains(words) || self.stderr.contains(words), "nothing says `{words}`\n{self}");
        self
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "$ {}\nexit code: {:?}", self.command, self.code)?;
        writeln!(f, "--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr)
    }
}

/// The images of one shipped class: file name and bytes, in order.
pub fn fashion_images(class: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/fashion-mnist").join(class);
    let mut images: Vec<_> = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("a directory entry").path())
        .map(|path| {
            (path.file_name().expect("a name").to_string_lossy().into_owned(), std::fs::read(&path).expect("an image"))
        })
        .collect();
    images.sort();
    images
}

/// The binary of a stage, which `cargo build --release` puts beside the report's.
fn binary(stage: &str) -> PathBuf {
    let path =
        Path::new(env!("CARGO_BIN_EXE_report")).with_file_name(stage).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "{} is not built: run the tests with `make test`", path.display());
    path
}

fn collect_files(directory: &Path, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries {
        let path = entry.expect("a directory entry").path();
        let name = format!("{prefix}{}", path.file_name().expect("a name").to_string_lossy());
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        if path.is_dir() {
            collect_files(&path, &format!("{name}/"), found);
        } else {
            found.insert(name, std::fs::read(&path).expect("a file"));
        }
    }
}

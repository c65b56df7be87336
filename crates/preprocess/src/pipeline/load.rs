//! From a pipeline file and `--set` to checked settings.

use super::lines::Lines;
use super::problem::KeyPath;
use super::settings::Pipeline;
use super::sources::Sources;
use super::{check, merge, overrides, reader};
use crate::stage::error::Context;
use crate::stage::{interrupt, names};
use crate::{Error, ErrorKind, Result};
use serde_yaml::Value;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes of a pipeline file: what is larger is something else, given by mistake.
const MAXIMUM_BYTES: u64 = 256 * 1024;

/// Bytes of a text that any parser is done with at once.
const SHORT: usize = 4096;

impl Pipeline {
    /// Reads `file`, applies `overrides` (`key.path=value`, as given to `--set`) and refuses unknown keys, wrong types
    /// and impossible values with the key's path, its line and the nearest valid key.
    ///
    /// # Errors
    /// The file cannot be read or is no YAML; or all that is wrong with it, in one error.
    pub fn load(file: &Path, overrides: &[String]) -> Result<Self> {
        Self::of_text(&read_text(file)?, file, overrides)
    }

    /// The same of a file's content; `file` is named in errors.
    pub(crate) fn of_text(text: &str, file: &Path, overrides: &[String]) -> Result<Self> {
        let mut sources = Sources { file, lines: Lines::index(text), overrides: Vec::new() };
        let mut document = parse(text, &sources)?;
        let mut problems = Vec::new();
        merge::apply(&mut document, &KeyPath::default(), &mut problems);
        for given in overrides {
            sources.overrides.push(overrides::apply(&mut document, given)?);
        }
        let names_output = document.get("output").is_some();
        let (pipeline, mismatches) = reader::read::<Self>(document);
        problems.extend(mismatches);
        let Some(mut pipeline) = pipeline else { return Err(sources.error(problems)) };
        if !names_output {
            pipeline.output = PathBuf::from("runs").join(&pipeline.name);
        }
        problems.extend(check::values(&pipeline));
        if problems.is_empty() {
            problems = check::combinations(&pipeline);
        }
        if problems.is_empty() { Ok(pipeline) } else { Err(sources.error(problems)) }
    }
}

fn read_text(file: &Path) -> Result<String> {
    let about = || format!("cannot read the pipeline file `{}`", names::path(file));
    if file.is_dir() {
        return Err(Error::new(about())
            .of_kind(ErrorKind::Settings)
            .because("it is a directory")
            .hint("name the YAML file inside it"));
    }
    let bytes = read_bytes(file).context(about).map_err(|error| {
        let error = names::relative_to(file).into_iter().fold(error, Error::because);
        error.hint("name a pipeline file with `--pipeline FILE`; `pipelines/` holds some")
    })?;
    if bytes.len() as u64 > MAXIMUM_BYTES {
        return Err(Error::new(about())
            .of_kind(ErrorKind::Settings)
            .because(format!("it is larger than {MAXIMUM_BYTES} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count();
        Error::new(about())
            .of_kind(ErrorKind::Settings)
            .because(format!("line {line} is not UTF-8 text"))
            .hint("save the file as UTF-8")
    })?;
    // Some editors put a byte order mark first.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The file's first bytes, one more than there may be. It may be a pipe (`--pipeline <(…)`), which is read as long as
/// somebody writes; one that nobody has opened for writing is empty.
fn read_bytes(file: &Path) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let mut open = options.open(file)?.take(MAXIMUM_BYTES + 1);
    let mut bytes = Vec::new();
    loop {
        match open.read_to_end(&mut bytes) {
            // What has been read so far stays in `bytes`.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !interrupt::requested() => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(error),
            Ok(_) => return Ok(bytes),
        }
    }
}

fn parse(text: &str, sources: &Sources<'_>) -> Result<Value> {
    let file = sources.file.display();
    if !sources.lines.duplicates.is_empty() {
        return Err(sources.error(sources.lines.duplicates.clone()));
    }
    let settings = |message: String| Error::new(message).of_kind(ErrorKind::Settings);
    let invalid = |place: String| settings(format!("the pipeline file `{file}` is not valid YAML{place}"));
    if let Some((reason, line)) = &sources.lines.refusal {
        // The other parser's words are better, and its work on a short text without aliases has an end.
        let short = text.len() <= SHORT && !text.contains('*');
        let error = if short { serde_yaml::from_str::<Value>(text).err() } else { None };
        if error.is_none() {
            return Err(invalid(format!(" (line {line})"))
                .because(reason.as_str())
                .hint("check the brackets, the aliases (`*name`) and the indentation around that line"));
        }
    }
    let document: Value = serde_yaml::from_str(text).map_err(|error| {
        let place = error.location().map(|at| format!(" (line {})", at.line())).unwrap_or_default();
        let hint = if text.lines().any(|line| line.trim_start_matches(' ').starts_with('\t')) {
            "indent with spaces: YAML does not allow tabs"
        } else {
            "check the indentation, the colons (`key: value`) and the brackets around that line"
        };
        let text = error.to_string();
        match text.split_once(": invalid type: integer `") {
            // YAML has no end of numbers; its reader has.
            Some((key, _)) if text.contains("` as u128") || text.contains("` as i128") => {
                settings(format!("`{key}` in the pipeline file `{file}` is beyond all numbers{place}"))
                    .because("whole numbers end at 18446744073709551615")
                    .hint("docs/pipeline-file.md says what each key may be")
            }
            _ => invalid(place).caused_by(error).hint(hint),
        }
    })?;
    if document.is_null() {
        return Err(settings(format!("the pipeline file `{file}` is empty"))
            .hint("it needs `name`, `preprocess.source` and `train.models` at least; see docs/pipeline-file.md"));
    }
    Ok(document)
}

//! Where a pipeline's settings came from, and how problems are told with it: by the file's lines and the overrides.

use super::lines::Lines;
use super::overrides::Override;
use super::problem::{KeyPath, Problem, choice};
use crate::{Error, ErrorKind};
use std::path::Path;

/// Problems that one error tells; of more it gives the number.
const SHOWN: usize = 20;

/// Where the settings came from, to say it of a problem.
pub(crate) struct Sources<'a> {
    /// The pipeline file.
    pub file: &'a Path,
    /// Where its keys are.
    pub lines: Lines,
    /// What was put over it, in order.
    pub overrides: Vec<Override>,
}

impl Sources<'_> {
    /// One error that tells all problems in the order of their lines, those of overrides last. There must be one at
    /// least.
    pub(crate) fn error(&self, mut problems: Vec<Problem>) -> Error {
        problems.sort_by_key(|problem| match self.place(&problem.at) {
            Place::File => 0,
            Place::Line(line) => line,
            Place::Override(_) => usize::MAX,
        });
        if let [problem] = problems.as_slice() {
            let place = match self.place(&problem.at) {
                Place::File => format!("{}", self.file.display()),
                Place::Line(line) => format!("{}, line {line}", self.file.display()),
                Place::Override(given) => given,
            };
            let error = Error::new(format!("{} ({place})", problem.what)).of_kind(ErrorKind::Settings);
            return match self.hint(problem) {
                Some(hint) => error.hint(hint),
                None => error,
            };
        }
        let overrides = if self.overrides.is_empty() { "" } else { " with its overrides" };
        let (file, count) = (self.file.display(), problems.len());
        let mut error = Error::new(format!("the pipeline file `{file}`{overrides} has {count} problems"))
            .of_kind(ErrorKind::Settings);
        for problem in problems.iter().take(SHOWN) {
            let place = match self.place(&problem.at) {
                Place::File => String::new(),
                Place::Line(line) => format!("line {line}: "),
                Place::Override(given) => format!("{given}: "),
            };
            let hint = self.hint(problem).map(|hint| format!("; {hint}")).unwrap_or_default();
            error = error.because(format!("{place}{}{hint}", problem.what));
        }
        if count > SHOWN {
            error = error.because(format!("and {} more", count - SHOWN));
        }
        error.hint("docs/pipeline-file.md describes every key")
    }

    fn place(&self, key: &KeyPath) -> Place {
        let given = |with: &Override| Place::Override(format!("given with --set {}", with.given));
        let mut last_first = self.overrides.iter().rev();
        if let Some(with) = last_first.clone().find(|with| key.starts_with(&with.key)) {
            return given(with);
        }
        if let Some(line) = self.lines.line(key) {
            return Place::Line(line);
        }
        if let Some(with) = last_first.find(|with| with.key.starts_with(key) && !key.0.is_empty()) {
            return given(with);
        }
        match key.parent() {
            Some(section) => self.place(&section),
            None => Place::File,
        }
    }

    /// The problem's hint; better, where an override has made up a section beside one of nearly the same name: that
    /// name.
    fn hint(&self, problem: &Problem) -> Option<String> {
        let made_up = self.overrides.iter().any(|with| with.key.starts_with(&problem.at) && with.key != problem.at)
            && self.lines.line(&problem.at).is_none();
        let name = problem.at.0.last().filter(|_| made_up);
        let section = problem.at.parent();
        match (name, section) {
            (Some(name), Some(section)) => {
                let siblings = self.lines.keys(&section);
                let siblings: Vec<&str> = siblings.iter().map(String::as_str).collect();
                Some(choice(name, &siblings, &format!("the file's keys in `{section}` are")))
            }
            _ => problem.hint.clone(),
        }
    }
}

enum Place {
    File,
    Line(usize),
    Override(String),
}

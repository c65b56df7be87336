//! What is wrong with a pipeline file, and how that is told.

use super::lines::Lines;
use super::overrides::Override;
use crate::Error;
use std::fmt;
use std::path::Path;

/// Problems that one error tells; of more it gives the number.
const SHOWN: usize = 20;

/// The way to a key through the sections. List items are `[0]`, `[1]`, ….
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct KeyPath(pub Vec<String>);

impl KeyPath {
    /// From its parts.
    pub fn of(parts: &[&str]) -> Self {
        Self(parts.iter().map(|&part| part.to_owned()).collect())
    }

    /// The path of a key in this section.
    pub fn join(&self, key: &str) -> Self {
        let mut parts = self.0.clone();
        parts.push(key.to_owned());
        Self(parts)
    }

    /// The section that holds the key; nothing for the whole file.
    pub fn parent(&self) -> Option<Self> {
        let (_, parent) = self.0.split_last()?;
        Some(Self(parent.to_vec()))
    }

    fn starts_with(&self, section: &Self) -> bool {
        self.0.starts_with(&section.0)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            let separator = if index == 0 || part.starts_with('[') { "" } else { "." };
            write!(f, "{separator}{part}")?;
        }
        Ok(())
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key that is wrong, or the section that lacks one: where to look.
    pub at: KeyPath,
    /// What is wrong, with the key's full path.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Where the settings came from, to say it of a problem.
pub struct Sources<'a> {
    /// The pipeline file.
    pub file: &'a Path,
    /// Where its keys are.
    pub lines: Lines,
    /// What was put over it, in order.
    pub overrides: Vec<Override>,
}

impl Sources<'_> {
    /// One error that tells all problems in the order of their lines, those of overrides last. There must be one at least.
    pub fn error(&self, mut problems: Vec<Problem>) -> Error {
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
            let error = Error::new(format!("{} ({place})", problem.what));
            return match self.hint(problem) {
                Some(hint) => error.hint(hint),
                None => error,
            };
        }
        let overrides = if self.overrides.is_empty() { "" } else { " with its overrides" };
        let (file, count) = (self.file.display(), problems.len());
        let mut error = Error::new(format!("the pipeline file `{file}`{overrides} has {count} problems"));
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

    /// The problem's hint; better, where an override has made up a section beside one of nearly the same name: that name.
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

/// `did you mean A? HEADING A, B, C`; only the list where nothing is near.
pub fn choice(given: &str, valid: &[&str], heading: &str) -> String {
    let list = valid.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match nearest(given, valid) {
        Some(name) => format!("did you mean `{name}`? {heading} {list}"),
        None => format!("{heading} {list}"),
    }
}

/// The valid name that `given` was probably meant to be.
pub fn nearest<'a>(given: &str, valid: &[&'a str]) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace(['-', ' '], "_");
    let given = plain(given);
    let likeness = |name: &str| {
        let name = plain(name);
        let part = given.len() >= 3 && name.split('_').any(|word| word == given);
        if part { 1.0 } else { strsim::normalized_damerau_levenshtein(&given, &name) }
    };
    let best = valid.iter().map(|&name| (likeness(name), name)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.5).then_some(best.1)
}

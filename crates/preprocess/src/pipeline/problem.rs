//! One thing that is wrong with a pipeline file: at which key, and what to do about it.

use std::fmt;

/// The way to a key through the sections. List items are `[0]`, `[1]`, ….
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct KeyPath(pub Vec<String>);

impl KeyPath {
    /// From its parts.
    pub(crate) fn of(parts: &[&str]) -> Self {
        Self(parts.iter().map(|&part| part.to_owned()).collect())
    }

    /// The path of a key in this section.
    pub(crate) fn join(&self, key: &str) -> Self {
        let mut parts = self.0.clone();
        parts.push(key.to_owned());
        Self(parts)
    }

    /// The section that holds the key; nothing for the whole file.
    pub(crate) fn parent(&self) -> Option<Self> {
        let (_, parent) = self.0.split_last()?;
        Some(Self(parent.to_vec()))
    }

    /// Whether the key is `section` or lies in it.
    pub(crate) fn starts_with(&self, section: &Self) -> bool {
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
pub(crate) struct Problem {
    /// The key that is wrong, or the section that lacks one: where to look.
    pub at: KeyPath,
    /// What is wrong, with the key's full path.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// `did you mean A? HEADING A, B, C`; only the list where nothing is near.
pub(crate) fn choice(given: &str, valid: &[&str], heading: &str) -> String {
    let list = valid.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match nearest(given, valid) {
        Some(name) => format!("did you mean `{name}`? {heading} {list}"),
        None => format!("{heading} {list}"),
    }
}

/// The valid name that `given` was probably meant to be.
pub(crate) fn nearest<'a>(given: &str, valid: &[&'a str]) -> Option<&'a str> {
    let best = valid.iter().map(|&name| (likeness(given, name), name)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.5).then_some(best.1)
}

/// The valid names that are most like `given`, the nearest first; so many at most.
pub(crate) fn nearest_few<'a>(given: &str, valid: &'a [String], most: usize) -> Vec<&'a str> {
    let mut names: Vec<(f64, &str)> = valid.iter().map(|name| (likeness(given, name), name.as_str())).collect();
    names.sort_by(|a, b| b.0.total_cmp(&a.0));
    names.into_iter().take(most).map(|(_, name)| name).collect()
}

/// From 0 (nothing in common) to 1.
fn likeness(given: &str, name: &str) -> f64 {
    let plain = |name: &str| name.to_lowercase().replace(['-', ' '], "_");
    let (given, name) = (plain(given), plain(name));
    let part = given.len() >= 3 && name.split('_').any(|word| word == given);
    if part { 1.0 } else { strsim::normalized_damerau_levenshtein(&given, &name) }
}

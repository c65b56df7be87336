//! What `preprocess.split.group_by` may say.

use regex::Regex;
use std::path::PathBuf;

/// The name that a pattern's group must have.
pub(crate) const GROUP: &str = "group";

/// Where the groups come from.
#[derive(Debug)]
pub(crate) enum GroupBy {
    /// A regular expression with a group named `group`, searched in each image's path.
    Pattern(Regex),
    /// A CSV file with the columns `path` and `group`.
    Table(PathBuf),
}

impl GroupBy {
    /// Tells a pattern from a file's name: a pattern names a group, a table ends in `.csv`.
    ///
    /// # Errors
    /// It is neither, or the pattern is no regular expression or names no group `group`; in words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.to_ascii_lowercase().ends_with(".csv") && !text.contains("(?") {
            return Ok(Self::Table(text.into()));
        }
        let pattern = Regex::new(text).map_err(|error| {
            let error = error.to_string();
            format!("no regular expression: {}", error.lines().last().unwrap_or_default().trim_start_matches("error: "))
        })?;
        if !pattern.capture_names().flatten().any(|name| name == GROUP) {
            return Err(format!("a pattern without a group named `{GROUP}`, and no name of a `.csv` file"));
        }
        Ok(Self::Pattern(pattern))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_tables_are_told_apart_and_checked() {
        let cases = [
            (r"(?P<group>[^/_]+)_\d+", None),
            (r"(?<group>patient\d+)", None),
            ("groups/patients.csv", None),
            (r"([^/_]+)_\d+", Some("without a group named `group`")),
            (r"(?P<patient>\d+)", Some("without a group named `group`")),
            ("(?P<group>[", Some("no regular expression")),
            ("groups.txt", Some("no name of a `.csv` file")),
        ];
        for (text, expected) in cases {
            let found = GroupBy::parse(text);
            match expected {
                None => assert!(found.is_ok(), "{text}: {found:?}"),
                Some(expected) => {
                    assert!(found.as_ref().is_err_and(|error| error.contains(expected)), "{text}: {found:?}")
                }
            }
        }
    }
}

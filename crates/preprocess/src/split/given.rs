//! Groups that the user gives: `preprocess.split.group_by`, patients, videos, cameras.

use crate::pipeline::{GROUP, GroupBy};
use crate::stage::error::Context;
use crate::stage::names::{from_csv_cell, shown};
use crate::{Error, Result, note, say};
use std::collections::HashMap;
use std::path::Path;

/// The group of each image, by its path relative to the source; none for images that stand alone. Says what it did not
/// find.
///
/// # Errors
/// The table cannot be read; not one image has a group.
pub(crate) fn given_groups(by: &GroupBy, paths: &[&str]) -> Result<Vec<Option<String>>> {
    let groups: Vec<Option<String>> = match by {
        GroupBy::Pattern(pattern) => {
            paths.iter().map(|path| Some(pattern.captures(path)?.name(GROUP)?.as_str().to_owned())).collect()
        }
        GroupBy::Table(file) => from_table(file, paths)?,
    };
    let alone = groups.iter().filter(|group| group.is_none()).count();
    if alone == groups.len() {
        let example = paths.first().map_or(String::new(), |path| format!("the first path is `{}`", shown(path)));
        let (what, hint) = match by {
            GroupBy::Pattern(_) => {
                ("the pattern matches no image's path", "the pattern is searched in paths like this one")
            }
            GroupBy::Table(_) => {
                ("its table has none of the images' paths", "the column `path` holds paths like this one")
            }
        };
        return Err(Error::new(format!("`preprocess.split.group_by` gives no image a group: {what}"))
            .because(example)
            .hint(format!("{hint}, relative to `preprocess.source`, with `/` between the parts")));
    }
    let distinct: std::collections::HashSet<&String> = groups.iter().flatten().collect();
    say!(
        "Grouped by `preprocess.split.group_by`: {} groups; {alone} images have none and stand alone.",
        distinct.len()
    );
    Ok(groups)
}

fn from_table(file: &Path, paths: &[&str]) -> Result<Vec<Option<String>>> {
    let cannot = || format!("cannot read the groups in `{}`, which `preprocess.split.group_by` names", file.display());
    if !std::fs::metadata(file).context(cannot)?.is_file() {
        return Err(Error::new(cannot()).because("it is not a file"));
    }
    let text = std::fs::read_to_string(file).context(cannot)?;
    let mut table: HashMap<String, (String, u64)> = HashMap::new();
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    for (index, record) in reader.records().enumerate() {
        let record = record.context(cannot)?;
        let line = record.position().map_or(index as u64 + 1, csv::Position::line);
        let wrong = |because: String| Error::new(cannot()).because(format!("line {line}: {because}"));
        let cells: Vec<&str> = record.iter().map(|cell| cell.trim_start_matches('\u{feff}')).collect();
        match cells.as_slice() {
            ["path", "group"] if index == 0 => {}
            _ if index == 0 => return Err(wrong("the first line must be `path,group`".to_owned())),
            [path, group] if !path.is_empty() && !group.is_empty() => {
                if let Some((_, first)) = table.insert(from_csv_cell(path), ((*group).to_owned(), line)) {
                    return Err(wrong(format!("`{}` has a group in line {first} already", shown(path))));
                }
            }
            [_, _] => return Err(wrong("the path or the group is empty".to_owned())),
            cells => return Err(wrong(format!("it has {} columns, not 2", cells.len()))),
        }
    }
    let groups = paths.iter().map(|path| table.remove(*path).map(|(group, _)| group)).collect();
    if let Some((path, (_, line))) = table.iter().min_by_key(|(_, (_, line))| *line) {
        note!(
            "warning: {} lines of `{}` name no image of the source, the first of them `{}` in line {line}",
            table.len(),
            file.display(),
            shown(path)
        );
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_in_paths_and_tables() {
        let paths = ["cat/tom_1.png", "cat/tom_2.png", "dog/tom_7.png", "dog/odd.png"];
        let by = GroupBy::parse(r"(?P<group>[^/_]+)_\d+").expect("a pattern");
        let tom = || Some("tom".to_owned());
        assert_eq!(given_groups(&by, &paths).expect("found"), [tom(), tom(), tom(), None]);
        let none = GroupBy::parse("(?P<group>x+)").expect("a pattern");
        let none = given_groups(&none, &paths).expect_err("none").to_string();
        assert!(none.contains("matches no image's path") && none.contains("`cat/tom_1.png`"), "{none}");

        let directory = tempfile::tempdir().expect("temporary directory");
        let file = directory.path().join("groups.csv");
        let table = |text: &str| {
            std::fs::write(&file, text).expect("written");
            given_groups(&GroupBy::parse(&file.display().to_string()).expect("a table"), &paths)
        };
        assert_eq!(
            table("path,group\ncat/tom_1.png,a\ndog/odd.png,a\nno/such.png,b\n").expect("found"),
            [Some("a".to_owned()), None, None, Some("a".to_owned())]
        );
        let cases = [
            ("cat/tom_1.png,a\n", "line 1: the first line must be `path,group`"),
            ("path,group\ncat/tom_1.png\n", "line 2: it has 1 columns"),
            ("path,group\ncat/tom_1.png,a\ncat/tom_1.png,b\n", "line 3: `cat/tom_1.png` has a group in line 2 already"),
            ("path,group\ncat/tom_1.png,\n", "line 2: the path or the group is empty"),
            ("path,group\nx.png,a\n", "none of the images' paths"),
        ];
        for (text, expected) in cases {
            let error = table(text).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

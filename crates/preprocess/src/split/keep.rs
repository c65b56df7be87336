//! The list of splits that are kept: `preprocess.split.keep`.
//!
//! A CSV file with the columns `content` (BLAKE3 of the image's file), `split` and `path` (for the person who reads
//! it), ordered by path, so that a new image is a new line and nothing else. Images are known by their content. Where
//! a file's content is new, and what its path held before is nowhere any more, the image was replaced or edited: then
//! the path's split holds. Images that are gone stay listed.

use crate::pipeline::Split;
use crate::stage::atomic_file::write_atomically;
use crate::stage::error::Context;
use crate::stage::names::{csv_cell, from_csv_cell};
use crate::{Error, Result};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The columns' names.
const HEADER: [&str; 3] = ["content", "split", "path"];

/// What is listed of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    split: Split,
    path: String,
}

/// The list.
#[derive(Debug)]
pub(crate) struct Keep {
    file: PathBuf,
    /// By content.
    entries: BTreeMap<String, Entry>,
}

impl Keep {
    /// Reads the list; it is empty where there is no such file yet.
    ///
    /// # Errors
    /// The file cannot be read; a line is not as this program writes it; an image is listed twice. With the line.
    pub fn read(file: &Path) -> Result<Self> {
        let cannot = || format!("cannot read `{}`, which `preprocess.split.keep` names", file.display());
        let text = match std::fs::metadata(file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).context(cannot),
            Ok(metadata) if !metadata.is_file() => return Err(Error::new(cannot()).because("it is not a file")),
            Ok(_) => std::fs::read_to_string(file).context(cannot)?,
        };
        let mut keep = Self { file: file.to_owned(), entries: BTreeMap::new() };
        let mut lines = HashMap::new();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        for (index, record) in reader.records().enumerate() {
            let record = record.context(cannot)?;
            let line = record.position().map_or(index as u64 + 1, csv::Position::line);
            let wrong = |because: String| {
                Error::new(format!("`{}`, line {line}, is no line of kept splits", file.display()))
                    .because(because)
                    .hint("repair or remove the line; or take the file away, and `preprocess` writes it anew from the split rule")
            };
            let cells: Vec<&str> = record.iter().collect();
            if index == 0 {
                let is_header = cells.iter().map(|cell| cell.trim_start_matches('\u{feff}')).eq(HEADER);
                is_header
                    .then_some(())
                    .ok_or_else(|| wrong(format!("the first line must be `{}`", HEADER.join(","))))?;
                continue;
            }
            let (content, entry) = entry(&cells).map_err(wrong)?;
            if let Some(first) = lines.insert(content.clone(), line) {
                return Err(wrong(format!("the image is listed in line {first} already")));
            }
            keep.entries.insert(content, entry);
        }
        Ok(keep)
    }

    /// The kept split of each image, given by path and content; none for new ones.
    pub(crate) fn splits<'a>(&self, images: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Vec<Option<Split>> {
        let present: HashSet<&str> = images.clone().map(|(_, content)| content).collect();
        let mut replaced: HashMap<&str, Split> = HashMap::new();
        for (_, entry) in self.entries.iter().filter(|(content, _)| !present.contains(content.as_str())) {
            let split = replaced.entry(&entry.path).or_insert(entry.split);
            *split = entry.split.max(*split);
        }
        let known = |(path, content): (&str, &str)| {
            self.entries.get(content).map(|entry| entry.split).or_else(|| replaced.get(path).copied())
        };
        images.map(known).collect()
    }

    /// Lists these images (path, content, split) beside the others, and writes the file if that changes it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn extend<'a>(&mut self, images: impl Iterator<Item = (&'a str, &'a str, Split)>) -> Result<()> {
        let mut paths: BTreeMap<&str, (&str, Split)> = BTreeMap::new();
        for (path, content, split) in images {
            let first = paths.entry(content).or_insert((path, split));
            *first = (first.0.min(path), first.1);
        }
        let before = self.entries.clone();
        for (content, (path, split)) in paths {
            let split = before.get(content).map_or(split, |entry| entry.split);
            self.entries.insert(content.to_owned(), Entry { split, path: path.to_owned() });
        }
        if self.entries == before && self.file.exists() { Ok(()) } else { self.write() }
    }

    fn write(&self) -> Result<()> {
        let mut entries: Vec<(&String, &Entry)> = self.entries.iter().collect();
        entries.sort_by(|a, b| a.1.path.cmp(&b.1.path).then(a.0.cmp(b.0)));
        let cannot = || format!("cannot write `{}`", self.file.display());
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record(HEADER).context(cannot)?;
        for (content, entry) in entries {
            csv.write_record([content.as_str(), entry.split.name(), &csv_cell(&entry.path)]).context(cannot)?;
        }
        let text = csv.into_inner().context(cannot)?;
        if let Some(directory) = self.file.parent() {
            std::fs::create_dir_all(directory).context(cannot)?;
        }
        write_atomically(&self.file, |writer| writer.write_all(&text))
    }
}

/// Reads the cells of a line; or says what is wrong with them.
fn entry(cells: &[&str]) -> Result<(String, Entry), String> {
    let &[content, split, path] = cells else {
        return Err(format!("it has {} columns; {} are `{}`", cells.len(), HEADER.len(), HEADER.join("`, `")));
    };
    let is_content = content.len() == 64 && content.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_content {
        return Err("its `content` is not 64 hexadecimal digits in lower case".to_owned());
    }
    let named = Split::ALL.into_iter().find(|known| known.name() == split);
    let split = named.ok_or_else(|| {
        let known = Split::ALL.map(Split::name).join("`, `");
        format!("its split is `{}`; it must be one of `{known}`", crate::stage::names::shown(split))
    })?;
    if path.is_empty() {
        return Err("its `path` is empty".to_owned());
    }
    Ok((content.to_owned(), Entry { split, path: from_csv_cell(path) }))
}

#[cfg(test)]
mod tests;

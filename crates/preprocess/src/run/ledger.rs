//! Remembers which finished shard was made from what, so that a later run can keep it.

use super::{Place, remove_if_present};
use crate::manifest::Split;
use crate::shard::{self, PlannedShard, Written};
use crate::stage::atomic_file::{sweep_leftovers, write_error};
use crate::stage::error::Context;
use crate::stage::{files, fingerprint, interrupt};
use crate::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// One finished shard; a line of `shards.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    /// What determines its bytes.
    key: String,
    /// Path relative to `shards/`.
    file: String,
    bytes: u64,
    blake3: String,
}

/// The shards that earlier runs finished. Grows by one line with each shard, so that a kill costs the shards in work at most.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    lines: HashMap<String, Line>,
}

impl Ledger {
    /// Reads the lines of earlier runs. A last line cut short by a kill is as if it had not been written.
    pub fn open(place: &Place) -> Result<Self> {
        let path = place.state("shards.jsonl");
        let text = files::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        // What leads out of `shards/`, no run of this program wrote.
        let lines = lines.filter(|line| is_shard_name(&line.file) || is_kept_name(&line.file));
        let lines = lines.map(|line| (line.key.clone(), line)).collect();
        let mut options = OpenOptions::new();
        let file = files::open_for_writing(&path, options.append(true).create(true))
            .context(|| format!("cannot open `{}`", path.display()))?;
        let mut ledger = Self { path, file, lines };
        if !text.is_empty() && !text.ends_with('\n') {
            ledger.append("\n")?;
        }
        Ok(ledger)
    }

    /// Notes a finished shard.
    pub fn record(&mut self, key: &str, file: &str, written: &Written) -> Result<()> {
        let line =
            Line { key: key.to_owned(), file: file.to_owned(), bytes: written.bytes, blake3: written.blake3.clone() };
        let text = serde_json::to_string(&line).context(|| format!("cannot note `{file}`"))?;
        self.lines.insert(line.key.clone(), line);
        self.append(&format!("{text}\n"))
    }

    fn append(&mut self, text: &str) -> Result<()> {
        self.file.write_all(text.as_bytes()).map_err(|error| write_error(&self.path, error))
    }

    /// For each planned shard, the finished one that can stand for it: made from the same, and still as it was written. It is given the
    /// planned name.
    pub fn keep(&mut self, plan: &[PlannedShard], keys: &[String], place: &Place) -> Result<Vec<Option<Written>>> {
        let intact = |key: &String| -> Result<Option<Line>> {
            interrupt::check()?;
            Ok(self.lines.get(key).filter(|line| line.is_intact(&place.shards)).cloned())
        };
        let found: Vec<Option<Line>> = keys.par_iter().map(intact).collect::<Result<_>>()?;
        self.refuse_foreign(plan, place)?;
        // Names may have been exchanged among shards, so all that move step aside first.
        for ((shard, key), line) in plan.iter().zip(keys).zip(&found) {
            if let Some(line) = line.as_ref().filter(|line| line.file != shard.file) {
                self.rename(line, format!("{}/kept-{key}.parquet", super::STATE), place)?;
            }
        }
        for ((shard, key), line) in plan.iter().zip(keys).zip(&found) {
            let moved = line.as_ref().is_some_and(|line| line.file != shard.file);
            if let Some(line) = self.lines.get(key).filter(|_| moved).cloned() {
                self.rename(&line, shard.file.clone(), place)?;
            }
        }
        Ok(found.into_iter().map(|line| line.map(|line| Written { bytes: line.bytes, blake3: line.blake3 })).collect())
    }

    /// A planned name that a file has which no run has noted, and which is none of this program's shards.
    fn refuse_foreign(&self, plan: &[PlannedShard], place: &Place) -> Result<()> {
        let noted: HashSet<&str> = self.lines.values().map(|line| line.file.as_str()).collect();
        for shard in plan {
            let path = place.shards.join(&shard.file);
            files::refuse_unless_plain(&path).context(|| format!("cannot write `{}`", path.display()))?;
            if !noted.contains(shard.file.as_str()) && path.exists() && !shard::is_ours(&path) {
                return Err(Error::new(format!("`{}` is there already", path.display()))
                    .because("this program did not write it, and it does not replace others' files")
                    .hint("move it away, or choose another directory with `--set output=DIR`"));
            }
        }
        Ok(())
    }

    fn rename(&mut self, line: &Line, file: String, place: &Place) -> Result<()> {
        let (from, to) = (place.shards.join(&line.file), place.shards.join(&file));
        std::fs::rename(&from, &to).context(|| format!("cannot rename `{}` to `{}`", from.display(), to.display()))?;
        self.record(&line.key, &file, &Written { bytes: line.bytes, blake3: line.blake3.clone() })
    }

    /// Removes the shards of earlier runs that are no part of a finished data set. Others' files stay, whatever they are called.
    pub fn prune(place: &Place, current: &[String]) -> Result<()> {
        for directory in ["data", super::STATE] {
            let listed = place.shards.join(directory);
            let entries = std::fs::read_dir(&listed).context(|| format!("cannot list `{}`", listed.display()))?;
            for entry in entries {
                let name = entry.context(|| format!("cannot list `{}`", listed.display()))?.file_name();
                let file = format!("{directory}/{}", name.to_string_lossy());
                let path = listed.join(&name);
                let is_stale = (is_shard_name(&file) || is_kept_name(&file)) && !current.contains(&file);
                if is_stale && files::refuse_unless_plain(&path).is_ok() && shard::is_ours(&path) {
                    remove_if_present(&path)?;
                }
            }
            sweep_leftovers(&listed)?;
        }
        Ok(())
    }
}

/// Whether a path is as `shard::plan` makes them: `data/train-00000-of-00009.parquet`.
fn is_shard_name(file: &str) -> bool {
    let is_number = |text: &str| text.len() >= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = file.strip_prefix("data/").and_then(|name| name.strip_suffix(".parquet")).and_then(|name| {
        let (rest, total) = name.rsplit_once("-of-")?;
        let (split, number) = rest.rsplit_once('-')?;
        Some((split, number, total))
    });
    parts.is_some_and(|(split, number, total)| {
        Split::ALL.iter().any(|known| known.name() == split) && is_number(number) && is_number(total)
    })
}

/// Whether a path is that of a shard that stepped aside: `.state/kept-<key>.parquet`.
fn is_kept_name(file: &str) -> bool {
    let name = file.strip_prefix(super::STATE).and_then(|rest| rest.strip_prefix("/kept-"));
    let key = name.and_then(|name| name.strip_suffix(".parquet"));
    key.is_some_and(|key| key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl Line {
    /// Whether the file is there and holds what was written.
    fn is_intact(&self, shards: &Path) -> bool {
        let path = shards.join(&self.file);
        std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() == self.bytes)
            && fingerprint::of_file(&path).is_ok_and(|blake3| blake3 == self.blake3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_our_making_are_told_from_others() {
        for (name, ours) in [
            ("data/train-00000-of-00009.parquet", true),
            ("data/validation-00012-of-123456.parquet", true),
            ("data/train-0-of-9.parquet", false),
            ("data/mine-00000-of-00009.parquet", false),
            ("data/../data/train-00000-of-00009.parquet", false),
            ("../train-00000-of-00009.parquet", false),
            ("data/prices.parquet", false),
        ] {
            assert_eq!(is_shard_name(name), ours, "{name}");
        }
        let key = "0123456789abcdef".repeat(4);
        assert!(is_kept_name(&format!(".state/kept-{key}.parquet")));
        assert!(!is_kept_name(".state/kept-mine.parquet") && !is_kept_name("kept-mine.parquet"));
    }
}

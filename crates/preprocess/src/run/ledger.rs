//! Remembers which finished shard was made from what, so that a later run can keep it.

use super::{Place, remove_if_present};
use crate::Result;
use crate::shard::{PlannedShard, Written};
use crate::stage::atomic_file::write_error;
use crate::stage::error::Context;
use crate::stage::fingerprint;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
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
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let lines = lines.map(|line| (line.key.clone(), line)).collect();
        let mut options = OpenOptions::new();
        let file =
            options.append(true).create(true).open(&path).context(|| format!("cannot open `{}`", path.display()))?;
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
        let found: Vec<Option<Line>> = keys
            .par_iter()
            .map(|key| self.lines.get(key).filter(|line| line.is_intact(&place.shards)).cloned())
            .collect();
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

    fn rename(&mut self, line: &Line, file: String, place: &Place) -> Result<()> {
        let (from, to) = (place.shards.join(&line.file), place.shards.join(&file));
        std::fs::rename(&from, &to).context(|| format!("cannot rename `{}` to `{}`", from.display(), to.display()))?;
        self.record(&line.key, &file, &Written { bytes: line.bytes, blake3: line.blake3.clone() })
    }

    /// Forgets all shards but those of a finished data set, and removes the others' files.
    pub fn prune(place: &Place, current: &[String]) -> Result<()> {
        for directory in ["data", super::STATE] {
            let listed = place.shards.join(directory);
            let entries = std::fs::read_dir(&listed).context(|| format!("cannot list `{}`", listed.display()))?;
            for entry in entries {
                let name = entry.context(|| format!("cannot list `{}`", listed.display()))?.file_name();
                let file = format!("{directory}/{}", name.to_string_lossy());
                let is_shard = file.ends_with(".parquet") || name.to_string_lossy().starts_with(".tmp-");
                if is_shard && !current.contains(&file) {
                    remove_if_present(&listed.join(&name))?;
                }
            }
        }
        Ok(())
    }
}

impl Line {
    /// Whether the file is there and holds what was written.
    fn is_intact(&self, shards: &Path) -> bool {
        let path = shards.join(&self.file);
        std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() == self.bytes)
            && fingerprint::of_file(&path).is_ok_and(|blake3| blake3 == self.blake3)
    }
}

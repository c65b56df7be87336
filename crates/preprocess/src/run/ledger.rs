//! Remembers which finished shard was made from what, so that a later run can keep it.

use super::directory::{STATE, ShardsDirectory};
use crate::shard::{self, PlannedShard, StoredRow, Written};
use crate::stage::atomic_file::{sweep_leftovers, write_error};
use crate::stage::error::Context;
use crate::stage::{files, fingerprint, interrupt};
use crate::{Error, Result, note};
use bytes::Bytes;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Shards that are written at the same time: while one waits for the disk, rows of the others are made. Each holds two
/// row groups in memory.
pub(crate) const SHARDS_AT_ONCE: usize = 4;

/// One finished shard; a line of `shards.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    /// What determines its bytes.
    key: String,
    /// Path relative to `shards/`.
    file: String,
    bytes: u64,
    blake3: String,
    /// BLAKE3 over the line's other parts.
    checksum: String,
}

/// The shards that earlier runs finished. Grows by one line with each shard, so that a kill costs the shards in work
/// at most.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    file: File,
    lines: HashMap<String, Line>,
}

impl Ledger {
    /// Reads the lines of earlier runs. A last line cut short by a kill is as if it had not been written; lines that
    /// are not as they were written are passed over, and said.
    pub(crate) fn open(place: &ShardsDirectory) -> Result<Self> {
        let path = place.state("shards.jsonl");
        let text = files::read(&path).unwrap_or_default();
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let read: Vec<Option<Line>> =
            text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(Line::read).collect();
        let altered = read.iter().filter(|line| line.is_none()).count();
        if altered > 0 {
            note!(
                "note: {altered} lines of `{}` are not as they were written; their shards are written again",
                path.display()
            );
        }
        let lines = read.into_iter().flatten().map(|line| (line.key.clone(), line)).collect();
        let mut options = OpenOptions::new();
        let file = files::open_for_writing(&path, options.append(true).create(true))
            .context(|| format!("cannot open `{}`", path.display()))?;
        let mut ledger = Self { path, file, lines };
        if whole < text.len() {
            ledger.append("\n")?;
        }
        Ok(ledger)
    }

    /// Notes a finished shard.
    pub(crate) fn record(&mut self, key: &str, file: &str, written: &Written) -> Result<()> {
        let line = Line::new(key, file, written)?;
        let text = serde_json::to_string(&line).context(|| format!("cannot note `{file}`"))?;
        self.lines.insert(line.key.clone(), line);
        self.append(&format!("{text}\n"))
    }

    fn append(&mut self, text: &str) -> Result<()> {
        self.file.write_all(text.as_bytes()).map_err(|error| write_error(&self.path, error))
    }

    /// For each planned shard, the finished one that can stand for it: made from the same, still as it was written,
    /// and with the rows that `holds` looks for. It is given the planned name.
    pub(crate) fn keep(
        &mut self,
        plan: &[PlannedShard],
        keys: &[String],
        classes: &[String],
        holds: &(dyn Fn(&PlannedShard, &[StoredRow]) -> bool + Sync),
        place: &ShardsDirectory,
    ) -> Result<Vec<Option<Written>>> {
        let mut found: Vec<Option<Line>> = Vec::with_capacity(plan.len());
        let pairs: Vec<_> = std::iter::zip(plan, keys).collect();
        // Each is in memory as a whole meanwhile.
        for pairs in pairs.chunks(SHARDS_AT_ONCE) {
            interrupt::check()?;
            found.par_extend(pairs.par_iter().map(|(shard, key)| {
                let line = self.lines.get(*key)?;
                let rows = line.rows_if_intact(&place.shards, classes, shard.copy)?;
                holds(shard, &rows).then(|| line.clone())
            }));
        }
        self.refuse_foreign(plan, place)?;
        // Names may have been exchanged among shards, so all that move step aside first.
        for ((shard, key), line) in plan.iter().zip(keys).zip(&found) {
            if let Some(line) = line.as_ref().filter(|line| line.file != shard.file) {
                self.rename(line, aside(key), place)?;
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
    fn refuse_foreign(&self, plan: &[PlannedShard], place: &ShardsDirectory) -> Result<()> {
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

    fn rename(&mut self, line: &Line, file: String, place: &ShardsDirectory) -> Result<()> {
        let (from, to) = (place.shards.join(&line.file), place.shards.join(&file));
        std::fs::rename(&from, &to).context(|| format!("cannot rename `{}` to `{}`", from.display(), to.display()))?;
        self.record(&line.key, &file, &Written { bytes: line.bytes, blake3: line.blake3.clone() })
    }

    /// Removes the shards of earlier runs that are no part of a finished data set. Others' files stay, whatever they
    /// are called.
    pub(crate) fn prune(place: &ShardsDirectory, current: &[String]) -> Result<()> {
        for directory in ["data", STATE] {
            let listed = place.shards.join(directory);
            let entries = std::fs::read_dir(&listed).context(|| format!("cannot list `{}`", listed.display()))?;
            for entry in entries {
                let name = entry.context(|| format!("cannot list `{}`", listed.display()))?.file_name();
                let file = format!("{directory}/{}", name.to_string_lossy());
                let path = listed.join(&name);
                let is_stale =
                    (shard::split_of_name(&file).is_some() || is_kept_name(&file)) && !current.contains(&file);
                if is_stale && files::refuse_unless_plain(&path).is_ok() && shard::is_ours(&path) {
                    files::remove_if_present(&path)?;
                }
            }
            sweep_leftovers(&listed)?;
        }
        Ok(())
    }
}

/// Whether a path is that of a shard that stepped aside: `.state/kept-<key>.parquet`.
fn is_kept_name(file: &str) -> bool {
    let name = file.strip_prefix(STATE).and_then(|rest| rest.strip_prefix("/kept-"));
    let key = name.and_then(|name| name.strip_suffix(".parquet"));
    key.is_some_and(|key| key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl Line {
    fn new(key: &str, file: &str, written: &Written) -> Result<Self> {
        let (bytes, blake3) = (written.bytes, written.blake3.clone());
        let checksum = fingerprint::of_value(&(key, file, bytes, &blake3))?;
        Ok(Self { key: key.to_owned(), file: file.to_owned(), bytes, blake3, checksum })
    }

    /// None where it is not as it was written, or names a file that no shard has: one elsewhere, say.
    fn read(text: &[u8]) -> Option<Self> {
        let line: Self = serde_json::from_slice(text).ok()?;
        let written = Written { bytes: line.bytes, blake3: line.blake3.clone() };
        let is_whole = Self::new(&line.key, &line.file, &written).is_ok_and(|same| same == line);
        let is_shard = shard::split_of_name(&line.file).is_some() || line.file == aside(&line.key);
        let is_key = line.key.len() == 64 && line.key.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_whole && is_shard && is_key).then_some(line)
    }

    /// The rows of the file, if it is there and holds what was written.
    fn rows_if_intact(&self, shards: &Path, classes: &[String], copy: usize) -> Option<Vec<StoredRow>> {
        let path = shards.join(&self.file);
        if files::open(&path).and_then(|file| file.metadata()).ok()?.len() != self.bytes {
            return None;
        }
        let content = Bytes::from(files::read(&path).ok()?);
        if fingerprint::of_bytes(&content) != self.blake3 {
            return None;
        }
        shard::read(&path, &content, classes, copy).ok()
    }
}

/// Where a shard waits for its new name.
fn aside(key: &str) -> String {
    format!("{}/kept-{key}.parquet", STATE)
}

//! All that the shards are made from, and the writing of them.

use super::crops::Crops;
use super::directory::ShardsDirectory;
use super::examined::Examined;
use super::grouping::Grouping;
use super::inputs::Inputs;
use super::ledger::{Ledger, SHARDS_AT_ONCE};
use super::pixel_store::PixelStore;
use crate::augment::AUGMENT_VERSION;
use crate::folder::Folder;
use crate::manifest::{DuplicateCounts, FORMAT, Manifest, ShardEntry, Unmet};
use crate::pipeline::{Copies, PreprocessSettings, Split};
use crate::shard::{self, PlannedShard, Row, StoredRow, Written};
use crate::stage::error::Context;
use crate::stage::progress::Progress;
use crate::stage::{fingerprint, interrupt, random};
use crate::{Result, augment, image, split};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// All that the shards are made from.
pub(crate) struct Contents<'a> {
    pub folder: &'a Folder,
    pub settings: &'a PreprocessSettings,
    pub inputs: &'a Inputs,
    pub examined: &'a Examined,
    pub grouping: &'a Grouping,
    pub splits: &'a [Option<Split>],
    pub pixels: &'a PixelStore<'a>,
}

impl Contents<'_> {
    /// The images of each split in the order of their rows: chance's order, the same in every copy, so that a reader
    /// that goes through the file meets the classes mixed.
    pub(crate) fn rows(&self) -> BTreeMap<Split, Vec<usize>> {
        let mut rows: BTreeMap<Split, Vec<usize>> = BTreeMap::new();
        for (index, split) in self.splits.iter().enumerate() {
            if let Some(split) = split {
                rows.entry(*split).or_default().push(index);
            }
        }
        let chance = |&index: &usize| {
            let source = &self.folder.images[index].source;
            random::stream(self.settings.split.seed, "order", &[source.as_bytes()]).bits()
        };
        for images in rows.values_mut() {
            images.sort_by_cached_key(chance);
        }
        rows
    }

    /// Writes the shards that an earlier run has not left whole.
    pub(crate) fn write_shards(&self, place: &ShardsDirectory) -> Result<Vec<ShardEntry>> {
        let plan = shard::plan(&self.rows(), self.settings.augment.copies.stored(), &self.settings.image);
        let keys = plan.iter().map(|shard| self.key(shard)).collect::<Result<Vec<_>>>()?;
        let mut ledger = Ledger::open(place)?;
        let holds = |shard: &PlannedShard, rows: &[StoredRow]| self.holds(shard, rows);
        let finished = ledger.keep(&plan, &keys, &self.folder.classes, &holds, place)?;
        let total: usize = plan.iter().map(|shard| shard.images.len()).sum();
        let kept: usize =
            std::iter::zip(&plan, &finished).filter_map(|(s, f)| f.is_some().then_some(s.images.len())).sum();
        let progress = Progress::new("writing shards", total as u64, "images");
        progress.resume_at(kept as u64);
        let ledger = Mutex::new(ledger);
        let write = |number: usize, crops: Option<&Crops>| -> Result<Written> {
            if let Some(written) = &finished[number] {
                return Ok(written.clone());
            }
            interrupt::check()?;
            let shard = &plan[number];
            let row = |image: usize| self.row(image, shard.copy, crops);
            let written = shard::write(&place.shards, shard, &self.folder.classes, row, &progress)?;
            let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            ledger.record(&keys[number], &shard.file, &written)?;
            Ok(written)
        };
        let mut entries: Vec<Option<ShardEntry>> = vec![None; plan.len()];
        for together in self.turns(&plan) {
            let missing = together.iter().filter(|&&number| finished[number].is_none()).map(|&number| &plan[number]);
            let crops = self.take_crops(&missing.collect::<Vec<_>>(), place)?;
            for numbers in together.chunks(SHARDS_AT_ONCE) {
                let write = |&number: &usize| write(number, crops.as_ref());
                let written = numbers.par_iter().map(write).collect::<Result<Vec<_>>>()?;
                for (&number, written) in numbers.iter().zip(written) {
                    entries[number] = Some(entry(&plan[number], written));
                }
            }
        }
        progress.finish();
        Ok(entries.into_iter().flatten().collect())
    }

    /// The shards' numbers in the order in which they are written: in theirs, or, where copies show parts of originals,
    /// all copies of the same images together.
    fn turns(&self, plan: &[PlannedShard]) -> Vec<Vec<usize>> {
        if self.settings.augment.random_resized_crop.is_none() {
            return vec![(0..plan.len()).collect()];
        }
        let mut turns: BTreeMap<(Split, &[usize]), Vec<usize>> = BTreeMap::new();
        for (number, shard) in plan.iter().enumerate() {
            turns.entry((shard.split, &shard.images)).or_default().push(number);
        }
        turns.into_values().collect()
    }

    /// Whether the rows of a shard are those of the planned one.
    fn holds(&self, shard: &PlannedShard, rows: &[StoredRow]) -> bool {
        let groups = &self.grouping.group;
        let same = |(&index, row): (&usize, &StoredRow)| {
            let image = &self.folder.images[index];
            let group = groups[index].unwrap_or_default() as u64;
            (row.label as usize, row.group) == (image.label, group)
                && (row.source == image.source && row.content == self.inputs.content(index))
                && row.size() == self.examined.size(index)
        };
        rows.len() == shard.images.len() && std::iter::zip(&shard.images, rows).all(same)
    }

    /// All that determines a shard's bytes, but not its name.
    fn key(&self, shard: &PlannedShard) -> Result<String> {
        let groups = &self.grouping.group;
        let rows: Vec<_> = shard
            .images
            .iter()
            .map(|&index| {
                let image = &self.folder.images[index];
                (&image.source, self.inputs.content(index), image.label, groups[index])
            })
            .collect();
        // A copy's number does not change copy 0, nor do settings of augmentation.
        let augment = (shard.copy > 0).then(|| {
            let any_number =
                crate::pipeline::AugmentSettings { copies: Copies::default(), ..self.settings.augment.clone() };
            (AUGMENT_VERSION, any_number, self.settings.split.seed)
        });
        let version = (FORMAT, env!("CARGO_PKG_VERSION"), image::PIXELS_VERSION);
        fingerprint::of_value(&(version, &self.folder.classes, &self.settings.image, shard.copy, augment, rows))
    }

    /// One row: the image itself, or an augmented copy of it, of the part that `crops` hold where there are such.
    fn row(&self, index: usize, copy: usize, crops: Option<&Crops>) -> Result<Row> {
        interrupt::check()?;
        let found = &self.folder.images[index];
        let part = crops.filter(|_| copy > 0).map(|crops| crops.pixels(index, copy)).transpose()?.flatten();
        let mut pixels = part.map_or_else(|| self.pixels.pixels(index), Ok)?;
        if copy > 0 {
            let seed = self.settings.split.seed;
            pixels = augment::augment(&pixels, &self.settings.augment, seed, &found.source, copy);
        }
        let png = image::png::encode(&pixels).context(|| format!("cannot encode a copy of `{}`", found.source))?;
        let group = self.grouping.group[index].unwrap_or_default();
        let (content, size) = (self.inputs.content(index).to_owned(), self.examined.size(index));
        Ok(Row { png, source: found.source.clone(), label: found.label, group, content, size })
    }

    pub(crate) fn manifest(&self, fingerprint: String, unmet: Vec<Unmet>, shards: Vec<ShardEntry>) -> Manifest {
        let placed: Vec<(Split, usize)> = std::iter::zip(self.splits, &self.folder.images)
            .filter_map(|(split, image)| split.map(|split| (split, image.label)))
            .collect();
        Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            fingerprint,
            settings: self.settings.clone(),
            classes: self.folder.classes.clone(),
            counts: split::counts(&placed, self.folder),
            duplicates: self.duplicate_counts(),
            unmet,
            kept: None,
            rejected: self.examined.rejected().count(),
            shards,
        }
    }

    /// The images of each group of two or more, by its number.
    pub(crate) fn groups(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, group) in self.grouping.group.iter().enumerate() {
            if let Some(group) = group {
                groups.entry(*group).or_default().push(index);
            }
        }
        groups.retain(|_, members| members.len() > 1);
        groups
    }

    /// Whether the images of a group differ in something.
    pub(crate) fn differ<T: PartialEq>(members: &[usize], of: impl Fn(usize) -> T) -> bool {
        members.iter().any(|&member| of(member) != of(members[0]))
    }

    pub(crate) fn duplicate_counts(&self) -> DuplicateCounts {
        let groups = self.groups();
        let across_splits = |members: &&Vec<usize>| Self::differ(members, |index| self.splits[index]);
        let across_classes = |members: &&Vec<usize>| Self::differ(members, |index| self.folder.images[index].label);
        DuplicateCounts {
            exact: self.examined.exact(),
            near: groups.values().map(Vec::len).sum(),
            groups: groups.len(),
            across_splits: groups.values().filter(across_splits).count(),
            across_classes: groups.values().filter(across_classes).count(),
        }
    }
}

/// A finished shard as the manifest lists it.
fn entry(shard: &PlannedShard, written: Written) -> ShardEntry {
    ShardEntry {
        file: shard.file.clone(),
        split: shard.split,
        copy: shard.copy,
        rows: shard.images.len(),
        bytes: written.bytes,
        blake3: written.blake3,
    }
}

//! What the stage prints.

use super::examine::Examined;
use crate::folder::Folder;
use crate::manifest::{Manifest, Split};
use crate::stage::names::shown;
use crate::{note, say};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// Rejected files that are named on the screen; all are in `rejected.csv`.
const SHOWN: usize = 10;

/// The first line, as Keras prints it, and what was passed over.
pub fn found(folder: &Folder, source: &Path) {
    say!(
        "Found {} images belonging to {} classes in `{}`.",
        folder.images.len(),
        folder.classes.len(),
        source.display()
    );
    let passed_over = [
        (folder.hidden, "hidden files or directories"),
        (folder.not_images, "files that are no images"),
        (folder.outside, "images in no class directory"),
    ];
    let passed_over: Vec<String> =
        passed_over.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if !passed_over.is_empty() {
        say!("Passed over: {}.", passed_over.join(", "));
    }
}

/// The files that could not be decoded.
pub fn rejected(examined: &Examined, folder: &Folder) {
    let total = examined.rejected().count();
    for (index, reason) in examined.rejected().take(SHOWN) {
        note!("warning: left out `{}`: {}", shown(&folder.images[index].source), shown(reason));
    }
    if total > SHOWN {
        note!("warning: left out {} more files; `rejected.csv` lists all {total}", total - SHOWN);
    }
}

/// The table of counts, the duplicates, and where everything is.
pub fn finished(manifest: &Manifest, examined: &Examined, folder: &Folder, shards: &Path, elapsed: Duration) {
    say!("{}", table(manifest));
    warn_of_unmeasured_classes(manifest);
    say!("{}", duplicates(manifest, examined));
    let rows: usize = manifest.shards.iter().map(|shard| shard.rows).sum();
    let bytes: u64 = manifest.shards.iter().map(|shard| shard.bytes).sum();
    say!(
        "Wrote {rows} rows (copies: {}) in {} shards, {:.1} MB; {} of {} files rejected.",
        manifest.settings.augment.copies,
        manifest.shards.len(),
        bytes as f64 / 1e6,
        manifest.rejected,
        folder.images.len()
    );
    say!(
        "Took {:.1} s. The data set is in `{}`, sample images in `contact-sheet.png` there.",
        elapsed.as_secs_f64(),
        shards.display()
    );
}

/// A class may be missing from a split that the settings ask for: too few images, or all of them near-copies of one another.
fn warn_of_unmeasured_classes(manifest: &Manifest) {
    for split in [Split::Validation, Split::Test] {
        let Some(counts) = manifest.counts.get(&split).filter(|counts| counts.iter().any(|count| *count > 0)) else {
            continue;
        };
        let missing: Vec<String> = std::iter::zip(&manifest.classes, counts)
            .filter(|(_, count)| **count == 0)
            .map(|(class, _)| format!("`{}`", shown(class)))
            .collect();
        if !missing.is_empty() {
            note!(
                "warning: no image of {} is in the {} split, so nothing is measured there: the class has too few images, or its \
                 images are near-copies of one another (see `preprocess.split.near_duplicates`)",
                missing.join(", "),
                split.name()
            );
        }
    }
}

fn duplicates(manifest: &Manifest, examined: &Examined) -> String {
    let counts = &manifest.duplicates;
    let mut sizes = HashMap::new();
    for (_, group) in examined.groups() {
        *sizes.entry(group).or_insert(0usize) += 1;
    }
    let across = match counts.across_splits {
        0 => "none lies in more than one split".to_owned(),
        across => format!("{across} lie in more than one split and flatter the scores"),
    };
    format!(
        "Duplicates: {} exact copies; {} images have an exact or near copy (hash distance up to {} of 255); groups: {}, of at \
         most {} images; {} of them mix classes, {across}.",
        counts.exact,
        counts.near,
        examined.max_distance,
        counts.groups,
        sizes.values().max().copied().unwrap_or_default(),
        counts.across_classes,
    )
}

/// Images of each class in each split.
fn table(manifest: &Manifest) -> String {
    let classes: Vec<_> = manifest.classes.iter().map(|class| shown(class)).collect();
    let width = classes.iter().map(|class| class.chars().count()).max().unwrap_or(0).max("class".len());
    let line = |name: &str, counts: [usize; 3]| {
        let [train, validation, test] = counts;
        let total = train + validation + test;
        format!("{name:<width$}  {train:>8}  {validation:>10}  {test:>8}  {total:>8}")
    };
    let counts = |class: usize| Split::ALL.map(|split| manifest.counts.get(&split).map_or(0, |counts| counts[class]));
    let all: Vec<[usize; 3]> = (0..manifest.classes.len()).map(counts).collect();
    let total = [0, 1, 2].map(|split| all.iter().map(|counts| counts[split]).sum());
    let head = format!("{:<width$}  {:>8}  {:>10}  {:>8}  {:>8}", "class", "train", "validation", "test", "total");
    let lines = std::iter::zip(&classes, &all).map(|(class, counts)| line(class, *counts));
    std::iter::once(head).chain(lines).chain([line("total", total)]).collect::<Vec<_>>().join("\n")
}

//! What the stage prints.

use super::contents::Contents;
use super::examined::Examined;
use crate::folder::Folder;
use crate::manifest::Manifest;
use crate::pipeline::{Copies, Split};
use crate::stage::names::shown;
use crate::{note, say};
use std::path::Path;
use std::time::Duration;

/// Rejected files that are named on the screen; all are in `rejected.csv`.
const SHOWN: usize = 10;

/// Classes and groups that are named in one warning.
const FEW: usize = 5;

/// The first line, as Keras prints it, and what was passed over.
pub(crate) fn found(folder: &Folder, source: &Path) {
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
pub(crate) fn rejected(examined: &Examined, folder: &Folder) {
    let total = examined.rejected().count();
    for (index, reason) in examined.rejected().take(SHOWN) {
        note!("warning: left out `{}`: {}", shown(&folder.images[index].source), shown(reason));
    }
    if total > SHOWN {
        note!("warning: left out {} more files; `rejected.csv` lists all {total}", total - SHOWN);
    }
}

/// The table of counts, the duplicates, and where everything is.
pub(crate) fn finished(manifest: &Manifest, work: &Contents, shards: &Path, elapsed: Duration) {
    say!("{}", table(manifest));
    warn_of_unmet_fractions(manifest);
    say!("{}", duplicates(manifest, work));
    name_mixed_groups(work);
    let rows: usize = manifest.shards.iter().map(|shard| shard.rows).sum();
    let bytes: u64 = manifest.shards.iter().map(|shard| shard.bytes).sum();
    say!(
        "Wrote {rows} rows ({}) in {} shards, {:.1} MB; {} of {} files rejected.",
        match manifest.settings.augment.copies {
            Copies::Stored(copies) => format!("copies: {copies}"),
            Copies::Fly => "copies are made by training".to_owned(),
        },
        manifest.shards.len(),
        bytes as f64 / 1e6,
        manifest.rejected,
        work.folder.images.len()
    );
    say!(
        "Took {:.1} s. The data set is in `{}`, sample images in `contact-sheet.png` there.",
        elapsed.as_secs_f64(),
        shards.display()
    );
}

/// A class may have none of a split that the settings ask for, or too few or many: it has too few images, or groups
/// that stay together.
fn warn_of_unmet_fractions(manifest: &Manifest) {
    for split in [Split::Validation, Split::Test] {
        let unmet = || manifest.unmet.iter().filter(move |unmet| unmet.split == split);
        let none: Vec<String> = unmet().filter(|unmet| unmet.images == 0).map(|unmet| quoted(&unmet.class)).collect();
        if !none.is_empty() {
            let whole = if none.len() == manifest.classes.len() { ": the split is empty" } else { "" };
            note!(
                "warning: {} of {} classes have no image in the {} split, so nothing is measured there ({}){whole}; a class has too few \
                 images, or they stay together (see `preprocess.split`)",
                none.len(),
                manifest.classes.len(),
                split.name(),
                first_few(&none)
            );
        }
        let off: Vec<String> = unmet()
            .filter(|unmet| unmet.images > 0)
            .map(|unmet| format!("{}: {} of {:.1}", quoted(&unmet.class), unmet.images, unmet.wanted))
            .collect();
        if !off.is_empty() {
            note!(
                "warning: the {} split has not the asked-for number of images of {} of {} classes, because groups stay together ({})",
                split.name(),
                off.len(),
                manifest.classes.len(),
                first_few(&off)
            );
        }
    }
}

fn quoted(name: &str) -> String {
    format!("`{}`", shown(name))
}

/// The first of a list, and how many more there are.
fn first_few(list: &[String]) -> String {
    let more = list.len().saturating_sub(FEW);
    let rest = if more > 0 { format!(", and {more} more: `manifest.json` lists all") } else { String::new() };
    format!("{}{rest}", list[..list.len() - more].join(", "))
}

/// Copies under two labels are mistakes of labelling, or classes that images can share: worth a look either way.
fn name_mixed_groups(work: &Contents) {
    let groups = work.groups();
    let mixed: Vec<(&usize, &Vec<usize>)> = groups
        .iter()
        .filter(|(_, members)| Contents::differ(members, |index| work.folder.images[index].label))
        .collect();
    for (group, members) in mixed.iter().take(FEW) {
        // One image of each class.
        let mut labels = Vec::new();
        let one_each = members.iter().filter(|&&index| {
            let label = work.folder.images[index].label;
            let is_new = !labels.contains(&label);
            labels.push(label);
            is_new
        });
        let names: Vec<String> = one_each.map(|&index| quoted(&work.folder.images[index].source)).collect();
        note!("warning: group {group} mixes classes: {}", names.join(", "));
    }
    if mixed.len() > FEW {
        note!("warning: {} more groups mix classes; `duplicates.csv` lists all", mixed.len() - FEW);
    }
}

fn duplicates(manifest: &Manifest, work: &Contents) -> String {
    let counts = &manifest.duplicates;
    let across = match counts.across_splits {
        0 => "none lies in more than one split".to_owned(),
        across => format!("{across} lie in more than one split and flatter the scores"),
    };
    let given = if manifest.settings.split.group_by.is_some() { " or share a given group" } else { "" };
    format!(
        "Duplicates: {} exact copies; {} images have an exact or near copy{given} (hash distance up to {} of 255); groups: {}, \
         of at most {} images; {} of them mix classes, {across}; `duplicates.csv` lists them.",
        counts.exact,
        counts.near,
        work.examined.max_distance,
        counts.groups,
        work.groups().values().map(Vec::len).max().unwrap_or_default(),
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

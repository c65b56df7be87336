//! What the models were trained and measured on.

use super::material::{Material, capitalised};
use crate::document::{Block, Cell, Column, Section, Table};
use crate::format::{count, counted};
use preprocess::manifest::Manifest;
use preprocess::pipeline::{AugmentSettings, Copies, Fill, Filter, Fit, ModelSettings, NearDuplicates, Sampler, Split};

pub(super) fn section(material: &Material) -> Section {
    let manifest = &material.results.manifest;
    let mut blocks = vec![Block::Table(counts_table(manifest))];
    let is_cared_for = material.results.models.iter().any(|model| makes_up_for_rare_classes(&model.config.settings));
    if !is_cared_for && let Some(note) = uneven(manifest) {
        blocks.push(Block::Note(note));
    }
    blocks.extend([Block::Paragraph(findings(manifest)), Block::Paragraph(settings(manifest))]);
    Section { id: "data", title: "Data set".into(), blocks }
}

/// How many times as many training images the largest class has from which on it is worth while to do something about
/// it.
const UNEVEN: usize = 5;

/// What could be done where some classes have far fewer training images than others.
fn uneven(manifest: &Manifest) -> Option<String> {
    let counts = manifest.counts.get(&Split::Train)?;
    let classes = || manifest.classes.iter().zip(counts).filter(|(_, images)| **images > 0);
    let (largest, most) = classes().max_by_key(|(_, images)| **images)?;
    let (smallest, least) = classes().min_by_key(|(_, images)| **images)?;
    (*most >= UNEVEN * least).then(|| {
        format!(
            "The classes are uneven: {largest} has {} to train on, {smallest} {}. Accuracy says little about the rare ones, look at the macro \
             recall and the worst class. `class_weights: balanced`, `sampler: balanced` or `logit_adjustment: 1` may serve them better.",
            counted(*most, "image", "images"),
            count(*least),
        )
    })
}

fn makes_up_for_rare_classes(settings: &ModelSettings) -> bool {
    settings.class_weights.is_some() || settings.sampler == Sampler::Balanced || settings.logit_adjustment > 0.0
}

/// Images by class and split.
fn counts_table(manifest: &Manifest) -> Table {
    let splits: Vec<(Split, &Vec<usize>)> =
        Split::ALL.into_iter().filter_map(|split| Some((split, manifest.counts.get(&split)?))).collect();
    let mut table = Table::new(["Class"]);
    table.columns.extend(splits.iter().map(|(split, _)| Column::number(capitalised(*split))));
    table.columns.push(Column::number("All"));
    for (label, class) in manifest.classes.iter().enumerate() {
        let counts: Vec<usize> = splits.iter().map(|(_, counts)| counts.get(label).copied().unwrap_or(0)).collect();
        table.row(numbers(class, &counts, false));
    }
    let totals: Vec<usize> = splits.iter().map(|(_, counts)| counts.iter().sum()).collect();
    table.row(numbers("All classes", &totals, true));
    table
}

/// A row of counts with their sum.
fn numbers(name: &str, counts: &[usize], strong: bool) -> Vec<Cell> {
    let total = counts.iter().sum();
    let texts = counts.iter().chain([&total]).map(|&number| count(number));
    std::iter::once(name.to_string()).chain(texts).map(|text| Cell::new(text, strong)).collect()
}

fn findings(manifest: &Manifest) -> String {
    let found = &manifest.duplicates;
    let mut text = format!(
        "Duplicates: {} exact, {} with a near-copy, in {}.",
        counted(found.exact, "image", "images"),
        counted(found.near, "image", "images"),
        counted(found.groups, "group", "groups")
    );
    if found.across_splits > 0 {
        text += &format!(
            " {} more than one split, which flatters the scores.",
            if found.across_splits == 1 {
                "1 group lies in".into()
            } else {
                format!("{} groups lie in", count(found.across_splits))
            }
        );
    } else {
        text += " No group lies in more than one split.";
    }
    if found.across_classes > 0 {
        text += &format!(
            " {} images of different classes: some labels may be wrong.",
            if found.across_classes == 1 {
                "1 group holds".into()
            } else {
                format!("{} groups hold", count(found.across_classes))
            }
        );
    }
    text + &match manifest.rejected {
        0 => " Every image could be read.".to_string(),
        rejected => format!(
            " {} could not be read and were left out (rejected.csv lists them).",
            counted(rejected, "file", "files")
        ),
    }
}

fn settings(manifest: &Manifest) -> String {
    let settings = &manifest.settings;
    let (image, split) = (&settings.image, &settings.split);
    let fit = match image.fit {
        Fit::Stretch => "stretched",
        Fit::Crop => "cropped",
        Fit::Pad => "padded",
    };
    let filter = match image.filter {
        Filter::Nearest => "nearest",
        Filter::Bilinear => "bilinear",
        Filter::Bicubic => "bicubic",
        Filter::Lanczos => "Lanczos",
    };
    let part = match image.crop_fraction {
        1.0 => String::new(),
        part => format!("the middle {} % of either side, ", part * 100.0),
    };
    let together = match split.near_duplicates {
        NearDuplicates::Together => "near-copies kept together",
        NearDuplicates::Ignore => "near-copies not kept together",
    };
    format!(
        "Images are {fit} to {} x {} pixels ({part}{filter} filter). Settings of the split: {:.0} % validation, {:.0} % test, seed {}, \
         {together}. {}",
        image.width,
        image.height,
        100.0 * split.validation,
        100.0 * split.test,
        split.seed,
        augmentation(&settings.augment)
    )
}

fn augmentation(augment: &AugmentSettings) -> String {
    let copies = match augment.copies {
        Copies::Stored(0) => return "No augmented copies.".to_string(),
        Copies::Stored(copies) => counted(copies, "augmented copy", "augmented copies"),
        Copies::Fly => "A new augmented copy in every epoch".to_string(),
    };
    let fill = match augment.fill {
        Fill::Nearest => "nearest",
        Fill::Constant => "constant",
        Fill::Reflect => "reflect",
        Fill::Wrap => "wrap",
    };
    format!(
        "{copies} of every training image: rotation ±{}°, shift ±{:.0} % and ±{:.0} %, shear ±{}°, zoom ±{:.0} %, brightness {} to {}, \
         horizontal flip {}, fill {fill}{}.",
        augment.rotation,
        100.0 * augment.shift[0],
        100.0 * augment.shift[1],
        augment.shear,
        100.0 * augment.zoom,
        augment.brightness[0],
        augment.brightness[1],
        if augment.horizontal_flip { "on" } else { "off" },
        further(augment)
    )
}

/// What torchvision's transforms do beside Keras' settings.
fn further(augment: &AugmentSettings) -> String {
    let range = |[low, high]: [f64; 2]| format!("{:.0} to {:.0} %", 100.0 * low, 100.0 * high);
    let parts = [
        augment.random_resized_crop.map(|crop| format!("random crops of {} of the original", range(crop.area))),
        augment.rand_augment.map(|policy| format!("RandAugment of {} ops, magnitude {}", policy.ops, policy.magnitude)),
        augment.trivial_augment.then(|| "TrivialAugment".to_owned()),
        augment.color.map(|color| {
            let [contrast, saturation] = [color.contrast, color.saturation].map(|part| 100.0 * part);
            format!("contrast ±{contrast:.0} %, saturation ±{saturation:.0} %, hue ±{:.0}°", 360.0 * color.hue)
        }),
        (augment.grayscale > 0.0).then(|| format!("grey with probability {}", augment.grayscale)),
        augment.blur.map(|blur| format!("blurred with probability {}", blur.probability)),
    ];
    parts.into_iter().flatten().map(|part| format!(", {part}")).collect()
}

//! Whether a `config.json` that is as it was written describes a model that can be: a right checksum says nothing about who computed
//! it, and sizes from a file decide about memory.

use crate::model::directory::{Config, FORMAT};
use preprocess::pipeline::limits;
use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::{Component, Path};

/// What is impossible about a configuration, if anything is.
pub(crate) fn impossible(config: &Config) -> Option<String> {
    let run = &config.run;
    let numbers: [(&str, usize, RangeInclusive<usize>); 8] = [
        ("format", config.format as usize, FORMAT as usize..=FORMAT as usize),
        ("num_classes", config.num_classes, 2..=config.label_names.len()),
        ("image.width", config.image.width, limits::IMAGE_SIDE),
        ("image.height", config.image.height, limits::IMAGE_SIDE),
        ("settings.epochs", config.settings.epochs, limits::EPOCHS),
        ("run.batch_size", run.batch_size, limits::BATCH_SIZE),
        ("run.epochs", run.epochs, limits::EPOCHS),
        ("best_epoch", config.best_epoch, 1..=run.epochs),
    ];
    let outside = numbers.into_iter().find(|(_, number, range)| !range.contains(number));
    if let Some((key, number, range)) = outside {
        return Some(match key {
            "format" => format!("its format is {number}, this program's is {FORMAT}"),
            _ => format!("`{key}` is {number}; it must be from {} to {}", range.start(), range.end()),
        });
    }
    if config.label_names.len() != config.num_classes {
        let names = config.label_names.len();
        return Some(format!("`num_classes` is {} and `label_names` holds {names} names", config.num_classes));
    }
    let mut names = HashSet::new();
    if let Some(twice) = config.label_names.iter().find(|name| !names.insert(*name)) {
        return Some(format!("`label_names` holds `{twice}` twice"));
    }
    let plain = |name: &str| matches!(Path::new(name).components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
    run.files.keys().find(|name| !plain(name)).map(|name| format!("`run.files` names `{name}`, which is no file name"))
}

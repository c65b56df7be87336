//! Labels that are changed, by the corrections that `preprocess` applies.

use super::programs::{self, Run};
use preprocess::Result;
use preprocess::stage::error::Context;
use preprocess::stage::names::csv_cell;
use preprocess::stage::random;
use std::collections::BTreeSet;

/// The part of all images whose label is changed.
const PART: f64 = 0.05;

/// To what labels are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any other class.
    Random,
    /// The class that looks alike.
    LookAlike,
}

impl Kind {
    /// As a table has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "at random",
            Self::LookAlike => "look-alike",
        }
    }
}

/// Changes the labels of a twentieth of the run's images, chosen by `seed`; returns their paths.
///
/// # Errors
/// The images cannot be listed; the disk refuses.
pub fn plant(run: &Run, kind: Kind, look_alike: &[[&str; 2]], seed: u64) -> Result<BTreeSet<String>> {
    let mut images = programs::images(&run.source)?;
    let wanted = (PART * images.len() as f64).round() as usize;
    let classes: Vec<String> =
        images.iter().map(|(class, _)| class.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    let mut stream = random::stream(seed, kind.name(), &[]);
    stream.shuffle(&mut images);
    let mut changed = Vec::new();
    for (class, path) in images {
        let other = match kind {
            Kind::Random => {
                classes.iter().filter(|other| **other != class).nth(stream.below(classes.len() - 1)).cloned()
            }
            Kind::LookAlike => look_alike.iter().find_map(|[a, b]| match class.as_str() {
                class if class == *a => Some((*b).to_owned()),
                class if class == *b => Some((*a).to_owned()),
                _ => None,
            }),
        };
        changed.extend(other.map(|other| (path, other)));
        if changed.len() == wanted {
            break;
        }
    }
    let rows = changed.iter().map(|(path, class)| format!("{},relabel,{}\n", csv_cell(path), csv_cell(class)));
    let text = format!("path,action,class\n{}", rows.collect::<String>());
    let file = run.corrections();
    std::fs::write(&file, text).context(|| format!("cannot write `{}`", file.display()))?;
    Ok(changed.into_iter().map(|(path, _)| path).collect())
}

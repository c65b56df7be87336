//! Cards of images, for the panel and the mistakes.

use super::material::Material;
use crate::figure::{Bar, Guess, SampleCard};
use crate::format::counted;
use crate::samples::Picks;
use train::model::predictions::Prediction;

/// The card of one image: what the models numbered `series` say of it, with bars for the `most` likely classes.
pub(super) fn card(
    material: &Material,
    picks: &Picks,
    row: usize,
    series: &[usize],
    most: usize,
) -> Option<SampleCard> {
    let classes = &material.results.manifest.classes;
    let said: Vec<(usize, &str, &Prediction)> = series
        .iter()
        .filter_map(|&index| {
            let model = material.results.models.get(index)?;
            Some((index, model.name.as_str(), model.predictions.get(&picks.split)?.rows.get(row)?))
        })
        .collect();
    let (_, _, first) = said.first()?;
    let shown = likely_classes(&said, classes.len(), first.label, most);
    let bar = |&class: &usize| Bar {
        name: classes[class].clone(),
        strong: class == first.label,
        values: said.iter().map(|(index, _, row)| (*index, f64::from(row.probabilities[class]))).collect(),
    };
    let guess = |(index, name, row): &(usize, &str, &Prediction)| Guess {
        model: name.to_string(),
        series: *index,
        class: classes[row.prediction].clone(),
        probability: f64::from(row.probabilities[row.prediction]),
        right: row.prediction == row.label,
    };
    let left_out = classes.len() - shown.len();
    Some(SampleCard {
        path: first.path.clone(),
        picture: material.pictures.get(&first.path).cloned(),
        truth: classes[first.label].clone(),
        guesses: said.iter().map(guess).collect(),
        bars: shown.iter().map(bar).collect(),
        rest: (left_out > 0).then(|| format!("and {} less likely", counted(left_out, "class", "classes"))),
    })
}

/// All classes in their order where they are few; otherwise those that any model finds most likely, and always the
/// true one, the likeliest first.
fn likely_classes(said: &[(usize, &str, &Prediction)], classes: usize, truth: usize, most: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..classes).collect();
    if classes > most {
        let likelihood = |class: usize| said.iter().map(|(_, _, row)| row.probabilities[class]).fold(0.0, f32::max);
        order.sort_by(|&a, &b| likelihood(b).total_cmp(&likelihood(a)));
        let rank = order.iter().position(|&class| class == truth).unwrap_or(0);
        order.truncate(most);
        if rank >= most {
            order[most - 1] = truth;
        }
    }
    order
}

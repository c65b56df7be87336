//! Where units of two images or more go.
//!
//! Of all classes in one order, so that a split's share of them is as exact as one group is small, even where a class
//! has two or three. Two things bind a class: no group takes it further beyond its quota than it lay below, and where
//! its single images are too few to fill the quota, its groups do. A class of groups alone is divided by itself in
//! this way.

use super::placing::{Placing, Unit};
use crate::pipeline::Split;

/// Places the units; `single` are the images that fill the quotas afterwards. Both are in the order of their places.
pub(crate) fn place(placing: &mut Placing, grouped: Vec<Unit>, single: &[Unit]) {
    let mut singles = vec![0; placing.quota[0].len()];
    single.iter().for_each(|unit| singles[unit.classes[0].0] += 1);
    let total: usize = placing.near.iter().sum();
    let mut open: Vec<&Unit> = grouped.iter().collect();
    for split in [Split::Test, Split::Validation] {
        let least: Vec<usize> = (0..singles.len()).map(|class| least(placing, &singles, split, class)).collect();
        take(placing, &mut open, &singles, split, |placing, unit| {
            unit.classes.iter().any(|&(class, _)| placing.has[split as usize][class] < least[class])
        });
        let share = placing.fractions[split as usize] * total as f64;
        let mut is_full = false;
        take(placing, &mut open, &singles, split, |placing, unit| {
            // Half of a group within: then it brings the split nearer to its share. The first that does not is the cut.
            is_full |= placing.near[split as usize] as f64 + unit.members.len() as f64 / 2.0 > share;
            !is_full
        });
        // Validation is cut off at the other end.
        open.reverse();
    }
}

/// Moves the open units that are wanted and possible into the split, one after another.
fn take(
    placing: &mut Placing,
    open: &mut Vec<&Unit>,
    singles: &[usize],
    split: Split,
    mut wanted: impl FnMut(&Placing, &Unit) -> bool,
) {
    open.retain(|unit| {
        let takes = wanted(placing, unit) && is_possible(placing, singles, split, unit);
        if takes {
            placing.place(unit, split);
        }
        !takes
    });
}

/// What a class must have of a split before its single images, divided between validation and test as those lack them,
/// fill the rest.
fn least(placing: &Placing, singles: &[usize], split: Split, class: usize) -> usize {
    let lacks = placing.lack(Split::Validation, class) + placing.lack(Split::Test, class);
    let fill = (singles[class] * placing.lack(split, class)).checked_div(lacks).unwrap_or(0);
    placing.quota[split as usize][class].saturating_sub(fill)
}

/// Whether none of the unit's classes would have too many images in the split, or none left for training.
fn is_possible(placing: &Placing, singles: &[usize], split: Split, unit: &Unit) -> bool {
    unit.classes.iter().all(|&(class, images)| {
        let lack = placing.lack(split, class);
        // What would stay open without this unit.
        let otherwise = lack.saturating_sub(singles[class]);
        let beyond = images.saturating_sub(lack);
        beyond <= otherwise && (lack > 0 || images == 0) && placing.has[Split::Train as usize][class] > images
    })
}

//! The images that the baseline and the present results both have.

use super::decision::{Answer, Pair};
use super::record::Record;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Both sides' answers for the images that they share, and what is told of the others.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Pairing {
    /// Images of the same content and class. Classes are numbered as they are now.
    pub pairs: Vec<Pair>,
    /// The records behind the pairs: before and now.
    pub records: Vec<(Record, Record)>,
    /// Images that only the present results have.
    pub new: usize,
    /// Images that only the baseline has.
    pub gone: usize,
    /// Images that both have, in different classes.
    pub relabelled: usize,
    /// Classes that all their images show to have another name now: before and now.
    pub renamed: Vec<(String, String)>,
}

/// Finds the images that both have. `before` and `now` are sorted; `now` carries the groups.
pub(crate) fn pair(before: &[Record], old: &[String], now: &[(Record, usize)], new: &[String]) -> Pairing {
    let same = same_classes(before, old, now, new);
    let renamed = same.iter().filter(|&(&from, &to)| old[from] != new[to]);
    let mut pairing = Pairing {
        renamed: renamed.map(|(&from, &to)| (old[from].clone(), new[to].clone())).collect(),
        ..Pairing::default()
    };
    let mut waiting: HashMap<(u64, usize), Vec<(Record, usize)>> = HashMap::new();
    for &(record, group) in now.iter().rev() {
        waiting.entry((record.content, record.label)).or_default().push((record, group));
    }
    let mut left_before: HashMap<u64, usize> = HashMap::new();
    for record in before {
        let key = same.get(&record.label).map(|&label| (record.content, label));
        match key.and_then(|key| waiting.get_mut(&key)).and_then(Vec::pop) {
            Some((present, group)) => {
                let (before, now) = (answer(record), answer(&present));
                pairing.pairs.push(Pair { class: present.label, group, before, now });
                pairing.records.push((*record, present));
            }
            None => *left_before.entry(record.content).or_default() += 1,
        }
    }
    let mut left_now: HashMap<u64, usize> = HashMap::new();
    for (record, _) in waiting.into_values().flatten() {
        *left_now.entry(record.content).or_default() += 1;
    }
    let in_both = |(content, left): (&u64, &usize)| left.min(left_now.get(content).unwrap_or(&0)).to_owned();
    pairing.relabelled = left_before.iter().map(in_both).sum();
    pairing.gone = left_before.values().sum::<usize>() - pairing.relabelled;
    pairing.new = left_now.values().sum::<usize>() - pairing.relabelled;
    pairing
}

fn answer(record: &Record) -> Answer {
    Answer { right: record.right(), loss: record.loss.nats() }
}

/// The classes of the baseline that are there now, by their name; a class of another name is the same where each of
/// its images that is still there is in that class now, and neither name stands on both sides.
fn same_classes(before: &[Record], old: &[String], now: &[(Record, usize)], new: &[String]) -> BTreeMap<usize, usize> {
    let position = |name: &String| new.iter().position(|other| other == name);
    let mut same: BTreeMap<usize, usize> =
        old.iter().enumerate().filter_map(|(from, name)| Some((from, position(name)?))).collect();
    let known: BTreeSet<usize> = same.values().copied().collect();
    let mut labels: HashMap<u64, BTreeSet<usize>> = HashMap::new();
    for (record, _) in now {
        labels.entry(record.content).or_default().insert(record.label);
    }
    let mut candidates: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for record in before.iter().filter(|record| !same.contains_key(&record.label)) {
        candidates.entry(record.label).or_default().extend(labels.get(&record.content).into_iter().flatten());
    }
    let only = |labels: &BTreeSet<usize>| labels.first().copied().filter(|_| labels.len() == 1);
    let renamed: Vec<(usize, usize)> =
        candidates.iter().filter_map(|(&from, labels)| Some((from, only(labels)?))).collect();
    for &(from, to) in &renamed {
        let claimed = renamed.iter().filter(|(_, other)| *other == to).count();
        if claimed == 1 && !known.contains(&to) {
            same.insert(from, to);
        }
    }
    same
}

#[cfg(test)]
mod tests {
    use super::super::record::Loss;
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split(' ').map(String::from).collect()
    }

    fn record(content: u64, label: usize) -> Record {
        Record { content, label, predicted: 0, loss: Loss(7) }
    }

    /// What is found, in the order pairs, new, gone, relabelled, renamed.
    fn found(
        before: &[(u64, usize)],
        old: &str,
        now: &[(u64, usize)],
        new: &str,
    ) -> (Vec<(u64, usize)>, usize, usize, usize, usize) {
        let sorted = |images: &[(u64, usize)]| {
            let mut records: Vec<Record> = images.iter().map(|&(content, label)| record(content, label)).collect();
            records.sort();
            records
        };
        let present: Vec<(Record, usize)> =
            sorted(now).into_iter().enumerate().map(|(g, record)| (record, g)).collect();
        let pairing = pair(&sorted(before), &names(old), &present, &names(new));
        let pairs = pairing.records.iter().map(|(before, now)| (before.content, now.label)).collect();
        (pairs, pairing.new, pairing.gone, pairing.relabelled, pairing.renamed.len())
    }

    #[test]
    fn images_are_known_by_content_and_class() {
        let cases = [
            ("the same", found(&[(1, 0), (2, 1)], "a b", &[(2, 1), (1, 0)], "a b"), (vec![(1, 0), (2, 1)], 0, 0, 0, 0)),
            (
                "one new, one gone",
                found(&[(1, 0), (2, 1)], "a b", &[(2, 1), (3, 0)], "a b"),
                (vec![(2, 1)], 1, 1, 0, 0),
            ),
            (
                "another order",
                found(&[(1, 0), (2, 1)], "a b", &[(1, 1), (2, 0)], "b a"),
                (vec![(1, 1), (2, 0)], 0, 0, 0, 0),
            ),
            ("relabelled", found(&[(1, 0), (2, 1)], "a b", &[(1, 1), (2, 1)], "a b"), (vec![(2, 1)], 0, 0, 1, 0)),
            ("a class added", found(&[(1, 0)], "a", &[(1, 0), (5, 1)], "a z"), (vec![(1, 0)], 1, 0, 0, 0)),
            ("a class removed", found(&[(1, 0), (2, 1)], "a b", &[(1, 0)], "a"), (vec![(1, 0)], 0, 1, 0, 0)),
            (
                "a class renamed",
                found(&[(1, 0), (2, 1)], "a b", &[(1, 0), (2, 1)], "a c"),
                (vec![(1, 0), (2, 1)], 0, 0, 0, 1),
            ),
            ("two classes merged", found(&[(1, 0), (2, 1)], "a b", &[(1, 0), (2, 0)], "c"), (vec![], 0, 0, 2, 0)),
            (
                "merged into one there is",
                found(&[(1, 0), (2, 1)], "a b", &[(1, 0), (2, 0)], "a"),
                (vec![(1, 0)], 0, 0, 1, 0),
            ),
            ("a class split", found(&[(1, 0), (2, 0)], "a", &[(1, 0), (2, 1)], "b c"), (vec![], 0, 0, 2, 0)),
            ("a copy less", found(&[(1, 0), (1, 0)], "a", &[(1, 0)], "a"), (vec![(1, 0)], 0, 1, 0, 0)),
            (
                "copies",
                found(&[(1, 0), (1, 0), (1, 1)], "a b", &[(1, 0), (1, 1), (1, 1)], "a b"),
                (vec![(1, 0), (1, 1)], 0, 0, 1, 0),
            ),
        ];
        for (name, got, expected) in cases {
            assert_eq!(got, expected, "{name}");
        }
    }
}

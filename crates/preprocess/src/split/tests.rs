use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn settings(validation: f64, test: f64) -> SplitSettings {
    SplitSettings { validation, test, ..SplitSettings::default() }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("class {index}")).collect()
}

/// Images of which each is its own group, unless `group` says otherwise.
#[derive(Clone, Default)]
struct Set {
    contents: Vec<String>,
    labels: Vec<usize>,
    groups: Vec<usize>,
    given: Vec<Option<Split>>,
    kept: Vec<Option<Split>>,
}

impl Set {
    fn of_classes(sizes: &[usize]) -> Self {
        let mut set = Self::default();
        for (label, &size) in sizes.iter().enumerate() {
            (0..size).for_each(|_| set.add(label, usize::MAX));
        }
        set
    }

    /// Adds an image to a group; to one of its own, where the group is `usize::MAX`.
    fn add(&mut self, label: usize, group: usize) {
        let index = self.labels.len();
        self.contents.push(format!("content {index}"));
        self.labels.push(label);
        self.groups.push(if group == usize::MAX { 1_000_000 + index } else { group });
        self.given.push(None);
        self.kept.push(None);
    }

    /// Adds groups of these sizes to a class.
    fn add_groups(&mut self, label: usize, sizes: &[usize]) {
        for &size in sizes {
            let group = self.labels.len();
            (0..size).for_each(|_| self.add(label, group));
        }
    }

    fn items(&self) -> Vec<Item<'_>> {
        (0..self.labels.len())
            .map(|i| Item {
                content: &self.contents[i],
                label: self.labels[i],
                group: self.groups[i],
                given: self.given[i],
                kept: self.kept[i],
            })
            .collect()
    }

    fn split(&self, settings: &SplitSettings) -> Vec<Split> {
        let classes = self.labels.iter().max().map_or(0, |most| most + 1);
        assign(&self.items(), &names(classes), settings).expect("assigned")
    }

    fn count(&self, splits: &[Split], label: usize) -> [usize; 3] {
        Split::ALL
            .map(|split| std::iter::zip(&self.labels, splits).filter(|(of, is)| **of == label && **is == split).count())
    }

    /// The share of the images of a split that lie in groups of two or more.
    fn share_of_groups(&self, splits: &[Split], split: Option<Split>) -> f64 {
        let mut sizes = BTreeMap::new();
        self.groups.iter().for_each(|group| *sizes.entry(group).or_insert(0) += 1);
        let of: Vec<bool> = std::iter::zip(&self.groups, splits)
            .filter(|(_, is)| split.is_none_or(|split| **is == split))
            .map(|(group, _)| sizes[group] > 1)
            .collect();
        of.iter().filter(|grouped| **grouped).count() as f64 / of.len() as f64
    }

    /// Frames as of a cartoon: groups of 2 to 11, a quarter of all images.
    fn like_frames(sizes: &[usize]) -> Self {
        let mut set = Self::default();
        for (label, &size) in sizes.iter().enumerate() {
            let (mut left, mut turn) = (size / 4, label);
            while left > 1 {
                let group = [2, 3, 2, 4, 2, 2, 3, 5, 2, 11, 2, 3, 8][turn % 13].min(left);
                set.add_groups(label, &[group]);
                (left, turn) = (left - group, turn + 1);
            }
            (0..size - size / 4 + left).for_each(|_| set.add(label, usize::MAX));
        }
        set
    }
}

#[test]
fn every_class_is_divided_by_the_fractions() {
    let cases = [
        (100, 0.2, 0.1, [70, 20, 10]),
        (10, 0.2, 0.1, [7, 2, 1]),
        (1, 0.2, 0.1, [1, 0, 0]),
        (2, 0.2, 0.1, [2, 0, 0]),
        (3, 0.2, 0.1, [2, 1, 0]),
        (4, 0.2, 0.1, [3, 1, 0]),
        (5, 0.2, 0.1, [4, 1, 0]),
        (6, 0.2, 0.1, [4, 1, 1]),
        (50, 0.0, 0.0, [50, 0, 0]),
        (50, 0.2, 0.0, [40, 10, 0]),
        (50, 0.0, 0.3, [35, 0, 15]),
        (1, 0.8, 0.1, [1, 0, 0]),
        (4, 0.45, 0.45, [0, 2, 2]),
    ];
    for (size, validation, test, expected) in cases {
        let set = Set::of_classes(&[size, 40]);
        let counts = set.count(&set.split(&settings(validation, test)), 0);
        if expected[0] > 0 {
            assert_eq!(counts, expected, "{size} images by {validation} and {test}");
        }
        assert!(counts[0] > 0, "{size} images by {validation} and {test}: a class keeps a training image");
    }
}

#[test]
fn groups_come_as_near_to_the_fractions_as_they_allow() {
    let mut large = [1; 61];
    large[0] = 40;
    // A class of groups of these sizes, what it may be divided into by 0.2 and 0.1.
    type Case<'a> = (&'a str, &'a [usize], &'a [[usize; 3]]);
    let cases: [Case; 6] = [
        ("ten videos of 50 frames", &[50; 10], &[[350, 100, 50]]),
        ("fifteen videos: 75 and 150 are asked for", &[50; 15], &[[550, 150, 50], [500, 150, 100], [550, 100, 100]]),
        ("four: one is nearer to none than to a test split", &[25; 4], &[[75, 25, 0]]),
        ("all are one group", &[40], &[[40, 0, 0]]),
        ("40 % are one group, which single images can do without", &large, &[[70, 20, 10]]),
        ("five pairs", &[2; 5], &[[6, 2, 2]]),
    ];
    for seed in 0..20 {
        for (name, sizes, expected) in cases {
            let mut set = Set::default();
            set.add_groups(0, sizes);
            set.add_groups(1, &[1; 40]);
            let counts = set.count(&set.split(&SplitSettings { seed, ..settings(0.2, 0.1) }), 0);
            assert!(expected.contains(&counts), "{name}, seed {seed}: {counts:?}");
        }
    }
}

#[test]
fn every_split_has_its_share_of_near_copies() {
    let set = Set::like_frames(&[821, 559, 1207, 422, 411, 2021, 322, 789]);
    let whole = set.share_of_groups(&vec![Split::Train; set.labels.len()], None);
    for seed in 0..20 {
        let splits = set.split(&SplitSettings { seed, ..settings(0.2, 0.1) });
        for split in Split::ALL {
            let share = set.share_of_groups(&splits, Some(split));
            assert!((share - whole).abs() < 0.01, "seed {seed}, {}: {share} of {whole}", split.name());
        }
        for label in 0..8 {
            let counts = set.count(&splits, label);
            let total = counts.iter().sum::<usize>() as f64;
            let off = |split: usize, fraction: f64| (counts[split] as f64 - fraction * total).abs();
            assert!(off(1, 0.2) <= 0.5 && off(2, 0.1) <= 0.5, "seed {seed}, class {label}: {counts:?}");
        }
    }
}

/// Images of each class that have another split than before, without those that are there only once.
fn moved(before: &Set, after: &Set, settings: &SplitSettings) -> Vec<usize> {
    let old: BTreeMap<&String, Split> = std::iter::zip(&before.contents, before.split(settings)).collect();
    let mut moved = vec![0; 1 + before.labels.iter().max().expect("images")];
    for ((content, label), split) in
        std::iter::zip(std::iter::zip(&after.contents, &after.labels), after.split(settings))
    {
        moved[*label] += usize::from(old.get(content).is_some_and(|old| *old != split));
    }
    moved
}

#[test]
fn one_image_more_or_less_moves_few() {
    let sizes = [821, 559, 1207, 422, 2021, 322];
    let set = Set::like_frames(&sizes);
    let (mut worst, mut above, mut sum, mut changes) = (0.0f64, 0, 0, 0);
    for seed in 0..3 {
        let settings = SplitSettings { seed, ..settings(0.2, 0.1) };
        for index in (0..set.labels.len()).step_by(47) {
            let mut less = set.clone();
            for list in [&mut less.labels, &mut less.groups] {
                list.remove(index);
            }
            less.contents.remove(index);
            less.given.remove(index);
            less.kept.remove(index);
            let mut more = set.clone();
            more.add(set.labels[index], usize::MAX);
            let is_single = set.groups[index] >= 1_000_000;
            for (name, other) in [("removed", &less), ("added", &more)] {
                let moved = moved(&set, other, &settings);
                if is_single || name == "added" {
                    assert!(moved.iter().sum::<usize>() <= 2, "{name} {index}, seed {seed}: {moved:?}");
                }
                let share = std::iter::zip(&moved, &sizes).map(|(&moved, &size)| moved as f64 / size as f64);
                let share = share.fold(0.0, f64::max);
                (worst, above, changes) = (worst.max(share), above + usize::from(share > 0.01), changes + 1);
                sum += moved.iter().sum::<usize>();
            }
        }
    }
    let mean = sum as f64 / changes as f64;
    // What is above 1 % is a group that loses the member by which it was placed, and as many images as it had.
    assert!(
        above * 100 <= changes && worst < 0.05 && mean < 2.0,
        "{above} of {changes} above 1 %, {worst} at worst, {mean}"
    );
}

#[test]
fn names_and_the_order_of_classes_decide_nothing() {
    let mut set = Set::like_frames(&[120, 300, 77]);
    // Exact copies: of one class, and of two.
    for (copy, of) in [(3, 200), (100, 101), (130, 400)] {
        set.contents[copy] = set.contents[of].clone();
        set.groups[copy] = set.groups[of];
    }
    let settings = settings(0.2, 0.1);
    let before = set.split(&settings);
    // A class's other name gives its images other labels and another place among the items; groups are numbered anew.
    let mut order: Vec<usize> = (0..set.labels.len()).rev().collect();
    order.sort_by_key(|&index| [2, 0, 1][set.labels[index]]);
    let renamed = Set {
        contents: order.iter().map(|&index| set.contents[index].clone()).collect(),
        labels: order.iter().map(|&index| [2, 0, 1][set.labels[index]]).collect(),
        groups: order.iter().map(|&index| 5_000_000 - set.groups[index]).collect(),
        given: vec![None; order.len()],
        kept: vec![None; order.len()],
    };
    let after = renamed.split(&settings);
    for (position, &index) in order.iter().enumerate() {
        assert_eq!(after[position], before[index], "{}", set.contents[index]);
    }
}

#[test]
fn given_splits_stand_and_missing_ones_are_taken_from_the_training_directory() {
    let mut set = Set::of_classes(&[100, 100]);
    for index in 0..200 {
        set.given[index] = Some(if index % 10 == 0 { Split::Test } else { Split::Train });
    }
    let splits = set.split(&settings(0.2, 0.1));
    assert_eq!((0..2).map(|label| set.count(&splits, label)).collect::<Vec<_>>(), [[72, 18, 10]; 2]);
    assert!((0..200).all(|index| (set.given[index] == Some(Split::Test)) == (splits[index] == Split::Test)));
}

#[test]
fn kept_splits_stand_and_count_and_draw_their_near_copies() {
    let mut set = Set::of_classes(&[100, 100]);
    let first = set.split(&settings(0.2, 0.1));
    set.kept = first.iter().copied().map(Some).collect();
    let of = |split: Split| first.iter().position(|is| *is == split).expect("every split has one");
    let torn = of(Split::Test);
    set.groups[of(Split::Train)] = set.groups[torn];
    for near in [torn, of(Split::Validation)] {
        set.add(0, set.groups[near]);
    }
    (0..98).for_each(|_| set.add(0, usize::MAX));
    // Another seed: what is kept does not come from chance.
    let splits = set.split(&SplitSettings { seed: 99, ..settings(0.2, 0.1) });
    assert_eq!(splits[..200], first, "what is known stays");
    assert_eq!(splits[200..202], [Split::Test, Split::Validation], "near-copies go where theirs are");
    assert_eq!(set.count(&splits, 0), [140, 40, 20], "what is kept counts in the quotas");
}

#[test]
fn a_class_without_a_training_image_is_named() {
    let mut set = Set::of_classes(&[30, 4]);
    // All of the small class hangs together with images of the other.
    for index in 26..34 {
        set.groups[index] = 26;
    }
    for (validation, test) in [(0.8, 0.1), (0.1, 0.8), (0.5, 0.49)] {
        let splits = set.split(&settings(validation, test));
        assert!(set.count(&splits, 1)[0] > 0, "{validation} and {test}");
    }
    set.kept[30..].fill(Some(Split::Test));
    let error = assign(&set.items(), &names(2), &settings(0.8, 0.1)).expect_err("refused").to_string();
    assert!(error.contains("leaves the class `class 1` without a training image"), "{error}");
    set.kept.fill(None);
    let nothing = assign(&set.items(), &names(3), &settings(0.1, 0.1)).expect_err("refused").to_string();
    assert!(nothing.contains("the class `class 2` has no image that can be decoded"), "{nothing}");
}

proptest! {
    #[test]
    fn groups_stay_whole_and_classes_near_their_fractions(
        sizes in proptest::collection::vec(1usize..60, 2..5), seed: u64, spread in 1usize..6, mixed in 0usize..9,
        rotation in 0usize..100,
    ) {
        let mut set = Set::of_classes(&sizes);
        for (index, group) in set.groups.iter_mut().enumerate() {
            *group = index / spread;
        }
        // Some groups reach into the next class.
        for index in (0..set.labels.len()).filter(|_| mixed > 0).step_by(mixed * 7 + 1) {
            set.groups[index] = 0;
        }
        let settings = SplitSettings { seed, ..settings(0.2, 0.1) };
        let items = set.items();
        let splits = set.split(&settings);
        for (index, item) in items.iter().enumerate() {
            let partner = items.iter().position(|other| other.group == item.group).expect("itself");
            prop_assert_eq!(splits[index], splits[partner]);
        }
        for label in 0..sizes.len() {
            prop_assert!(set.count(&splits, label)[0] > 0);
        }
        if mixed == 0 {
            for (label, &size) in sizes.iter().enumerate() {
                let validation = set.count(&splits, label)[1] as f64;
                prop_assert!((validation - 0.2 * size as f64).abs() <= spread as f64 + 1.0, "{validation} of {size}");
            }
        }
        let mut turned = items.clone();
        turned.rotate_left(rotation % items.len());
        let mut turned_splits = assign(&turned, &names(sizes.len()), &settings).expect("as before");
        turned_splits.rotate_right(rotation % items.len());
        prop_assert_eq!(splits, turned_splits);
    }
}

use super::*;
use proptest::prelude::*;

fn settings(validation: f64, test: f64) -> SplitSettings {
    SplitSettings { validation, test, ..SplitSettings::default() }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("class {index}")).collect()
}

/// Items of which each is its own group, unless `group` says otherwise.
struct Set {
    sources: Vec<String>,
    labels: Vec<usize>,
    groups: Vec<usize>,
    given: Vec<Option<Split>>,
}

impl Set {
    fn of_classes(sizes: &[usize]) -> Self {
        let labels: Vec<usize> =
            sizes.iter().enumerate().flat_map(|(label, &size)| std::iter::repeat_n(label, size)).collect();
        let sources = labels.iter().enumerate().map(|(index, label)| format!("{label}/{index}.png")).collect();
        Self { sources, groups: (0..labels.len()).collect(), given: vec![None; labels.len()], labels }
    }

    fn items(&self) -> Vec<Item<'_>> {
        (0..self.labels.len())
            .map(|i| Item {
                source: &self.sources[i],
                label: self.labels[i],
                group: self.groups[i],
                given: self.given[i],
            })
            .collect()
    }

    fn count(&self, splits: &[Split], label: usize) -> [usize; 3] {
        Split::ALL
            .map(|split| std::iter::zip(&self.labels, splits).filter(|(of, is)| **of == label && **is == split).count())
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
        (50, 0.0, 0.0, [50, 0, 0]),
        (50, 0.2, 0.0, [40, 10, 0]),
        (50, 0.0, 0.3, [35, 0, 15]),
    ];
    for (size, validation, test, expected) in cases {
        let set = Set::of_classes(&[size, 40]);
        let splits = assign(&set.items(), &names(2), &settings(validation, test)).expect("assigned");
        assert_eq!(set.count(&splits, 0), expected, "{size} images by {validation} and {test}");
    }
}

#[test]
fn given_splits_stand_and_missing_ones_are_taken_from_the_training_directory() {
    let mut set = Set::of_classes(&[100, 100]);
    for index in 0..200 {
        set.given[index] = Some(if index % 10 == 0 { Split::Test } else { Split::Train });
    }
    let splits = assign(&set.items(), &names(2), &settings(0.2, 0.1)).expect("assigned");
    assert_eq!((0..2).map(|label| set.count(&splits, label)).collect::<Vec<_>>(), [[72, 18, 10]; 2]);
    assert!((0..200).all(|index| (set.given[index] == Some(Split::Test)) == (splits[index] == Split::Test)));
}

#[test]
fn a_class_without_a_training_image_is_named() {
    let mut set = Set::of_classes(&[30, 4]);
    // All of the small class hangs together with images of the other, and validation is what the large class lacks most.
    for index in 26..34 {
        set.groups[index] = 26;
    }
    let error = assign(&set.items(), &names(2), &settings(0.8, 0.1)).expect_err("refused").to_string();
    assert!(error.contains("leaves the class `class 1` without a training image"), "{error}");
    let nothing = assign(&set.items(), &names(3), &settings(0.1, 0.1)).expect_err("refused").to_string();
    assert!(nothing.contains("the class `class 2` has no image that can be decoded"), "{nothing}");
    let apart = SplitSettings { near_duplicates: NearDuplicates::Ignore, ..settings(0.2, 0.1) };
    assign(&set.items(), &names(2), &apart).expect("ignored groups do not bind");
}

proptest! {
    #[test]
    fn groups_stay_whole_and_order_does_not_matter(
        sizes in proptest::collection::vec(8usize..60, 2..5), seed: u64, spread in 1usize..6, rotation in 0usize..100,
    ) {
        let mut set = Set::of_classes(&sizes);
        for (index, group) in set.groups.iter_mut().enumerate() {
            *group = index / spread;
        }
        let settings = SplitSettings { seed, ..settings(0.2, 0.1) };
        let items = set.items();
        let Ok(splits) = assign(&items, &names(sizes.len()), &settings) else { return Ok(()) };
        for (index, item) in items.iter().enumerate() {
            let partner = items.iter().position(|other| other.group == item.group).expect("itself");
            prop_assert_eq!(splits[index], splits[partner]);
        }
        for (label, &size) in sizes.iter().enumerate() {
            let validation = set.count(&splits, label)[1] as f64;
            prop_assert!((validation - 0.2 * size as f64).abs() <= spread as f64 + 1.0, "{validation} of {size}");
        }
        let mut turned = items.clone();
        turned.rotate_left(rotation % items.len());
        let mut turned_splits = assign(&turned, &names(sizes.len()), &settings).expect("as before");
        turned_splits.rotate_right(rotation % items.len());
        prop_assert_eq!(splits, turned_splits);
    }
}

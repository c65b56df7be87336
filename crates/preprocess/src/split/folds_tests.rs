use super::*;
use proptest::prelude::*;

/// Images as (label, group); what each holds follows from its number.
struct Set {
    contents: Vec<String>,
    images: Vec<(usize, usize)>,
}

impl Set {
    fn new(images: Vec<(usize, usize)>) -> Self {
        // In the order of chance, as BLAKE3 is.
        let content = |index: usize| crate::stage::fingerprint::of_bytes(&index.to_le_bytes());
        Self { contents: (0..images.len()).map(content).collect(), images }
    }

    /// Of each class so many images, each by itself.
    fn of_classes(sizes: &[usize]) -> Self {
        let labels = sizes.iter().enumerate().flat_map(|(label, &size)| std::iter::repeat_n(label, size));
        Self::new(labels.enumerate().map(|(index, label)| (label, index)).collect())
    }

    /// Of each class groups of these sizes.
    fn of_groups(classes: &[Vec<usize>]) -> Self {
        let mut images = Vec::new();
        let groups = classes.iter().enumerate().flat_map(|(label, sizes)| sizes.iter().map(move |size| (label, *size)));
        for (group, (label, size)) in groups.enumerate() {
            images.extend(std::iter::repeat_n((label, group), size));
        }
        Self::new(images)
    }

    fn items(&self) -> Vec<FoldItem<'_>> {
        let item = |(content, &(label, group))| FoldItem { label, group, content };
        std::iter::zip(self.contents.iter().map(String::as_str), &self.images).map(item).collect()
    }
}

/// The difference between the fold that has most of the images and the one that has fewest.
fn spread(items: &[FoldItem], of: &[usize], folds: usize, counts: impl Fn(&FoldItem) -> bool) -> usize {
    let mut has = vec![0; folds];
    std::iter::zip(items, of).filter(|(item, _)| counts(item)).for_each(|(_, &fold)| has[fold] += 1);
    has.iter().max().unwrap_or(&0) - has.iter().min().unwrap_or(&0)
}

#[test]
fn cases_that_are_easily_forgotten() {
    type Case<'a> = (&'a str, Set, usize, &'a [usize]);
    let cases: [Case; 6] = [
        ("no images", Set::of_classes(&[]), 5, &[]),
        ("one image", Set::of_classes(&[1]), 5, &[0, 0, 0, 0, 1]),
        ("a class of fewer images than folds", Set::of_classes(&[3]), 5, &[0, 0, 1, 1, 1]),
        ("all images in one group", Set::new(vec![(0, 7), (1, 7), (0, 7)]), 2, &[0, 3]),
        ("one fold", Set::of_classes(&[2, 2]), 1, &[4]),
        ("no fold is one", Set::of_classes(&[2, 2]), 0, &[4]),
    ];
    for (name, set, folds, expected) in cases {
        let of = super::folds(&set.items(), folds, 1);
        assert_eq!(of.len(), set.images.len(), "{name}");
        let mut sizes: Vec<usize> = (0..folds.max(1)).map(|fold| of.iter().filter(|&&is| is == fold).count()).collect();
        sizes.sort_unstable();
        assert!(sizes == expected || set.images.is_empty(), "{name}: {sizes:?}");
    }
}

#[test]
fn classes_of_one_image_are_spread_over_all_folds() {
    let set = Set::of_classes(&[1; 23]);
    assert_eq!(spread(&set.items(), &folds(&set.items(), 5, 3), 5, |_| true), 1);
}

#[test]
fn single_images_even_out_what_groups_left() {
    // A video of 12 frames is one fold's share of 60 images; another of 9 lacks three.
    let mut sizes = vec![12, 9];
    sizes.extend([1; 39]);
    let set = Set::of_groups(&[sizes, vec![1; 20]]);
    for seed in 0..10 {
        let of = folds(&set.items(), 5, seed);
        for label in 0..2 {
            assert_eq!(spread(&set.items(), &of, 5, |item| item.label == label), 0, "seed {seed}, class {label}");
        }
    }
}

#[test]
fn equal_files_have_one_fold() {
    let mut set = Set::of_classes(&[10, 10]);
    set.contents[13] = set.contents[4].clone();
    let of = folds(&set.items(), 5, 1);
    assert_eq!(of[13], of[4]);
}

#[test]
fn the_seed_decides() {
    let set = Set::of_classes(&[50, 50]);
    assert_eq!(folds(&set.items(), 5, 1), folds(&set.items(), 5, 1));
    assert_ne!(folds(&set.items(), 5, 1), folds(&set.items(), 5, 2));
}

proptest! {
    #[test]
    fn single_images_are_spread_as_evenly_as_can_be(
        sizes in proptest::collection::vec(0usize..40, 0..8), folds in 2usize..21, seed: u64,
    ) {
        let set = Set::of_classes(&sizes);
        let items = set.items();
        let of = super::folds(&items, folds, seed);
        prop_assert!(of.iter().all(|fold| *fold < folds));
        prop_assert!(spread(&items, &of, folds, |_| true) <= 1);
        for label in 0..sizes.len() {
            prop_assert!(spread(&items, &of, folds, |item| item.label == label) <= 1);
        }
    }

    #[test]
    fn groups_of_one_class_leave_it_no_more_uneven_than_the_largest(
        classes in proptest::collection::vec(proptest::collection::vec(1usize..9, 1..20), 1..5),
        folds in 2usize..21, seed: u64,
    ) {
        let set = Set::of_groups(&classes);
        let items = set.items();
        let of = super::folds(&items, folds, seed);
        for (label, groups) in classes.iter().enumerate() {
            let largest = groups.iter().max().copied().unwrap_or_default();
            prop_assert!(spread(&items, &of, folds, |item| item.label == label) <= largest);
        }
    }

    #[test]
    fn groups_stay_whole_and_numbers_and_order_decide_nothing(
        images in proptest::collection::vec((0usize..4, 0usize..40), 0..120), folds in 2usize..21, seed: u64,
        order: u64, equal in proptest::collection::vec((0usize..120, 0usize..120), 0..4),
    ) {
        let mut set = Set::new(images);
        for (a, b) in equal.into_iter().filter(|(a, b)| a.max(b) < &set.images.len()) {
            set.contents[a] = set.contents[b].clone();
        }
        let items = set.items();
        let of = super::folds(&items, folds, seed);
        for (item, fold) in std::iter::zip(&items, &of) {
            let partner = items.iter().position(|other| other.group == item.group).unwrap_or_default();
            prop_assert_eq!(*fold, of[partner]);
        }
        let mut shuffled: Vec<usize> = (0..items.len()).collect();
        random::stream(order, "order", &[]).shuffle(&mut shuffled);
        let renamed: Vec<FoldItem> = shuffled
            .iter()
            .map(|&index| FoldItem { label: [7, 2, 9, 0][items[index].label], group: 99 - items[index].group, ..items[index] })
            .collect();
        let after = super::folds(&renamed, folds, seed);
        for (position, &index) in shuffled.iter().enumerate() {
            prop_assert_eq!(after[position], of[index]);
        }
    }
}

//! The order in which an epoch sees the images, and how it is cut into batches.

use preprocess::stage::random;
use std::ops::Range;

/// A shuffle of all images that follows from the seed and the epoch (from 0).
pub fn shuffled(count: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    random::stream(seed, "shuffle", &[&(epoch as u64).to_le_bytes()]).shuffle(&mut order);
    order
}

/// As many images as there are labels, of every class as many (within one), shuffled. Each class' images come in shuffles
/// of their own, one after another and on from epoch to epoch, so that each has come as often as the others (within one).
pub(crate) fn balanced(labels: &[usize], seed: u64, epoch: usize) -> Vec<usize> {
    let classes = labels.iter().max().map_or(0, |most| most + 1);
    let mut of_class: Vec<Vec<usize>> = vec![Vec::new(); classes];
    labels.iter().enumerate().for_each(|(image, &label)| of_class[label].push(image));
    of_class.retain(|images| !images.is_empty());
    let classes = of_class.len().max(1);
    let most = labels.len().div_ceil(classes);
    // Where the classes do not divide the images, so many have one less than the most; they take turns.
    let fewer = most * classes - labels.len();
    let turns_before = |class: usize, epoch: usize| (epoch * fewer + classes - 1 - class) / classes;
    let shown_before = |class: usize, epoch: usize| epoch * most - turns_before(class, epoch);
    let mut order = Vec::with_capacity(labels.len());
    for (class, images) in of_class.iter().enumerate() {
        let (mut round, mut shuffle) = (usize::MAX, Vec::new());
        for at in shown_before(class, epoch)..shown_before(class, epoch + 1) {
            if at / images.len() != round {
                round = at / images.len();
                shuffle.clone_from(images);
                let keys = [class as u64, round as u64].map(u64::to_le_bytes);
                random::stream(seed, "balanced", &[&keys[0], &keys[1]]).shuffle(&mut shuffle);
            }
            order.push(shuffle[at % images.len()]);
        }
    }
    random::stream(seed, "shuffle", &[&(epoch as u64).to_le_bytes()]).shuffle(&mut order);
    order
}

/// Cuts so many images into the fewest batches of at most `size`, all as large as each other within one, the larger ones
/// first: a last batch of one image would move batch normalisation's statistics by as much as a full one.
pub(crate) fn batches(count: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    let batches = count.div_ceil(size);
    let (least, larger) = (count / batches.max(1), count % batches.max(1));
    let start = move |batch: usize| batch * least + batch.min(larger);
    (0..batches).map(move |batch| start(batch)..start(batch + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seeds_and_epochs_give_different_orders() {
        let labels: Vec<usize> = (0..100).map(|image| usize::from(image % 5 == 0)).collect();
        for order in [&shuffled as &dyn Fn(usize, u64, usize) -> _, &|_, seed, epoch| balanced(&labels, seed, epoch)] {
            let base = order(100, 1, 0);
            assert_eq!(base, order(100, 1, 0));
            assert_ne!(base, order(100, 1, 1));
            assert_ne!(base, order(100, 2, 0));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn balanced_epochs_show_every_class_and_in_time_every_image_as_often(
            counts in prop::collection::vec(0usize..40, 1..6), seed: u64, epochs in 1usize..6,
        ) {
            let labels: Vec<usize> = counts.iter().enumerate().flat_map(|(class, &n)| vec![class; n]).collect();
            let classes = counts.iter().filter(|&&count| count > 0).count();
            let mut shown = vec![0usize; labels.len()];
            for epoch in 0..epochs {
                let order = balanced(&labels, seed, epoch);
                prop_assert_eq!(order.len(), labels.len());
                let mut of_class = vec![0usize; counts.len()];
                order.iter().for_each(|&image| {
                    of_class[labels[image]] += 1;
                    shown[image] += 1;
                });
                let shares: Vec<usize> =
                    of_class.iter().zip(&counts).filter(|(_, images)| **images > 0).map(|(shown, _)| *shown).collect();
                if let (Some(least), Some(most)) = (shares.iter().min(), shares.iter().max()) {
                    prop_assert!(most - least <= 1 && shares.len() == classes, "{:?}", of_class);
                }
            }
            for (class, _) in counts.iter().enumerate().filter(|(_, images)| **images > 0) {
                let of_class: Vec<usize> =
                    shown.iter().zip(&labels).filter(|(_, label)| **label == class).map(|(shown, _)| *shown).collect();
                let (least, most) = (of_class.iter().min().unwrap(), of_class.iter().max().unwrap());
                prop_assert!(most - least <= 1, "{:?}", of_class);
            }
        }

        #[test]
        fn batches_are_even_and_hold_all(count in 0usize..500, size in 1usize..70) {
            let all: Vec<Range<usize>> = batches(count, size).collect();
            prop_assert_eq!(all.len(), count.div_ceil(size));
            prop_assert_eq!(all.iter().cloned().flatten().collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
            let lengths: Vec<usize> = all.iter().map(Range::len).collect();
            prop_assert!(lengths.is_sorted_by(|a, b| a >= b) && lengths.iter().all(|len| (1..=size).contains(len)));
            prop_assert!(lengths.first().copied().unwrap_or(0) <= lengths.last().copied().unwrap_or(0) + 1);
        }
    }
}

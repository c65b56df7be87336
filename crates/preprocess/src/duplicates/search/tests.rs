use super::*;
use crate::duplicates::find;
use crate::image::Pixels;
use crate::stage::random;
use std::time::Instant;

#[test]
fn matches_between_classes_lower_the_limit() {
    let choose_limit = |pairs: &[Pair], labels: &[usize]| {
        let mut state = Search::new(&[], labels).state.into_inner().expect("not poisoned");
        state.groups = LIMITS.iter().map(|_| Groups::new(labels.len())).collect();
        state.nearest = [vec![u32::MAX; labels.len()], vec![u32::MAX; labels.len()]];
        state.another_class = vec![u32::MAX; labels.len()];
        pairs.iter().for_each(|pair| state.see(pair, labels));
        state.choose_limit()
    };
    let pair = |first, second, distance| Pair { first, second, distance, way: Way::Plain };
    let labels: Vec<usize> = (0..1000).map(|index| index % 2).collect();
    let cases: [(&str, Vec<Pair>, u32); 5] = [
        ("no pairs", vec![], MAX_DISTANCE),
        ("pairs within a class", (0..200).map(|i| pair(2 * i, 2 * i + 2, 47)).collect(), MAX_DISTANCE),
        ("one pair between classes", vec![pair(0, 1, 40)], MAX_DISTANCE),
        ("three far pairs between classes", (0..3).map(|i| pair(2 * i, 2 * i + 1, 41)).collect(), 40),
        (
            "many pairs at all distances",
            (0..200).map(|i| pair(2 * i, 2 * i + 1, 17 + i as u32 % 32)).collect(),
            MIN_DISTANCE,
        ),
    ];
    for (name, pairs, limit) in cases {
        assert_eq!(choose_limit(&pairs, &labels), limit, "{name}");
    }
    let mislabelled: Vec<Pair> = (0..200).map(|i| pair(2 * i, 2 * i + 1, 3)).collect();
    assert_eq!(choose_limit(&mislabelled, &labels), MAX_DISTANCE, "plain copies under two labels");
}

#[test]
fn every_distance_has_the_strictest_limit_that_it_keeps() {
    for distance in 0..=MAX_DISTANCE {
        let expected = LIMITS.iter().position(|limit| distance <= *limit).expect("within the widest");
        assert_eq!(step(distance), expected, "{distance}");
    }
}

/// Frames of one scene, rich in detail, with noise of their own: every pair of them is a near-copy.
fn noisy_frames(count: usize) -> Vec<Signature> {
    let mut random = random::stream(0, "scene", &[]);
    let waves: Vec<[f64; 3]> =
        (0..256).map(|index| [f64::from(index / 16), f64::from(index % 16), random.range(-12.0, 12.0)]).collect();
    let value = |index: usize| {
        let (x, y) = ((index % 32) as f64 + 0.5, (index / 32) as f64 + 0.5);
        let wave = |[k, l, height]: &[f64; 3]| height * (k * y * 0.0982).cos() * (l * x * 0.0982).cos();
        128.0 + waves.iter().map(wave).sum::<f64>()
    };
    let scene: Vec<f64> = (0..32 * 32).map(value).collect();
    (0..count)
        .map(|frame| {
            let mut random = random::stream(frame as u64, "noise", &[]);
            let noisy = |value: &f64| [(value + random.range(-25.0, 25.0)).clamp(0.0, 255.0) as u8; 3];
            Signature::of(&Pixels { width: 32, height: 32, data: scene.iter().flat_map(noisy).collect() })
        })
        .collect()
}

/// Twice the frames are four times the pairs; what is kept of them only doubles, and pairs that say nothing new are
/// passed over.
#[test]
fn frames_of_one_scene_take_no_memory_for_their_pairs() {
    let frames = noisy_frames(4000);
    let labels = vec![0; frames.len()];
    let search = Search::new(&frames, &labels);
    let known = search.lock().known();
    let pairs = search.near_after(0, &known).count();
    assert!(pairs > 3000, "most frames are near-copies of the first: {pairs}");
    let started = Instant::now();
    let found = find(&frames, &labels).expect("found");
    assert!(found.group.iter().filter(|group| **group == found.group[0]).count() > 3900);
    // What a second block leaves of the pairs: those with frames that are not yet known to belong.
    let search = Search::new(&frames, &labels);
    let all = search.lock().known();
    for first in 0..BLOCK {
        search.near_after(first, &all).for_each(|pair| search.lock().see(&pair, &labels));
    }
    let known = search.lock().known();
    let left: usize = (BLOCK..2 * BLOCK).map(|first| search.near_after(first, &known).count()).sum();
    assert!(left < 256 * 10, "{left} of about a million pairs are looked at again");
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

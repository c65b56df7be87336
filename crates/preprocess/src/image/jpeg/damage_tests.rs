//! What is missing, or left over, makes no picture: not at full size and not reduced, whatever end marker follows.

use super::headers::next_marker;
use super::kinds_tests::kinds;
use super::tests::{decode, fixture, reduced};
use proptest::prelude::*;

const END: [u8; 2] = [0xff, 0xd9];

/// All small files: of every kind, with restart markers and without.
fn files() -> Vec<(String, Vec<u8>)> {
    let others = ["baseline.jpg", "progressive.jpg", "grey.jpg", "restart.jpg", "cmyk.jpg", "orientation6.jpg"];
    kinds().into_iter().chain(others.map(|name| (name.to_owned(), fixture(name)))).collect()
}

fn refused(bytes: &[u8], what: &str) {
    for factor in [1, 4] {
        let result = reduced(bytes, factor);
        let error = result.err().unwrap_or_else(|| panic!("{what} is accepted at a {factor}th"));
        let told = error.reason.starts_with("damaged JPEG: ") || error.reason.starts_with("the JPEG is cut short: ");
        assert!(told, "{what}: {error}");
    }
}

#[test]
fn no_cut_makes_a_picture_with_or_without_an_end_marker() {
    for (name, bytes) in files() {
        let whole = decode(&bytes).expect("decoded");
        let complete = bytes.len() - 2;
        for length in 2..complete {
            refused(&bytes[..length], &format!("{name} cut to {length} of {} bytes", bytes.len()));
            let closed = [&bytes[..length], &END].concat();
            refused(&closed, &format!("{name} cut to {length} of {} bytes and closed", bytes.len()));
        }
        // Only the marker is missing, and of the picture nothing.
        assert_eq!(decode(&bytes[..complete]), Ok(whole), "{name}");
    }
}

/// The positions of all restart markers.
fn restarts(bytes: &[u8]) -> Vec<usize> {
    let pairs = bytes.windows(2).enumerate();
    pairs.filter(|(_, pair)| pair[0] == 0xff && matches!(pair[1], 0xd0..=0xd7)).map(|(position, _)| position).collect()
}

#[test]
fn every_restart_interval_is_needed_and_in_its_order() {
    let files = [
        fixture("large-restart.jpg"),
        fixture("../jpeg/scans-restart.jpg"),
        fixture("../jpeg/scans-y-cbcr.jpg"),
        fixture("../jpeg/ycck-scans.jpg"),
        fixture("../jpeg/progressive-restart.jpg"),
    ];
    for bytes in files {
        let markers = restarts(&bytes);
        assert!(markers.len() >= 5, "{}", markers.len());
        for pair in markers.windows(2) {
            let (one, next) = (pair[0], pair[1]);
            let missing = [&bytes[..one], &bytes[next..]].concat();
            refused(&missing, "an interval is missing");
            let mut renumbered = missing.clone();
            for later in restarts(&missing).into_iter().filter(|&later| later >= one) {
                renumbered[later + 1] = 0xd0 | (renumbered[later + 1] - 1) & 7;
            }
            refused(&renumbered, "an interval is missing, the others renumbered");
            refused(&[&bytes[..one], &bytes[one + 2..]].concat(), "a marker is missing");
            refused(&[&bytes[..next], &bytes[one..]].concat(), "an interval is there twice");
            let mut swapped = bytes.clone();
            swapped[one + 1] ^= 1;
            refused(&swapped, "a marker has another number");
            refused(&[&bytes[..one + 2], &bytes[next..]].concat(), "an interval is empty");
        }
        // Eight at once leave all others in their order.
        for pair in markers.windows(9) {
            refused(&[&bytes[..pair[0]], &bytes[pair[8]..]].concat(), "eight intervals are missing");
        }
    }
}

/// Where scans, with the tables before them, begin and end.
fn scans(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut ranges, mut position, mut start) = (Vec::new(), 2, None);
    while let Some(marker) = next_marker(bytes, &mut position) {
        match marker {
            0xd0..=0xd7 => continue,
            0xc4 | 0xda => {}
            _ => {
                ranges.extend(start.take().map(|start| start..position - 2));
                if marker == 0xd9 {
                    break;
                }
            }
        }
        if marker == 0xda {
            let begin = position - 2;
            ranges.extend(start.replace(begin).map(|start| start..begin));
        }
        position += usize::from(u16::from_be_bytes([bytes[position], bytes[position + 1]]));
    }
    ranges
}

#[test]
fn every_scan_is_needed_and_none_may_be_cut() {
    let mut checked = 0;
    for (name, bytes) in files() {
        let scans = scans(&bytes);
        for scan in scans.iter().filter(|_| scans.len() > 1) {
            let without = [&bytes[..scan.start], &bytes[scan.end..]].concat();
            // Tables that stood between two scans went with one of them: whatever is found first, it is refused.
            refused(&without, &format!("{name} without a scan"));
            checked += 1;
        }
    }
    assert!(checked > 40, "{checked}");
}

#[test]
fn data_that_are_left_over_are_damage() {
    for (name, bytes) in files() {
        let end = bytes.len() - 2;
        refused(&[&bytes[..end], &[0x12, 0x34, 0x56], &END].concat(), &format!("{name} with three bytes more"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Bytes changed, removed, repeated: no panic, and one judgement at every scale.
    #[test]
    fn damage_is_judged_alike_at_every_scale(
        index: proptest::sample::Index, factor in 2usize..9, change in 0..3,
        places in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4), header: bool,
    ) {
        let files = files();
        let (_, mut bytes) = files[index.index(files.len())].clone();
        for (position, value) in places {
            // Compressed data are most of a file; the headers in front of them are as worth damaging.
            let position = position.index(if header { 640.min(bytes.len()) } else { bytes.len() });
            let end = (position + usize::from(value)).min(bytes.len());
            match change {
                0 => bytes[position] = value,
                1 => drop(bytes.drain(position..end)),
                _ => {
                    let part = bytes[position..end].to_vec();
                    bytes.splice(position..position, part);
                }
            }
            prop_assume!(!bytes.is_empty());
        }
        let (full, reduced) = (decode(&bytes), reduced(&bytes, factor));
        prop_assert_eq!(full.as_ref().err(), reduced.as_ref().err());
        if let Ok(reduced) = reduced {
            prop_assert_eq!(reduced.pixels.data.len(), reduced.pixels.width * reduced.pixels.height * 3);
        }
    }
}

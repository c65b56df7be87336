//! Whether one image is a copy of another: the same picture cropped, mirrored, brightened or pressed again.
//!
//! Two thumbnails are laid over each other, one of them as a part of the other and either way, mirrored and not, and
//! compared by the normalised cross-correlation of their luma, which no change of brightness or contrast moves. The
//! place is found from coarse to fine. What decides in the end is the correlation of what is left when broad shades are
//! taken away: photographs of different things on one background share those.
//!
//! The limit is measured on TrashNet with planted copies (crops of 81 and 90 % of the area, mirror images, JPEG quality
//! 30, brightness 0.7): 97 to 100 % of each kind lie above it; of its own pairs of neighbours 1.5 %, nearly all of them
//! second shots of one thing.

use super::thumbnail::Thumbnail;

/// Cells a side of what the coarse search looks at.
pub(super) const COARSE: usize = 32;

/// Cells a side of what the fine search looks at.
pub(super) const FINE: usize = 64;

/// Correlation below which the coarse search gives up.
const COARSE_LIMIT: f32 = 0.8;

/// Correlation, shades and all, below which the fine search gives up: planted copies lie above 0.98, 99 of 100.
const PLAIN_LIMIT: f32 = 0.95;

/// Correlation without broad shades from which on one image is a copy of the other.
const LIMIT: f32 = 0.96;

/// Steps of the searches, in parts of a side.
const STEPS: [f32; 3] = [0.04, 0.02, 0.01];

/// The smallest part of a side that a copy shows, in coarse steps below the whole.
const SCALES: usize = 4;

/// Deviation of the luma without broad shades, in levels, below which there is nothing to compare.
const LEAST_DETAIL: f32 = 1.5;

/// How one image lies in another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Placement {
    mirrored: bool,
    /// Of the part, in parts of a side.
    scale: f32,
    from: [f32; 2],
    /// From -1 to 1.
    pub correlation: f32,
}

/// All parts of an image that the coarse search compares with others.
#[derive(Debug)]
pub(super) struct Parts(Vec<(f32, [f32; 2], Vec<f32>)>);

impl Parts {
    /// Of a thumbnail of [`COARSE`] cells a side.
    pub(super) fn of(whole: &Thumbnail) -> Self {
        let scales = (0..=SCALES).flat_map(|steps| {
            let scale = 1.0 - steps as f32 * STEPS[0];
            let places = (0..(steps + 1) * (steps + 1)).map(move |at| [at % (steps + 1), at / (steps + 1)]);
            places.map(move |place| (scale, place.map(|steps| steps as f32 * STEPS[0])))
        });
        Self(scales.map(|(scale, from)| (scale, from, normalized(&whole.view(scale, from)))).collect())
    }

    /// Where an image, of [`COARSE`] cells a side, fits best, if it resembles any part at all.
    pub(super) fn place(&self, part: &Thumbnail) -> Option<Placement> {
        let part = part.halved();
        let mut best: Option<Placement> = None;
        for (mirrored, part) in [(false, normalized(&part)), (true, normalized(&part.mirrored()))] {
            for (scale, from, view) in &self.0 {
                let correlation = product(view, &part);
                if best.is_none_or(|best| correlation > best.correlation) {
                    best = Some(Placement { mirrored, scale: *scale, from: *from, correlation });
                }
            }
        }
        best.filter(|best| best.correlation >= COARSE_LIMIT)
    }
}

/// Whether `part` shows a part of `whole`, both of [`FINE`] cells a side, near a placement that the coarse search found.
pub(super) fn is_copy(whole: &Thumbnail, part: &Thumbnail, found: &Placement) -> bool {
    let part = if found.mirrored { part.halved().mirrored() } else { part.halved() };
    let detail = without_shades(&part);
    if deviation(&detail) < LEAST_DETAIL {
        return false;
    }
    let (plain, detail) = (normalized(&part), normalized(&detail));
    let mut best = Placement { correlation: -1.0, ..*found };
    for placed in around(found, STEPS[1]) {
        let correlation = product(&normalized(&whole.view(placed.scale, placed.from)), &plain);
        if correlation > best.correlation {
            best = Placement { correlation, ..placed };
        }
    }
    if best.correlation < PLAIN_LIMIT {
        return false;
    }
    around(&best, STEPS[2]).into_iter().chain(around(&best, STEPS[2] / 2.0)).any(|placed| {
        let view = without_shades(&whole.view(placed.scale, placed.from));
        product(&normalized(&view), &detail) >= LIMIT
    })
}

/// The placement and all that are a step from it in size or place.
fn around(placement: &Placement, step: f32) -> Vec<Placement> {
    let mut all = Vec::with_capacity(27);
    for larger in [0.0, -step, step] {
        for right in [0.0, -step, step] {
            for down in [0.0, -step, step] {
                let [x, y] = placement.from;
                // A larger part grows about its middle.
                let from = [x + right - larger / 2.0, y + down - larger / 2.0];
                all.push(Placement { scale: placement.scale + larger, from, ..*placement });
            }
        }
    }
    all
}

/// Mean 0 and length 1; what is even is all zeros.
fn normalized(thumbnail: &Thumbnail) -> Vec<f32> {
    let mean = thumbnail.luma.iter().sum::<f32>() / thumbnail.luma.len() as f32;
    let length = thumbnail.luma.iter().map(|value| (value - mean).powi(2)).sum::<f32>().sqrt();
    let scale = if length > 1e-3 { 1.0 / length } else { 0.0 };
    thumbnail.luma.iter().map(|value| (value - mean) * scale).collect()
}

fn product(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn deviation(thumbnail: &Thumbnail) -> f32 {
    let count = thumbnail.luma.len() as f32;
    let mean = thumbnail.luma.iter().sum::<f32>() / count;
    (thumbnail.luma.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / count).sqrt()
}

/// What a blur of a twelfth of the side (standard deviation) takes away.
fn without_shades(thumbnail: &Thumbnail) -> Thumbnail {
    let side = thumbnail.side;
    let weights = gaussian(side as f32 / 12.0);
    let across: Vec<f32> = thumbnail.luma.chunks_exact(side).flat_map(|row| blurred(row, &weights)).collect();
    let mut luma = thumbnail.luma.clone();
    for x in 0..side {
        let column: Vec<f32> = (0..side).map(|y| across[y * side + x]).collect();
        blurred(&column, &weights).enumerate().for_each(|(y, shade)| luma[y * side + x] -= shade);
    }
    Thumbnail { side, luma }
}

/// Weights of a Gaussian blur, from the middle outwards.
fn gaussian(deviation: f32) -> Vec<f32> {
    let weights: Vec<f32> =
        (0..=(3.0 * deviation) as usize).map(|at| (-0.5 * (at as f32 / deviation).powi(2)).exp()).collect();
    let sum = 2.0 * weights.iter().sum::<f32>() - weights[0];
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// A line, blurred. Beyond its ends it goes on as its mirror image turned upside down, so that an even slope is left as
/// it is.
fn blurred<'a>(line: &'a [f32], weights: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
    let last = line.len() as isize - 1;
    let at = move |place: isize| {
        let inside = if place < 0 { -place } else { 2 * last - place };
        let inside = if (0..=last).contains(&place) { place } else { inside };
        let value = line[inside.clamp(0, last) as usize];
        match place {
            place if place < 0 => 2.0 * line[0] - value,
            place if place > last => 2.0 * line[last as usize] - value,
            _ => value,
        }
    };
    (0..=last).map(move |middle| {
        let beside = weights.iter().zip(0isize..).skip(1);
        let beside = beside.map(|(weight, away)| weight * (at(middle - away) + at(middle + away)));
        weights[0] * at(middle) + beside.sum::<f32>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use preprocess::stage::random;

    const SIDE: usize = 96;

    /// A picture of some squares, with broad shades.
    fn picture(seed: u64) -> Vec<u8> {
        let mut stream = random::stream(seed, "picture", &[]);
        let mut grey = vec![0.0; SIDE * SIDE];
        for _ in 0..24 {
            let [x, y, level] = [stream.below(SIDE), stream.below(SIDE), stream.below(200)];
            let [w, h] = [8 + stream.below(30), 8 + stream.below(30)];
            for row in y..(y + h).min(SIDE) {
                grey[row * SIDE + x..row * SIDE + (x + w).min(SIDE)].fill(level as f32);
            }
        }
        let shade = |at: usize| 40.0 * (at / SIDE) as f32 / SIDE as f32;
        grey.iter().enumerate().flat_map(|(at, &value)| [(value + shade(at)) as u8; 3]).collect()
    }

    /// A square part of the picture.
    fn part(pixels: &[u8], [x, y]: [usize; 2], side: usize) -> Vec<u8> {
        (y..y + side).flat_map(|row| pixels[3 * (row * SIDE + x)..3 * (row * SIDE + x + side)].to_vec()).collect()
    }

    fn says(first: (&[u8], usize), second: (&[u8], usize)) -> bool {
        let of = |(pixels, side): (&[u8], usize), cells| Thumbnail::of(pixels, [side, side], cells);
        [(first, second), (second, first)].into_iter().any(|(whole, part)| {
            let found = Parts::of(&of(whole, COARSE)).place(&of(part, COARSE));
            found.is_some_and(|found| is_copy(&of(whole, FINE), &of(part, FINE), &found))
        })
    }

    #[test]
    fn copies_are_known_and_other_pictures_are_not() {
        for seed in 0..8 {
            let original = picture(seed);
            let all = (original.as_slice(), SIDE);
            let dimmed: Vec<u8> = original.iter().map(|&value| (0.7 * f32::from(value)) as u8).collect();
            let mirrored: Vec<u8> =
                original.chunks_exact(3 * SIDE).flat_map(|row| row.chunks_exact(3).rev().flatten().copied()).collect();
            let mut copies =
                vec![("dimmed", dimmed, SIDE), ("mirrored", mirrored, SIDE), ("same", original.clone(), SIDE)];
            for (from, side) in [([0, 0], 86), ([10, 10], 86), ([5, 2], 90), ([3, 0], 91)] {
                copies.push(("cropped", part(&original, from, side), side));
            }
            for (kind, copy, side) in &copies {
                assert!(says(all, (copy, *side)), "{kind} {side}, seed {seed}");
                assert!(says((copy, *side), all), "{kind} {side}, seed {seed}, the other way");
            }
            for other in 100..120 {
                assert!(!says(all, (&picture(other), SIDE)), "seeds {seed} and {other}");
            }
        }
    }

    #[test]
    fn pictures_without_detail_are_copies_of_nothing() {
        let even = vec![200u8; SIDE * SIDE * 3];
        let shaded: Vec<u8> = (0..SIDE * SIDE).flat_map(|at| [(100 + at / SIDE) as u8; 3]).collect();
        for (first, second) in [(&even, &even), (&shaded, &shaded), (&even, &shaded)] {
            assert!(!says((first, SIDE), (second, SIDE)));
        }
    }
}

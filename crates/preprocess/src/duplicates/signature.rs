//! The perceptual hash: signs of a discrete cosine transform, as in Zauner's pHash (2010), at 255 bits.
//!
//! ```text
//! Y = brightness (BT.601) of the image resized to 32x32
//! D = C Y C^T, C[k, i] = cos(pi k (2 i + 1) / 64), k < 16        the 16x16 lowest frequencies
//! bit (k, l) = D[k, l] > t, for (k, l) != (0, 0); t = 0 where l is odd, else the median of these D[k, l] with l even
//! ```
//! Mirroring an image turns the sign of the frequencies with an odd l, and leaves the others and their median as they
//! are. So the hash of the mirrored image is this one with those bits flipped ([`MIRROR`]), and costs the search no
//! second hash. The hash ignores brightness and contrast, and bends little under recompression, resizing and shifts of
//! a pixel or two. An image of next to no contrast has a hash of noise; such images match only exact copies.

use crate::image::{Pixels, scale};
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions};
use std::sync::LazyLock;

/// The thumbnail's side.
const SIDE: usize = 32;
/// Frequencies kept along each axis.
const FREQUENCIES: usize = 16;
/// Below this standard deviation, in levels of 255, a thumbnail is taken for one without content.
const MIN_DEVIATION: f64 = 2.0;

/// The bits of frequencies with an odd horizontal index: mirrored, an image has the others' complement there.
const MIRROR: u64 = 0xaaaa_aaaa_aaaa_aaaa;

/// How two images may be copies of one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As they are.
    Plain,
    /// One of them mirrored, left to right.
    Mirrored,
}

/// What is kept of an image to compare it with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// BLAKE3 of the size and the decoded pixels.
    pub pixels: [u8; 32],
    /// 255 bits.
    hash: [u64; 4],
    /// Brightness, 32x32.
    thumbnail: Vec<u8>,
    /// Sum of the thumbnail's values.
    sum: i64,
    /// Their squared deviations from the mean, summed, times the number of them (an integer, exactly).
    spread: i64,
}

impl Signature {
    /// Of an image as decoded, before it is brought to the model's size.
    pub fn of(pixels: &Pixels) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(pixels.width as u64).to_le_bytes());
        hasher.update(&pixels.data);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Box));
        let small = scale(pixels, SIDE, SIDE, &options);
        let thumbnail: Vec<u8> = small.data.chunks_exact(3).map(brightness).collect();
        let sum = thumbnail.iter().map(|&value| i64::from(value)).sum::<i64>();
        let squares = thumbnail.iter().map(|&value| i64::from(value).pow(2)).sum::<i64>();
        let spread = squares * (SIDE * SIDE) as i64 - sum * sum;
        Self { pixels: *hasher.finalize().as_bytes(), hash: hash(&thumbnail), thumbnail, sum, spread }
    }

    /// Pearson's correlation of the thumbnails.
    pub fn correlation(&self, other: &Self, way: Way) -> f64 {
        let product = |(&a, &b): (&u8, &u8)| i64::from(a) * i64::from(b);
        let products: i64 = match way {
            Way::Plain => std::iter::zip(&self.thumbnail, &other.thumbnail).map(product).sum(),
            Way::Mirrored => {
                let lines = std::iter::zip(self.thumbnail.chunks_exact(SIDE), other.thumbnail.chunks_exact(SIDE));
                lines.map(|(one, other)| std::iter::zip(one, other.iter().rev()).map(product).sum::<i64>()).sum()
            }
        };
        let covariance = products * (SIDE * SIDE) as i64 - self.sum * other.sum;
        covariance as f64 / (self.spread as f64 * other.spread as f64).sqrt().max(1.0)
    }

    /// The number of bits in which the hashes differ.
    pub fn distance(&self, other: &Self, way: Way) -> u32 {
        distances(&self.hash, &other.hash)[way as usize]
    }

    /// Whether there is something to compare.
    fn has_content(&self) -> bool {
        let count = (SIDE * SIDE) as f64;
        self.spread as f64 >= (MIN_DEVIATION * count).powi(2)
    }
}

/// Bits in which two hashes differ, as they are and with one image mirrored.
#[inline(always)]
fn distances(a: &[u64; 4], b: &[u64; 4]) -> [u32; 2] {
    let mut distances = [0; 2];
    for (a, b) in std::iter::zip(a, b) {
        let differ = a ^ b;
        distances[0] += differ.count_ones();
        distances[1] += (differ ^ MIRROR).count_ones();
    }
    distances
}

/// Indices of the signatures in `others` that are at most `limits` bits away from `one` (as they are, and mirrored).
pub(crate) fn within(one: &Signature, others: &[Signature], limits: [u32; 2]) -> Vec<usize> {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("popcnt") {
        // SAFETY: the processor has the instruction, as just detected.
        return unsafe { within_popcnt(one, others, limits) };
    }
    within_portable(one, others, limits)
}

/// The portable code with the instruction that counts bits, which x86-64's base line lacks.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt")]
fn within_popcnt(one: &Signature, others: &[Signature], limits: [u32; 2]) -> Vec<usize> {
    within_portable(one, others, limits)
}

#[inline(always)]
fn within_portable(one: &Signature, others: &[Signature], limits: [u32; 2]) -> Vec<usize> {
    if !one.has_content() {
        return Vec::new();
    }
    let near = |other: &Signature| {
        let [plain, mirrored] = distances(&one.hash, &other.hash);
        (plain <= limits[0] || mirrored <= limits[1]) && other.has_content()
    };
    others.iter().enumerate().filter(|(_, other)| near(other)).map(|(index, _)| index).collect()
}

fn brightness(rgb: &[u8]) -> u8 {
    let [red, green, blue] = [rgb[0], rgb[1], rgb[2]].map(u32::from);
    ((299 * red + 587 * green + 114 * blue + 500) / 1000) as u8
}

/// `C`.
static COSINES: LazyLock<[[f32; SIDE]; FREQUENCIES]> = LazyLock::new(|| {
    std::array::from_fn(|k| {
        std::array::from_fn(|i| {
            let angle = std::f64::consts::PI * (k * (2 * i + 1)) as f64 / (2 * SIDE) as f64;
            angle.cos() as f32
        })
    })
});

fn hash(thumbnail: &[u8]) -> [u64; 4] {
    let cosines = &*COSINES;
    // Rows first: half[y][k] = sum over x of Y[y][x] C[k][x].
    let mut half = [[0f32; FREQUENCIES]; SIDE];
    for (line, half) in std::iter::zip(thumbnail.chunks_exact(SIDE), &mut half) {
        for (cosines, sum) in std::iter::zip(cosines, half) {
            *sum = std::iter::zip(line, cosines).map(|(&value, cosine)| f32::from(value) * cosine).sum();
        }
    }
    let mut coefficients = [0f32; FREQUENCIES * FREQUENCIES];
    for (index, coefficient) in coefficients.iter_mut().enumerate() {
        let (k, l) = (index / FREQUENCIES, index % FREQUENCIES);
        *coefficient = std::iter::zip(&half, &cosines[k]).map(|(half, cosine)| half[l] * cosine).sum();
    }
    // Without the mean, the first of them.
    let mut even: Vec<f32> = coefficients.iter().step_by(2).skip(1).copied().collect();
    let middle = even.len() / 2;
    let (_, &mut median, _) = even.select_nth_unstable_by(middle, f32::total_cmp);
    let mut hash = [0; 4];
    for (index, &coefficient) in coefficients.iter().enumerate().skip(1) {
        let threshold = if index % 2 == 1 { 0.0 } else { median };
        hash[index / 64] |= u64::from(coefficient > threshold) << (index % 64);
    }
    hash
}

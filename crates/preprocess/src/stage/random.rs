//! Randomness that is a function of its keys: `(seed, domain, keys)` names a stream of numbers, whoever asks for it,
//! on whichever thread, in whatever order, on whichever machine.
//!
//! A stream is ChaCha8 keyed with the BLAKE3 of its keys. All that is derived from it uses only operations that IEEE
//! 754 rounds exactly, so that the values do not depend on the system's mathematics library.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random numbers; see [`stream`].
#[derive(Debug, Clone)]
pub struct Random {
    bits: ChaCha8Rng,
    /// The second of the pair of normal deviates that one draw makes.
    spare_normal: Option<f64>,
}

/// The stream for these keys. `domain` tells apart uses of one seed (`"split"`, `"augment"`); the keys tell apart what
/// it is used on (the image's name, the copy's number). Each part is hashed with its length, so that `["ab", "c"]` and
/// `["a", "bc"]` differ.
pub fn stream(seed: u64, domain: &str, keys: &[&[u8]]) -> Random {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    for part in std::iter::once(domain.as_bytes()).chain(keys.iter().copied()) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    Random { bits: ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()), spare_normal: None }
}

impl Random {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.bits.next_u64()
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform between `low` and `high` (`high` itself can come out by rounding). Equal bounds give that value.
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform in `0..bound`, every value exactly as likely (Lemire, "Fast Random Integer Generation in an Interval",
    /// 2019). For a bound of 0 there is no such value; 0 is returned.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        let mut product = u128::from(self.bits()) * u128::from(bound);
        if (product as u64) < bound {
            let unfair = bound.wrapping_neg() % bound;
            while (product as u64) < unfair {
                product = u128::from(self.bits()) * u128::from(bound);
            }
        }
        (product >> 64) as usize
    }

    /// True with probability one half.
    pub(crate) fn coin(&mut self) -> bool {
        self.bits() >> 63 == 1
    }

    /// Normal with mean 0 and variance 1 (Marsaglia's polar method).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare_normal.take() {
            return spare;
        }
        loop {
            let (x, y) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let scale = (-2.0 * natural_logarithm(square) / square).sqrt();
                self.spare_normal = Some(y * scale);
                return x * scale;
            }
        }
    }

    /// Puts the items into an order, each order as likely (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// ln(x) of a positive normal number, within 2e-15 relative: x = m 2^e with m in [2/3, 4/3); ln(m) = 2
/// artanh((m-1)/(m+1)) as a series. `f64::ln` is the system's, whose last bit differs between machines.
fn natural_logarithm(x: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    let mut exponent = ((x.to_bits() >> 52) as i64 - 1023) as f64;
    let mut mantissa = f64::from_bits((x.to_bits() & MANTISSA) | 1.0f64.to_bits());
    if mantissa >= 4.0 / 3.0 {
        mantissa *= 0.5;
        exponent += 1.0;
    }
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    // |ratio| <= 1/5: the first term left out is below 5^-23 / 23.
    let series = (0..11).rev().fold(0.0, |sum, k| sum * square + 1.0 / (2 * k + 1) as f64);
    exponent * std::f64::consts::LN_2 + 2.0 * ratio * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_every_key_and_on_nothing_else() {
        let draw = |seed, domain, keys: &[&[u8]]| stream(seed, domain, keys).bits();
        let base = draw(1, "augment", &[b"ab", b"c"]);
        assert_eq!(base, draw(1, "augment", &[b"ab", b"c"]));
        for (name, other) in [
            ("seed", draw(2, "augment", &[b"ab", b"c"])),
            ("domain", draw(1, "split", &[b"ab", b"c"])),
            ("border between keys", draw(1, "augment", &[b"a", b"bc"])),
            ("number of keys", draw(1, "augment", &[b"ab", b"c", b""])),
            ("border between domain and keys", draw(1, "augmentab", &[b"c"])),
        ] {
            assert_ne!(base, other, "{name}");
        }
    }

    #[test]
    fn values_are_the_same_on_every_machine_and_in_every_version() {
        let mut random = stream(1, "test", &[b"key"]);
        let drawn =
            (random.bits(), random.uniform(), random.below(1000), random.coin(), random.normal(), random.normal());
        let expected = (
            9_881_126_958_261_439_533,
            0.406_473_863_597_577_53,
            64,
            true,
            0.613_222_993_889_833_4,
            -1.348_466_404_021_733_6,
        );
        assert_eq!(drawn, expected);
        let mut items: Vec<u32> = (0..10).collect();
        random.shuffle(&mut items);
        assert_eq!(items, [4, 2, 6, 5, 7, 3, 0, 8, 1, 9]);
    }

    #[test]
    fn distributions_have_their_moments() {
        let mut random = stream(7, "moments", &[]);
        const DRAWS: usize = 200_000;
        let mut moments = |mut draw: Box<dyn FnMut(&mut Random) -> f64>| {
            let (mut sum, mut squares) = (0.0, 0.0);
            for _ in 0..DRAWS {
                let value = draw(&mut random);
                (sum, squares) = (sum + value, squares + value * value);
            }
            let mean = sum / DRAWS as f64;
            (mean, squares / DRAWS as f64 - mean * mean)
        };
        // Five standard errors of each mean; variances within 2 %.
        for (name, (mean, variance), (true_mean, true_variance)) in [
            ("uniform", moments(Box::new(Random::uniform)), (0.5, 1.0 / 12.0)),
            ("range", moments(Box::new(|r| r.range(-40.0, 40.0))), (0.0, 6400.0 / 12.0)),
            ("below", moments(Box::new(|r| r.below(7) as f64)), (3.0, 4.0)),
            ("coin", moments(Box::new(|r| f64::from(r.coin()))), (0.5, 0.25)),
            ("normal", moments(Box::new(Random::normal)), (0.0, 1.0)),
        ] {
            let allowed: f64 = 5.0 * (true_variance / DRAWS as f64).sqrt();
            assert!((mean - true_mean).abs() < allowed, "{name}: mean {mean}");
            assert!((variance / true_variance - 1.0).abs() < 0.02, "{name}: variance {variance}");
        }
    }

    #[test]
    fn a_shuffle_gives_every_order_about_as_often() {
        let mut counts = std::collections::BTreeMap::new();
        let mut random = stream(3, "orders", &[]);
        for _ in 0..24_000 {
            let mut items = [0, 1, 2, 3];
            random.shuffle(&mut items);
            *counts.entry(items).or_insert(0) += 1;
        }
        // 1000 expected each, standard deviation 31.
        assert_eq!(counts.len(), 24);
        assert!(counts.values().all(|count| (840..1160).contains(count)), "{counts:?}");
    }

    #[test]
    fn nothing_is_drawn_from_an_empty_range() {
        let mut random = stream(1, "edge", &[]);
        assert_eq!((random.below(0), random.below(1), random.range(0.5, 0.5)), (0, 0, 0.5));
        random.shuffle::<u8>(&mut []);
    }

    #[test]
    fn the_logarithm_is_the_logarithm() {
        for x in [
            f64::MIN_POSITIVE,
            1e-100,
            1e-9,
            0.1,
            0.49999,
            0.5,
            2.0 / 3.0,
            0.99,
            0.999_999_9,
            1.0,
            1.3333,
            1.9,
            7.0,
            1e300,
        ] {
            let (ours, theirs) = (natural_logarithm(x), x.ln());
            assert!((ours - theirs).abs() <= 2e-15 * theirs.abs(), "ln({x}): {ours} and {theirs}");
        }
    }
}

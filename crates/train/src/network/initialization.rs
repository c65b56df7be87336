//! Initial values of parameters, determined by a seed and the parameter's name.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Keras' default for convolution and dense weights: uniform in ±sqrt(6 / (fan_in + fan_out)), where the fans of a
/// convolution count its kernel's positions (Glorot and Bengio 2010). `shape` is `[out, in, ...kernel]`.
///
/// The values depend on `seed` and `name` alone, so that adding a layer leaves the others' initial values as they were.
pub fn glorot_uniform(seed: u64, name: &str, shape: &[usize]) -> Vec<f32> {
    let kernel: usize = shape[2..].iter().product();
    let fans = (shape[0] + shape[1]) * kernel;
    let limit = (6.0 / fans as f64).sqrt() as f32;
    let mut random = generator(seed, name);
    (0..shape.iter().product()).map(|_| (2.0 * unit(random.next_u32()) - 1.0) * limit).collect()
}

/// A generator of its own for every seed and name.
fn generator(seed: u64, name: &str) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(name.as_bytes());
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}

/// A float in [0, 1) from 24 random bits.
fn unit(bits: u32) -> f32 {
    (bits >> 8) as f32 / (1u32 << 24) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glorot_fills_its_interval_and_depends_on_seed_and_name() {
        let values = glorot_uniform(1, "conv1.weight", &[32, 3, 7, 7]);
        let limit = (6.0f32 / (35.0 * 49.0)).sqrt();
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let variance = values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32;
        assert_eq!(values.len(), 4704);
        assert!(values.iter().all(|v| v.abs() <= limit));
        assert!(mean.abs() < 0.05 * limit, "{mean}");
        assert!((variance / (limit * limit / 3.0) - 1.0).abs() < 0.05, "{variance}");
        assert_eq!(values, glorot_uniform(1, "conv1.weight", &[32, 3, 7, 7]));
        assert_ne!(values, glorot_uniform(2, "conv1.weight", &[32, 3, 7, 7]));
        assert_ne!(values, glorot_uniform(1, "conv2.weight", &[32, 3, 7, 7]));
    }
}

//! Initial values of parameters, determined by a seed and the parameter's name.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The habits of a framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initialization {
    /// Keras' defaults: kernels and matrices Glorot uniform, biases zero.
    Keras,
    /// torchvision's residual networks: kernels normal by their fan-out, dense layers as PyTorch's `Linear`.
    Torchvision,
}

impl Initialization {
    /// Of a convolution's weight.
    pub(crate) fn kernel(self) -> Initial {
        match self {
            Self::Keras => Initial::GlorotUniform,
            Self::Torchvision => Initial::KaimingNormal,
        }
    }

    /// Of a dense layer's weight.
    pub(crate) fn matrix(self, inputs: usize) -> Initial {
        match self {
            Self::Keras => Initial::GlorotUniform,
            Self::Torchvision => Initial::Uniform(linear_limit(inputs)),
        }
    }

    /// Of a dense layer's bias.
    pub(crate) fn dense_bias(self, inputs: usize) -> Initial {
        match self {
            Self::Keras => Initial::Constant(0.0),
            Self::Torchvision => Initial::Uniform(linear_limit(inputs)),
        }
    }
}

/// The limit of PyTorch's `Linear`: 1 / sqrt(fan_in).
fn linear_limit(inputs: usize) -> f32 {
    (1.0 / (inputs.max(1) as f64).sqrt()) as f32
}

/// How the first values of a parameter are drawn. They depend on the seed and the parameter's name alone, so that
/// adding a layer leaves the others' initial values as they were.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Initial {
    /// All the same.
    Constant(f32),
    /// Uniform in ±sqrt(6 / (fan_in + fan_out)), where the fans of a convolution count its kernel's positions (Glorot
    /// and Bengio 2010).
    GlorotUniform,
    /// Normal with variance 2 / fan_out (He et al. 2015, as PyTorch's `kaiming_normal_(mode="fan_out")`).
    KaimingNormal,
    /// Uniform in ± this.
    Uniform(f32),
}

impl Initial {
    /// Values for a parameter of `shape`: `[out, in, ...kernel]` where fans matter.
    pub(crate) fn values(self, seed: u64, name: &str, shape: &[usize]) -> Vec<f32> {
        let count = shape.iter().product();
        let kernel = || shape.iter().skip(2).product::<usize>();
        match self {
            Self::Constant(value) => vec![value; count],
            Self::GlorotUniform => {
                let fans = shape.iter().take(2).sum::<usize>() * kernel();
                uniform(seed, name, (6.0 / fans as f64).sqrt() as f32, count)
            }
            Self::KaimingNormal => {
                let fan_out = shape.first().map_or(1, |out| out * kernel());
                normal(seed, name, (2.0 / fan_out as f64).sqrt(), count)
            }
            Self::Uniform(limit) => uniform(seed, name, limit, count),
        }
    }
}

fn uniform(seed: u64, name: &str, limit: f32, count: usize) -> Vec<f32> {
    let mut random = generator(seed, name);
    (0..count).map(|_| (2.0 * unit(random.next_u32()) - 1.0) * limit).collect()
}

/// Two values from two uniform ones (Box and Muller 1958).
fn normal(seed: u64, name: &str, deviation: f64, count: usize) -> Vec<f32> {
    let mut random = generator(seed, name);
    let mut pair = || {
        // In (0, 1], whose logarithm is finite.
        let radius = (-2.0 * (1.0 - f64::from(unit(random.next_u32()))).ln()).sqrt() * deviation;
        let angle = std::f64::consts::TAU * f64::from(unit(random.next_u32()));
        [(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]
    };
    let mut values: Vec<f32> = (0..count.div_ceil(2)).flat_map(|_| pair()).collect();
    values.truncate(count);
    values
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

    fn moments(values: &[f32]) -> (f32, f32) {
        let count = values.len() as f32;
        (values.iter().sum::<f32>() / count, values.iter().map(|v| v * v).sum::<f32>() / count)
    }

    #[test]
    fn glorot_fills_its_interval_and_depends_on_seed_and_name() {
        let glorot = |seed, name| Initial::GlorotUniform.values(seed, name, &[32, 3, 7, 7]);
        let values = glorot(1, "conv1.weight");
        let limit = (6.0f32 / (35.0 * 49.0)).sqrt();
        let (mean, variance) = moments(&values);
        assert_eq!(values.len(), 4704);
        assert!(values.iter().all(|v| v.abs() <= limit));
        assert!(mean.abs() < 0.05 * limit, "{mean}");
        assert!((variance / (limit * limit / 3.0) - 1.0).abs() < 0.05, "{variance}");
        assert_eq!(values, glorot(1, "conv1.weight"));
        assert_ne!(values, glorot(2, "conv1.weight"));
        assert_ne!(values, glorot(1, "conv2.weight"));
    }

    #[test]
    fn kaiming_is_normal_by_its_fan_out() {
        let values = Initial::KaimingNormal.values(1, "conv1.weight", &[64, 3, 7, 7]);
        let deviation = (2.0f32 / (64.0 * 49.0)).sqrt();
        let (mean, variance) = moments(&values);
        assert_eq!(values.len(), 64 * 3 * 49);
        assert!(mean.abs() < 0.05 * deviation, "{mean}");
        assert!((variance / (deviation * deviation) - 1.0).abs() < 0.05, "{variance}");
        // Of a normal distribution 4.6 % lie beyond two deviations.
        let beyond = values.iter().filter(|v| v.abs() > 2.0 * deviation).count() as f32 / values.len() as f32;
        assert!((beyond - 0.0455).abs() < 0.01, "{beyond}");
        assert_eq!(Initial::KaimingNormal.values(1, "odd", &[3, 1, 1, 1]).len(), 3);
    }

    #[test]
    fn linear_is_pytorchs() {
        let initial = Initialization::Torchvision.matrix(25);
        let values = initial.values(3, "fc.weight", &[40, 25]);
        assert!(values.iter().all(|v| v.abs() <= 0.2) && values.iter().any(|v| v.abs() > 0.19), "{initial:?}");
    }
}

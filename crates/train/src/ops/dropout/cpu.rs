//! Dropout on the CPU.

use super::{DropoutKernel, key, mix};
use crate::device::cpu::Buffer;
use crate::device::cpu::layout::{LANES, blocks};
use crate::tensor::memory::Accumulate;
use crate::tensor::pass::Randomness;
use dfdx::tensor::{Cpu, HasErr};

impl DropoutKernel for Cpu {
    fn dropout(
        &self,
        rate: f32,
        randomness: Randomness,
        [_, features]: [usize; 2],
        x: &Buffer,
        y: &mut Buffer,
    ) -> Result<(), <Self as HasErr>::Err> {
        scale(features, factors(rate, randomness), x, y, |y, value| *y = value);
        Ok(())
    }

    fn dropout_gradient(
        &self,
        rate: f32,
        randomness: Randomness,
        [_, features]: [usize; 2],
        dy: &Buffer,
        dx: &mut Buffer,
        accumulate: Accumulate,
    ) -> Result<(), <Self as HasErr>::Err> {
        let factors = factors(rate, randomness);
        match accumulate {
            Accumulate::Overwrite => scale(features, factors, dy, dx, |dx, value| *dx = value),
            Accumulate::Add => scale(features, factors, dy, dx, |dx, value| *dx += value),
        }
        Ok(())
    }
}

/// Gives `put` every value of `from` times its factor; rows are padded with zeros to whole blocks.
fn scale(
    features: usize,
    mut factors: impl Iterator<Item = f32>,
    from: &[f32],
    to: &mut [f32],
    put: impl Fn(&mut f32, f32),
) {
    let row = blocks(features) * LANES;
    for (to, from) in to.chunks_exact_mut(row).zip(from.chunks_exact(row)) {
        for ((to, from), factor) in to.iter_mut().zip(&from[..features]).zip(&mut factors) {
            put(to, from * factor);
        }
        to[features..].fill(0.0);
    }
}

/// `k / (1 - rate)` position by position.
fn factors(rate: f32, randomness: Randomness) -> impl Iterator<Item = f32> {
    let key = key(randomness);
    let kept = 1.0 / (1.0 - rate);
    (0u64..).map(move |position| {
        let uniform = (mix(key.wrapping_add(position)) >> 40) as f32 / (1u64 << 24) as f32;
        if uniform >= rate { kept } else { 0.0 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_of_values_is_dropped_and_the_rest_scaled() {
        for rate in [0.0f32, 0.25, 0.5] {
            let values: Vec<f32> = factors(rate, Randomness { seed: 1, step: 2, layer: 3 }).take(40_000).collect();
            let dropped = values.iter().filter(|&&v| v == 0.0).count() as f32 / 40_000.0;
            assert!((dropped - rate).abs() < 0.01, "rate {rate}: {dropped} dropped");
            assert!(values.iter().all(|&v| v == 0.0 || v == 1.0 / (1.0 - rate)));
        }
    }

    #[test]
    fn every_part_of_the_randomness_matters() {
        let of = |seed, step, layer| factors(0.5, Randomness { seed, step, layer }).take(64).collect::<Vec<_>>();
        assert_eq!(of(1, 2, 3), of(1, 2, 3));
        for (name, other) in [("seed", of(2, 2, 3)), ("step", of(1, 3, 3)), ("layer", of(1, 2, 4))] {
            assert_ne!(of(1, 2, 3), other, "{name}");
        }
    }
}

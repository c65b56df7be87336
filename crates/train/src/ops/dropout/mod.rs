//! Dropout (Srivastava et al. 2014), scaled in training so that inference needs nothing.
//!
//! ```text
//! y[n,i] = x[n,i] · k[n,i] / (1 - rate),    k = 1 with probability 1 - rate, else 0
//! ```
//! `k` is a function of (run seed, step, layer, position) alone, so that a resumed run drops the same values as an
//! undisturbed one, and the backward pass computes `k` again rather than keep it. There is one implementation, in
//! plain loops: it sees one value a feature.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use crate::tensor::feature_map::FeatureMap;
use crate::tensor::memory::Accumulate;
use crate::tensor::pass::{Pass, Randomness};
use crate::tensor::pending::PendingKernel;
use preprocess::Result;

/// Kernels of the dropout.
pub trait DropoutKernel: PendingKernel {
    /// `y` of shape `[n, features]` from `x`.
    fn dropout(
        &self,
        rate: f32,
        randomness: Randomness,
        shape: [usize; 2],
        x: &Self::Buffer,
        y: &mut Self::Buffer,
    ) -> Result<(), Self::Err>;

    /// The gradient by `x`, from that by `y`.
    fn dropout_gradient(
        &self,
        rate: f32,
        randomness: Randomness,
        shape: [usize; 2],
        dy: &Self::Buffer,
        dx: &mut Self::Buffer,
        accumulate: Accumulate,
    ) -> Result<(), Self::Err>;
}

/// Drops values of flattened images `[n, features, 1, 1]` in a training pass; hands `x` on in an inference pass.
///
/// # Errors
/// Images that are not flattened, or a failure of the device.
pub fn dropout<B: DropoutKernel>(op: &str, x: FeatureMap<B>, rate: f32, pass: &mut Pass<B>) -> Result<FeatureMap<B>> {
    if !pass.is_training() {
        return Ok(x);
    }
    let shape = x.flat_shape(op)?;
    let randomness = pass.next_randomness();
    let x_data = x.activations(op, pass)?;
    let y = pass.forward(op, |device| {
        let mut y = device.allocate(pass.pool(), x.shape)?;
        device.dropout(rate, randomness, shape, &x_data, &mut y)?;
        Ok(y)
    })?;
    let y = FeatureMap::new(x.shape, y, pass);
    if let (Some(y_gradient), Some(x_gradient)) = (y.gradient.clone(), x.gradient.clone()) {
        pass.on_backward(op, move |device, pool, _| {
            let Some(dy) = y_gradient.take(device, pool, x.shape)? else { return Ok(()) };
            x_gradient.add_with(device, pool, x.shape, |dx, accumulate| {
                device.dropout_gradient(rate, randomness, shape, &dy, dx, accumulate)
            })
        });
    }
    Ok(y)
}

/// What a layer's choices in a step follow from: position `i` is dropped where the top 24 bits of `mix(key + i)`, as a
/// fraction of one, are less than the rate. Every device computes the same.
fn key(randomness: Randomness) -> u64 {
    [randomness.seed, randomness.step, randomness.layer].into_iter().fold(0, |key, part| mix(key ^ part))
}

/// One step of SplitMix64 (Steele, Lea and Flood 2014): neighbouring inputs, unrelated outputs.
fn mix(input: u64) -> u64 {
    let mut z = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

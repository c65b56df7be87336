//! Activations of whole vectors.

use super::simd::Vector;
use crate::tensor::activation::Activation;

/// Applies an activation; a value that is no number becomes zero.
///
/// # Safety
/// The machine has the instruction set.
#[inline(always)]
pub(crate) unsafe fn activate<V: Vector>(activation: Activation, value: V::Block) -> V::Block {
    // SAFETY: the caller's promise.
    unsafe {
        match activation {
            Activation::None => value,
            Activation::Relu => V::max(value, V::splat(0.0)),
            Activation::Relu6 => V::min(V::max(value, V::splat(0.0)), V::splat(6.0)),
        }
    }
}

/// The gradient where the activation lets it through, by the value before it or after it; zero elsewhere.
///
/// # Safety
/// The machine has the instruction set.
#[inline(always)]
pub(crate) unsafe fn passing<V: Vector>(activation: Activation, value: V::Block, gradient: V::Block) -> V::Block {
    // SAFETY: the caller's promise.
    unsafe {
        match activation {
            Activation::None => gradient,
            Activation::Relu => V::where_positive(value, gradient),
            Activation::Relu6 => {
                let below = V::where_positive(V::subtract(V::splat(6.0), value), gradient);
                V::where_positive(value, below)
            }
        }
    }
}

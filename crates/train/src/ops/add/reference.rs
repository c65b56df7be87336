//! The additions in plain loops.

use crate::tensor::activation::Activation;

/// `sum += term`.
pub(crate) fn add_assign(sum: &mut [f32], term: &[f32]) {
    sum.iter_mut().zip(term).for_each(|(sum, term)| *sum += term);
}

/// `f(a + b)`.
pub fn sum([a, b]: [&[f32]; 2], activation: Activation) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| activation.apply(a + b)).collect()
}

//! The addition in a plain loop.

/// `sum += term`.
pub fn add_assign(sum: &mut [f32], term: &[f32]) {
    sum.iter_mut().zip(term).for_each(|(sum, term)| *sum += term);
}

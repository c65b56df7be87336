//! The rectifier's gradient in a plain loop.

/// Zeroes `gradient` where `y` is not positive.
pub fn relu_gradient(y: &[f32], gradient: &mut [f32]) {
    gradient.iter_mut().zip(y).filter(|&(_, &y)| y.is_nan() || y <= 0.0).for_each(|(gradient, _)| *gradient = 0.0);
}

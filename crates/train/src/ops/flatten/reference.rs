//! Flattening of `[n, c, h, w]`: the values stay where they are.

/// `[n, c·h·w]` from `[n, c, h, w]`.
pub(crate) fn flatten(x: Vec<f32>) -> Vec<f32> {
    x
}

/// `[n, c, h, w]` from `[n, c·h·w]`.
pub(crate) fn flatten_gradient(dy: Vec<f32>) -> Vec<f32> {
    dy
}

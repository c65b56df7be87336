//! Layers: parameters under their PyTorch names, and the op that uses them.

mod batch_norm2d;
mod conv2d;
mod dense;
mod residual;

pub use batch_norm2d::BatchNorm2d;
pub use conv2d::{Conv2d, ConvShape};
pub use dense::Dense;
pub use residual::ResidualUnit;

use crate::backend::Backend;
use crate::parameter::Parameter;

/// Where a network is being made: the seed of its initial values, and the device that they go to.
#[derive(Debug)]
pub struct Builder<'a, B: Backend> {
    /// Determines the initial values.
    pub seed: u64,
    /// Where the parameters live.
    pub device: &'a B,
}

/// Something that owns parameters.
pub trait Layer<B: Backend> {
    /// In a fixed order.
    fn parameters(&self) -> Vec<&Parameter<B>>;

    /// In the same order.
    fn parameters_mut(&mut self) -> Vec<&mut Parameter<B>>;
}

/// Number of values in a layer's parameters.
pub(crate) fn parameter_count<B: Backend>(layer: &dyn Layer<B>) -> usize {
    layer.parameters().iter().map(|p| p.len()).sum()
}

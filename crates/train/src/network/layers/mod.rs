//! Layers: parameters under their PyTorch names, and the op that uses them.

mod batch_norm2d;
mod conv2d;
mod dense;
mod residual;

pub use batch_norm2d::BatchNorm2d;
pub use conv2d::{Conv2d, ConvShape};
pub use dense::Dense;
pub use residual::ResidualUnit;

use crate::ops::Backend;
use crate::tensor::parameter::Parameter;
use preprocess::{Error, Result};

/// Where a network is being made: the seed of its initial values, and the device that they go to.
#[derive(Debug)]
pub struct Builder<'a, B: Backend> {
    /// Determines the initial values.
    pub seed: u64,
    /// Where the parameters live.
    pub device: &'a B,
    /// The most values that a matrix may have: those that a file holds, where the network is made for them. Memory for more is not
    /// asked for.
    pub most_values: usize,
}

impl<B: Backend> Builder<'_, B> {
    /// Refuses a matrix of too many values before there is memory for it.
    ///
    /// # Errors
    /// It has more than [`most_values`](Self::most_values).
    pub fn check_size(&self, name: &str, [rows, columns]: [usize; 2]) -> Result<()> {
        match rows.checked_mul(columns) {
            Some(values) if values <= self.most_values => Ok(()),
            _ => Err(Error::new(format!("`{name}` would have {rows} x {columns} values"))
                .because(format!("there are {} in all", self.most_values))),
        }
    }
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

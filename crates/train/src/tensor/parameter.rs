//! A named tensor that belongs to a network.

use super::memory::{Memory, Vector};
use preprocess::{Error, Result};

/// A weight, a bias, or a moving statistic, under its PyTorch name.
#[derive(Debug, Clone)]
pub struct Parameter<B: Memory> {
    /// `conv1.weight`, `unit1.bn1.running_mean`, …
    pub name: String,
    /// PyTorch's shape: convolution `[out, in, height, width]`, dense `[out, in]`, others `[channels]`.
    pub shape: Vec<usize>,
    /// The values in the order of `shape`, flat.
    pub tensor: Vector<B>,
    /// Whether the optimiser changes it.
    pub trainable: bool,
}

impl<B: Memory> Parameter<B> {
    /// A parameter with the given values, as many as `shape` multiplies to.
    ///
    /// # Errors
    /// The device has no memory left, or the number of values is not that of the shape.
    pub fn new(name: String, shape: &[usize], values: Vec<f32>, trainable: bool, device: &B) -> Result<Self> {
        let count = values.len();
        let tensor = device.try_tensor_from_vec(values, (shape.iter().product::<usize>(),)).map_err(|e| {
            Error::new(format!("cannot store `{name}`: {count} values for shape {shape:?}")).because(format!("{e}"))
        })?;
        Ok(Self { name, shape: shape.to_vec(), tensor, trainable })
    }

    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// A copy of the values on the host.
    pub fn values(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.len()];
        self.tensor.copy_into(&mut values);
        values
    }

    /// Overwrites the values.
    ///
    /// # Errors
    /// Their number is not the parameter's.
    pub fn set_values(&mut self, values: &[f32]) -> Result<()> {
        if values.len() != self.len() {
            return Err(Error::new(format!(
                "`{}` has shape {:?}, {} values, but {} were given",
                self.name,
                self.shape,
                self.len(),
                values.len()
            )));
        }
        self.tensor.copy_from(values);
        Ok(())
    }
}

//! From a feature map `[n, c, h, w]` to a matrix `[n, c·h·w]` in that order: PyTorch's `flatten(1)`, whatever layout the
//! feature map has on the device. The gradient goes the same way back.

mod cpu;

use crate::backend::{Backend, Matrix, Memory, Slot, take_gradient};
use crate::feature_map::{Accumulate, FeatureMap};
use crate::pass::Pass;
use preprocess::Result;

/// Kernels of the flattening.
pub trait FlattenKernel: Memory {
    /// The matrix of a feature map of shape `shape`.
    fn flatten(&self, shape: [usize; 4], x: &Self::Buffer) -> Result<Matrix<Self>, Self::Err>
    where
        Self: Sized;

    /// The gradient by the feature map, from that by the matrix.
    fn flatten_gradient(
        &self,
        shape: [usize; 4],
        dy: &Slot<Self>,
        dx: &mut Self::Buffer,
        accumulate: Accumulate,
    ) -> Result<(), Self::Err>;
}

/// Flattens a feature map; its gradient is kept under the matrix' key on the tape.
///
/// # Errors
/// The device failed.
pub fn flatten<B: Backend>(x: &FeatureMap<B>, pass: &mut Pass<B>) -> Result<Matrix<B>> {
    let shape = x.shape;
    let x_data = x.activations("flatten")?;
    let y = pass.forward("flatten", |device| device.flatten(shape, x_data))?;
    if let Some(x_gradient) = x.gradient.clone() {
        let key = y.clone();
        pass.on_backward("flatten", move |device, pool, gradients| {
            let dy = take_gradient(gradients, &key)?;
            x_gradient
                .add_with(device, pool, shape, |dx, accumulate| device.flatten_gradient(shape, &dy, dx, accumulate))
        });
    }
    Ok(y)
}

//! From a feature map `[n, c, h, w]` to one of a single pixel, `[n, c·h·w, 1, 1]`, in the order of PyTorch's
//! `flatten(1)`, whatever layout feature maps have on the device. The gradient goes the same way back.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub(crate) mod reference;

use crate::tensor::feature_map::FeatureMap;
use crate::tensor::memory::Accumulate;
use crate::tensor::pass::Pass;
use crate::tensor::pending::PendingKernel;
use preprocess::Result;

/// Kernels of the flattening.
pub trait FlattenKernel: PendingKernel {
    /// `y` of shape `[n, c·h·w, 1, 1]` from `x` of shape `[n, c, h, w]`.
    fn flatten(&self, shape: [usize; 4], x: &Self::Buffer, y: &mut Self::Buffer) -> Result<(), Self::Err>;

    /// The gradient by `x` of shape `shape`, from that by `y`.
    fn flatten_gradient(
        &self,
        shape: [usize; 4],
        dy: &Self::Buffer,
        dx: &mut Self::Buffer,
        accumulate: Accumulate,
    ) -> Result<(), Self::Err>;
}

/// Flattens a feature map.
///
/// # Errors
/// The device failed.
pub fn flatten<B: FlattenKernel>(x: &FeatureMap<B>, pass: &mut Pass<B>) -> Result<FeatureMap<B>> {
    let shape @ [n, c, h, w] = x.shape;
    let features = [n, c * h * w, 1, 1];
    let x_data = x.activations("flatten", pass)?;
    let y = pass.forward("flatten", |device| {
        let mut y = device.allocate(pass.pool(), features)?;
        device.flatten(shape, &x_data, &mut y)?;
        Ok(y)
    })?;
    let y = FeatureMap::new(features, y, pass);
    if let (Some(y_gradient), Some(x_gradient)) = (y.gradient.clone(), x.gradient.clone()) {
        pass.on_backward("flatten", move |device, pool, _| {
            let Some(dy) = y_gradient.take(device, pool, features)? else { return Ok(()) };
            x_gradient
                .add_with(device, pool, shape, |dx, accumulate| device.flatten_gradient(shape, &dy, dx, accumulate))
        });
    }
    Ok(y)
}

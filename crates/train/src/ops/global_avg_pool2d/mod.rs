//! The mean over all pixels.
//!
//! ```text
//! y[n,c] = Σ_{i,j} x[n,c,i,j] / (h·w)      dx[n,c,i,j] = dy[n,c] / (h·w)          x [n, c, h, w], y [n, c, 1, 1]
//! ```
//! What is pending of `x` is applied on the way.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub mod reference;

use crate::tensor::feature_map::FeatureMap;
use crate::tensor::memory::Accumulate;
use crate::tensor::pass::Pass;
use crate::tensor::pending::{Affine, PendingKernel};
use preprocess::Result;

/// Kernels of the mean.
pub trait GlobalAvgPool2dKernel: PendingKernel {
    /// `y` of shape `[n, c, 1, 1]` from `x` of shape `shape`, to which `affine` is applied first.
    fn global_avg_pool2d(
        &self,
        shape: [usize; 4],
        x: &Self::Buffer,
        affine: Option<&Affine<Self>>,
        y: &mut Self::Buffer,
    ) -> Result<(), Self::Err>
    where
        Self: Sized;

    /// The gradient by the input, of shape `shape`, from that by the output.
    fn global_avg_pool2d_gradient(
        &self,
        shape: [usize; 4],
        dy: &Self::Buffer,
        dx: &mut Self::Buffer,
        accumulate: Accumulate,
    ) -> Result<(), Self::Err>;
}

/// Takes the mean of each channel of each image: a map of one pixel, which counts as flattened.
///
/// # Errors
/// Images, or a failure of the device.
pub fn global_avg_pool2d<B: GlobalAvgPool2dKernel>(
    op: &str,
    x: &FeatureMap<B>,
    pass: &mut Pass<B>,
) -> Result<FeatureMap<B>> {
    let shape @ [n, c, _, _] = x.shape;
    let out = [n, c, 1, 1];
    let (x_data, affine) = x.source(op)?;
    let y = pass.forward(op, |device| {
        let mut y = device.allocate(pass.pool(), out)?;
        device.global_avg_pool2d(shape, x_data, affine, &mut y)?;
        Ok(y)
    })?;
    let y = FeatureMap::new(out, y, pass);
    if let (Some(y_gradient), Some(x_gradient)) = (y.gradient.clone(), x.gradient.clone()) {
        pass.on_backward(op, move |device, pool, _| {
            let Some(dy) = y_gradient.take(device, pool, out)? else { return Ok(()) };
            x_gradient.add_with(device, pool, shape, |dx, accumulate| {
                device.global_avg_pool2d_gradient(shape, &dy, dx, accumulate)
            })
        });
    }
    Ok(y)
}

//! Maximum over 2x2 windows that do not overlap; an odd last row or column is left out.
//!
//! ```text
//! y[n,c,i,j] = max { x[n,c,2i+u,2j+v] : u, v in {0, 1} }        x [n, c, h, w], y [n, c, h/2, w/2]
//! ```
//! The gradient goes to the first maximum of each window (in row order), which the forward pass remembers in a byte.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub mod reference;

use crate::tensor::feature_map::FeatureMap;
use crate::tensor::memory::Accumulate;
use crate::tensor::pass::Pass;
use crate::tensor::pending::PendingKernel;
use preprocess::{Error, Result};

/// Kernels of the pooling.
pub trait MaxPool2dKernel: PendingKernel {
    /// `y` from `x` of shape `shape`, and for each output which of the four (0 to 3, in row order) was largest.
    fn max_pool2d(
        &self,
        pool: &Self::Pool,
        shape: [usize; 4],
        x: &Self::Buffer,
        y: &mut Self::Buffer,
    ) -> Result<Self::Buffer, Self::Err>;

    /// The gradient by the input, of shape `shape`, from that by the output.
    fn max_pool2d_gradient(
        &self,
        shape: [usize; 4],
        largest: &Self::Buffer,
        dy: &Self::Buffer,
        dx: &mut Self::Buffer,
        accumulate: Accumulate,
    ) -> Result<(), Self::Err>;
}

/// Applies the pooling; formula and shapes are the module's.
///
/// # Errors
/// Images of less than 2x2 pixels, or a failure of the device.
pub fn max_pool2d<B: MaxPool2dKernel>(op: &str, x: &FeatureMap<B>, pass: &mut Pass<B>) -> Result<FeatureMap<B>> {
    let shape @ [n, c, h, w] = x.shape;
    if h < 2 || w < 2 {
        return Err(Error::new(format!("{op}: a 2x2 window does not fit into {h}x{w}")));
    }
    let x_data = x.activations(op, pass)?;
    let (y, largest) = pass.forward(op, |device| {
        let mut y = device.allocate(pass.pool(), [n, c, h / 2, w / 2])?;
        let largest = device.max_pool2d(pass.pool(), shape, &x_data, &mut y)?;
        Ok((y, largest))
    })?;
    let y = FeatureMap::new([n, c, h / 2, w / 2], y, pass);
    if let (Some(y_gradient), Some(x_gradient)) = (y.gradient.clone(), x.gradient.clone()) {
        pass.on_backward(op, move |device, pool, _| {
            let Some(dy) = y_gradient.take(device, pool, [n, c, h / 2, w / 2])? else { return Ok(()) };
            x_gradient.add_with(device, pool, shape, |dx, accumulate| {
                device.max_pool2d_gradient(shape, &largest, &dy, dx, accumulate)
            })
        });
    }
    Ok(y)
}

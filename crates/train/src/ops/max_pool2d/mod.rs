//! Maximum over windows; what lies around the image is never the largest.
//!
//! ```text
//! y[n,c,i,j] = max { x[n,c,i·s+u-p,j·s+v-p] : 0 <= u, v < k }
//!     x [n, c, h, w], y [n, c, (h+2p-k)/s+1, (w+2p-k)/s+1]
//! ```
//! with windows of `k` x `k` pixels, a step of `s`, and `p` rows and columns around the image; divisions round down.
//! The gradient goes to the first maximum of each window (in row order), which the forward pass remembers in a byte. A
//! value that is no number is the largest, as in PyTorch. What is pending of `x` is applied on the way.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub mod reference;
mod windows;

use crate::tensor::feature_map::FeatureMap;
use crate::tensor::memory::Accumulate;
use crate::tensor::pass::Pass;
use crate::tensor::pending::{Affine, PendingKernel};
use preprocess::{Error, Result};

/// The windows of a pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns.
    pub size: usize,
    /// From one window to the next, both ways.
    pub stride: usize,
    /// Rows and columns around the image: at most half of `size`, so that every window holds a pixel.
    pub padding: usize,
}

/// The most rows and columns of a window: its pixels' numbers fit into a byte.
const LARGEST: usize = 16;

impl Window {
    /// 2x2 windows that do not overlap.
    pub const HALVING: Self = Self { size: 2, stride: 2, padding: 0 };

    /// Rows and columns of the output; none where not one window fits, or one could be empty.
    pub fn output(&self, [h, w]: [usize; 2]) -> Option<[usize; 2]> {
        let &Self { size, stride, padding } = self;
        let valid = (1..=LARGEST).contains(&size) && stride > 0 && 2 * padding <= size;
        let along = |pixels: usize| Some((pixels + 2 * padding).checked_sub(size)? / stride + 1);
        (valid && h > 0 && w > 0).then_some(())?;
        Some([along(h)?, along(w)?])
    }

    /// Shape `[n, c, h, w]` of the output.
    pub(crate) fn output_shape(&self, [n, c, h, w]: [usize; 4]) -> Option<[usize; 4]> {
        let [h, w] = self.output([h, w])?;
        Some([n, c, h, w])
    }
}

/// Kernels of the pooling.
pub trait MaxPool2dKernel: PendingKernel {
    /// `y` from `x`, whose shapes are those of input and output, and for each output which of its window's pixels (in
    /// row order, those around the image too) was largest. `affine` is applied to `x` first.
    fn max_pool2d(
        &self,
        pool: &Self::Pool,
        window: Window,
        shapes: [[usize; 4]; 2],
        x: &Self::Buffer,
        affine: Option<&Affine<Self>>,
        y: &mut Self::Buffer,
    ) -> Result<Self::Buffer, Self::Err>
    where
        Self: Sized;

    /// The gradient by the input from that by the output.
    fn max_pool2d_gradient(
        &self,
        window: Window,
        shapes: [[usize; 4]; 2],
        largest: &Self::Buffer,
        dy: &Self::Buffer,
        dx: &mut Self::Buffer,
        accumulate: Accumulate,
    ) -> Result<(), Self::Err>;
}

/// Applies the pooling; formula and shapes are the module's.
///
/// # Errors
/// Windows that do not fit into the image, or a failure of the device.
pub fn max_pool2d<B: MaxPool2dKernel>(
    op: &str,
    x: &FeatureMap<B>,
    window: Window,
    pass: &mut Pass<B>,
) -> Result<FeatureMap<B>> {
    let shape = x.shape;
    let Some(out) = window.output_shape(shape) else {
        let ([_, _, h, w], Window { size, padding, .. }) = (shape, window);
        return Err(Error::new(format!("{op}: a {size}x{size} window does not fit into {h}x{w} pixels"))
            .because(format!("there are {padding} around them")));
    };
    let (x_data, affine) = x.source(op)?;
    let (y, largest) = pass.forward(op, |device| {
        let mut y = device.allocate(pass.pool(), out)?;
        let largest = device.max_pool2d(pass.pool(), window, [shape, out], x_data, affine, &mut y)?;
        Ok((y, largest))
    })?;
    let y = FeatureMap::new(out, y, pass);
    if let (Some(y_gradient), Some(x_gradient)) = (y.gradient.clone(), x.gradient.clone()) {
        pass.on_backward(op, move |device, pool, _| {
            let Some(dy) = y_gradient.take(device, pool, out)? else { return Ok(()) };
            x_gradient.add_with(device, pool, shape, |dx, accumulate| {
                device.max_pool2d_gradient(window, [shape, out], &largest, &dy, dx, accumulate)
            })
        });
    }
    Ok(y)
}

#[cfg(test)]
mod tests;

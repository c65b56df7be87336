//! 8-bit RGB images as a network's input, in single precision.
//!
//! ```text
//! y[n,c,i,j] = (x[n,i,j,c] / 255 - mean[c]) / std[c]                x [n, h, w, 3], y [n, 3, h, w]
//! ```
//! On the CPU the first convolution reads interleaved pixels, so there is no such op; on a GPU pixels travel as bytes,
//! a quarter of the size, and become floats in the layout of all activations there. Images can be picked from a store
//! of many that lies on the device, so that an epoch's order costs four bytes an image.

#[cfg(feature = "cuda")]
mod cuda;
pub mod reference;

#[cfg(feature = "cuda")]
pub(crate) use cuda::gather;
#[cfg(feature = "cuda")]
pub(crate) use cuda::upload;

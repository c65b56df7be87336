//! The cross-entropy of a softmax with label smoothing (Szegedy et al. 2016), and its gradient, in one go.
//!
//! ```text
//! p[n,k] = exp(z[n,k]) / Σ_j exp(z[n,j])       t[n,k] = s / K + (1 - s) · [k = label[n]]        z [n, classes]
//! dz[n,k] = (p[n,k] - t[n,k]) / n              loss[n] = -ln p[n,label[n]]
//! ```
//! `dz` is the gradient of the mean over the images of `-Σ_k t ln p`, `s` being the smoothing. The loss is that against the label
//! itself, which the history shows whatever the targets. On the CPU dfdx computes all this; a GPU would need a dozen of its launches.

#[cfg(feature = "cuda")]
mod cuda;
pub mod reference;

#[cfg(feature = "cuda")]
pub use cuda::gradient;

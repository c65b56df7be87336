//! What is still to be done to activations or gradients: whoever reads them does it on the way, so that the result is
//! never written.

use super::activation::Activation;
use super::memory::{Accumulate, Memory, Vector};
use std::rc::Rc;

/// `f(scale[c] · x + shift[c])`, channel by channel: what batch normalisation comes to once its statistics are known.
#[derive(Debug)]
pub struct Affine<B: Memory> {
    /// A factor for each channel.
    pub scale: Vector<B>,
    /// Added to each channel.
    pub shift: Vector<B>,
    /// What comes last.
    pub activation: Activation,
}

/// The gradient by a normalisation's input once the sums are known: `dx = scale · d + factor · (x - mean) + constant`,
/// channel by channel, with `d` the gradient by the output, zero where `scale · x + shift` is clamped.
#[derive(Debug)]
pub struct NormGradient<B: Memory> {
    /// μ.
    pub mean: Vector<B>,
    /// γ / sqrt(σ² + ε).
    pub scale: Vector<B>,
    /// β - μ · scale.
    pub shift: Vector<B>,
    /// -scale / sqrt(σ² + ε) · dγ / m.
    pub factor: Vector<B>,
    /// -scale · dβ / m.
    pub constant: Vector<B>,
    /// What the output ended with.
    pub activation: Activation,
}

/// A normalisation's share of the gradient by its input, still to be computed.
#[derive(Debug)]
pub struct NormShare<B: Memory> {
    /// How.
    pub of: NormGradient<B>,
    /// The input.
    pub x: Rc<B::Buffer>,
    /// The gradient by the output.
    pub dy: B::Buffer,
}

/// Addition in place: how gradients of a map that several ops read are summed.
pub trait AddKernel: Memory {
    /// `sum += term`, element by element.
    fn add_assign(&self, sum: &mut Self::Buffer, term: &Self::Buffer) -> Result<(), Self::Err>;
}

/// What a device does where nobody does it on the way.
pub trait PendingKernel: AddKernel {
    /// `y = f(scale · x + shift)` of maps of `shape` `[n, c, h, w]`.
    fn apply_affine(
        &self,
        shape: [usize; 4],
        affine: &Affine<Self>,
        x: &Self::Buffer,
        y: &mut Self::Buffer,
    ) -> Result<(), Self::Err>
    where
        Self: Sized;

    /// Writes or adds `dx`.
    fn apply_norm_share(
        &self,
        shape: [usize; 4],
        share: &NormShare<Self>,
        dx: &mut Self::Buffer,
        accumulate: Accumulate,
    ) -> Result<(), Self::Err>
    where
        Self: Sized;
}

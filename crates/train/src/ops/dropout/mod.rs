//! Dropout (Srivastava et al. 2014), scaled in training so that inference needs nothing.
//!
//! ```text
//! y[n,i] = x[n,i] · k[n,i] / (1 - rate),    k = 1 with probability 1 - rate, else 0
//! ```
//! `k` is a function of (run seed, step, layer, position) alone, so that a resumed run drops the same values as an
//! undisturbed one, and the backward pass computes `k` again rather than keep it.

mod cpu;

use crate::backend::{Backend, Matrix, Memory, Slot, take_gradient};
use crate::pass::{Pass, Randomness};
use preprocess::Result;

/// Kernels of the dropout.
pub trait DropoutKernel: Memory {
    /// `y` from `x`.
    fn dropout(&self, rate: f32, randomness: Randomness, x: &Matrix<Self>) -> Result<Matrix<Self>, Self::Err>
    where
        Self: Sized;

    /// Adds to `dx`.
    fn dropout_gradient(
        &self,
        rate: f32,
        randomness: Randomness,
        dy: &Slot<Self>,
        dx: &mut Slot<Self>,
    ) -> Result<(), Self::Err>;
}

/// Drops values in a training pass; hands `x` on in an inference pass.
///
/// # Errors
/// The device failed.
pub fn dropout<B: Backend>(op: &str, x: Matrix<B>, rate: f32, pass: &mut Pass<B>) -> Result<Matrix<B>> {
    if !pass.is_training() {
        return Ok(x);
    }
    let randomness = pass.next_randomness();
    let y = pass.forward(op, |device| device.dropout(rate, randomness, &x))?;
    let key = y.clone();
    pass.on_backward(op, move |device, _, gradients| {
        let dy = take_gradient(gradients, &key)?;
        device.dropout_gradient(rate, randomness, &dy, gradients.get_or_alloc_mut(&x)?)
    });
    Ok(y)
}

//! A dense layer, optionally with ReLU.
//!
//! ```text
//! y[n,o] = relu( b[o] + Σ_i w[o,i] · x[n,i] )         x [n, i], w [o, i], b [o], y [n, o]
//! db[o] = Σ_n d[n,o]      dw[o,i] = Σ_n d[n,o] · x[n,i]      dx[n,i] = Σ_o d[n,o] · w[o,i]
//! ```
//! `d` being the gradient inside the ReLU.

mod cpu;
pub mod reference;

use crate::backend::{Backend, Matrix, Memory, Slot, Vector, take_gradient};
use crate::parameter::Parameter;
use crate::pass::Pass;
use dfdx::shapes::HasShape;
use preprocess::{Error, Result};

/// Sizes of one dense layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Rows: images.
    pub n: usize,
    /// Features in.
    pub inputs: usize,
    /// Features out.
    pub outputs: usize,
}

/// Where the gradients of a dense layer gather.
#[derive(Debug)]
pub struct DenseGradients<'a, B: Memory> {
    /// dw.
    pub weight: &'a mut Slot<B>,
    /// db.
    pub bias: &'a mut Slot<B>,
    /// dx.
    pub input: &'a mut Slot<B>,
}

/// Kernels of the dense layer.
pub trait DenseKernel: Memory {
    /// `y` from `x`.
    fn dense(
        &self,
        pool: &Self::Pool,
        sizes: Sizes,
        x: &Matrix<Self>,
        weight: &Vector<Self>,
        bias: &Vector<Self>,
        relu: bool,
    ) -> Result<Matrix<Self>, Self::Err>
    where
        Self: Sized;

    /// Adds to all gradients.
    fn dense_gradient(
        &self,
        pool: &Self::Pool,
        sizes: Sizes,
        x: &Matrix<Self>,
        weight: &Vector<Self>,
        dy: &Slot<Self>,
        gradients: DenseGradients<'_, Self>,
    ) -> Result<(), Self::Err>
    where
        Self: Sized;
}

/// Applies a dense layer; formula and shapes are the module's. Gradients of `x` and `y` are kept under their keys on the tape.
///
/// # Errors
/// Shapes that do not fit each other, or a failure of the device.
pub fn dense<B: Backend>(
    x: &Matrix<B>,
    weight: &Parameter<B>,
    bias: &Parameter<B>,
    relu: bool,
    pass: &mut Pass<B>,
) -> Result<Matrix<B>> {
    let op = weight.name.trim_end_matches(".weight").to_owned();
    let &(n, inputs) = x.shape();
    let sizes = Sizes { n, inputs, outputs: bias.len() };
    if weight.shape != [sizes.outputs, inputs] {
        return Err(Error::new(format!("cannot apply `{op}` to a matrix of {n}x{inputs}"))
            .because(format!("the weight's shape is {:?}, the bias' {:?}", weight.shape, bias.shape)));
    }
    let (weight, bias) = (&weight.tensor, &bias.tensor);
    let y = pass.forward(&op, |device| device.dense(pass.pool(), sizes, x, weight, bias, relu))?;
    if pass.has_tape() {
        let (x, y, weight, bias) = (x.clone(), y.clone(), weight.clone(), bias.clone());
        pass.on_backward(&op, move |device, pool, gradients| {
            let mut dy = take_gradient(gradients, &y)?;
            if relu {
                device.relu_gradient_matrix(&y, &mut dy)?;
            }
            let mut dbias = take_gradient(gradients, &bias)?;
            let mut dx = take_gradient(gradients, &x)?;
            let dweight = gradients.get_or_alloc_mut(&weight)?;
            let gathered = DenseGradients { weight: dweight, bias: &mut dbias, input: &mut dx };
            device.dense_gradient(pool, sizes, &x, &weight, &dy, gathered)?;
            *gradients.get_or_alloc_mut(&bias)? = dbias;
            *gradients.get_or_alloc_mut(&x)? = dx;
            Ok(())
        });
    }
    Ok(y)
}

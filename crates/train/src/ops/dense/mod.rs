//! A dense layer, optionally with ReLU.
//!
//! ```text
//! y[n,o] = relu( b[o] + Σ_i w[o,i] · x[n,i] )         x [n, i], w [o, i], b [o], y [n, o]
//! db[o] = Σ_n d[n,o]      dw[o,i] = Σ_n d[n,o] · x[n,i]      dx[n,i] = Σ_o d[n,o] · w[o,i]
//! ```
//! `d` being the gradient inside the ReLU.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub mod reference;

use crate::ops::activation::ActivationKernel;
use crate::tensor::activation::Activation;
use crate::tensor::feature_map::FeatureMap;
use crate::tensor::memory::{Accumulate, Memory, Slot, Vector, take_gradient};
use crate::tensor::op_times::Op;
use crate::tensor::parameter::Parameter;
use crate::tensor::pass::Pass;
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
}

/// Kernels of the dense layer.
pub trait DenseKernel: ActivationKernel {
    /// `y` of shape `[n, outputs, 1, 1]` from `x` of shape `[n, inputs, 1, 1]`.
    #[allow(clippy::too_many_arguments)]
    fn dense(
        &self,
        pool: &Self::Pool,
        sizes: Sizes,
        x: &Self::Buffer,
        weight: &Vector<Self>,
        bias: &Vector<Self>,
        relu: bool,
        y: &mut Self::Buffer,
    ) -> Result<(), Self::Err>
    where
        Self: Sized;

    /// Adds to the gradients of weight and bias, and writes or adds to `dx`, if there is one.
    #[allow(clippy::too_many_arguments)]
    fn dense_gradient(
        &self,
        pool: &Self::Pool,
        sizes: Sizes,
        x: &Self::Buffer,
        weight: &Vector<Self>,
        dy: &Self::Buffer,
        gradients: DenseGradients<'_, Self>,
        dx: Option<(&mut Self::Buffer, Accumulate)>,
    ) -> Result<(), Self::Err>
    where
        Self: Sized;
}

/// Applies a dense layer to flattened images `[n, features, 1, 1]`; formula and shapes are the module's.
///
/// # Errors
/// Shapes that do not fit each other, or a failure of the device.
pub fn dense<B: DenseKernel>(
    x: &FeatureMap<B>,
    weight: &Parameter<B>,
    bias: &Parameter<B>,
    relu: bool,
    pass: &mut Pass<B>,
) -> Result<FeatureMap<B>> {
    let op = weight.name.trim_end_matches(".weight").to_owned();
    let [n, inputs] = x.flat_shape(&op)?;
    let sizes = Sizes { n, inputs, outputs: bias.len() };
    if weight.shape != [sizes.outputs, inputs] {
        return Err(Error::new(format!("cannot apply `{op}` to a matrix of {n}x{inputs}"))
            .because(format!("the weight's shape is {:?}, the bias' {:?}", weight.shape, bias.shape)));
    }
    let (weight, bias) = (weight.tensor.clone(), bias.tensor.clone());
    let (x_data, y_shape) = (x.activations(&op, pass)?, [n, sizes.outputs, 1, 1]);
    let flops = 2 * n * inputs * sizes.outputs;
    let y = pass.forward(Op { name: &op, flops }, |device| {
        let mut y = device.allocate(pass.pool(), y_shape)?;
        device.dense(pass.pool(), sizes, &x_data, &weight, &bias, relu, &mut y)?;
        Ok(y)
    })?;
    let y = FeatureMap::new(y_shape, y, pass);
    let Some(y_gradient) = y.gradient.clone() else { return Ok(y) };
    let (x, y_data) = (x.clone(), y.data.clone());
    pass.on_backward(Op { name: &op, flops: 2 * flops }, move |device, pool, gradients| {
        let Some(mut dy) = y_gradient.take(device, pool, y_shape)? else { return Ok(()) };
        if relu {
            device.activation_gradient(Activation::Relu, &y_data, &mut dy)?;
        }
        let mut dbias = take_gradient(gradients, &bias)?;
        let gathered = DenseGradients { weight: gradients.get_or_alloc_mut(&weight)?, bias: &mut dbias };
        match &x.gradient {
            Some(cell) => cell.add_with(device, pool, x.shape, |dx, accumulate| {
                device.dense_gradient(pool, sizes, &x_data, &weight, &dy, gathered, Some((dx, accumulate)))
            })?,
            None => device.dense_gradient(pool, sizes, &x_data, &weight, &dy, gathered, None)?,
        }
        *gradients.get_or_alloc_mut(&bias)? = dbias;
        Ok(())
    });
    Ok(y)
}

//! The sum of two feature maps, with an activation f; and addition in place, by which gradients of a map that several
//! ops read gather.
//!
//! ```text
//! y = f( a + b )      da = db = dy where the sum lies inside f's limits, zero elsewhere          all [n, c, h, w]
//! ```
//! What is pending of either map is applied on the way. Where a sum follows a convolution directly, it is that
//! convolution's residual ([`conv2d`](super::conv2d)) and not this op; this one ends post-activation blocks, whose
//! branches end with a normalisation.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub mod reference;

use crate::ops::activation::ActivationKernel;
use crate::tensor::activation::Activation;
use crate::tensor::feature_map::{FeatureMap, Layout};
use crate::tensor::memory::{Accumulate, Memory};
use crate::tensor::pass::Pass;
use crate::tensor::pending::Affine;
use preprocess::{Error, Result};

/// One of the maps that are added.
#[derive(Debug)]
pub struct Term<'a, B: Memory> {
    /// The activations.
    pub data: &'a B::Buffer,
    /// Applied first.
    pub affine: Option<&'a Affine<B>>,
}

/// Kernels of the sum.
pub trait SumKernel: ActivationKernel {
    /// `y = f(a + b)` of maps of `shape`.
    fn sum(
        &self,
        pool: &Self::Pool,
        shape: [usize; 4],
        terms: [Term<'_, Self>; 2],
        activation: Activation,
        y: &mut Self::Buffer,
    ) -> Result<(), Self::Err>
    where
        Self: Sized;

    /// Copies a buffer into another of the same size.
    fn copy(&self, from: &Self::Buffer, to: &mut Self::Buffer) -> Result<(), Self::Err>;
}

/// Adds two maps.
///
/// # Errors
/// Maps of different shapes, images, or a failure of the device.
pub fn add<B: SumKernel>(
    op: &str,
    a: &FeatureMap<B>,
    b: &FeatureMap<B>,
    activation: Activation,
    pass: &mut Pass<B>,
) -> Result<FeatureMap<B>> {
    let shape = a.shape;
    if b.shape != shape || [a, b].iter().any(|map| map.layout == Layout::Images) {
        return Err(Error::new(format!("{op}: cannot add maps of shapes {shape:?} and {:?}", b.shape))
            .because("they must have the same shape, and cannot be images"));
    }
    let y = pass.forward(op, |device| {
        let mut y = device.allocate(pass.pool(), shape)?;
        let terms = [a, b].map(|map| Term { data: &*map.data, affine: map.affine.as_deref() });
        device.sum(pass.pool(), shape, terms, activation, &mut y)?;
        Ok(y)
    })?;
    let y = FeatureMap::new(shape, y, pass);
    let Some(y_gradient) = y.gradient.clone() else { return Ok(y) };
    let (a, b, y_data) = (a.gradient.clone(), b.gradient.clone(), y.data.clone());
    pass.on_backward(op, move |device, pool, _| {
        let Some(mut d) = y_gradient.take(device, pool, shape)? else { return Ok(()) };
        if activation != Activation::None {
            device.activation_gradient(activation, &y_data, &mut d)?;
        }
        if let Some(a) = a {
            a.add_with(device, pool, shape, |da, accumulate| match accumulate {
                Accumulate::Overwrite => device.copy(&d, da),
                Accumulate::Add => device.add_assign(da, &d),
            })?;
        }
        b.map_or(Ok(()), |b| b.add(device, pool, shape, d))
    });
    Ok(y)
}

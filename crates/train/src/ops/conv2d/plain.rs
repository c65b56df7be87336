//! The reference loops behind the kernels' interface: what the level `reference` runs.

use super::{ConvGradients, Epilogue, Geometry, Input, OutputGradient, reference};
use crate::device::cpu::{Buffer, BufferPool, host, layout};
use crate::ops::activation::reference::activation_gradient;
use crate::ops::batch_norm2d::reference::affine;
use crate::tensor::activation::Activation;
use crate::tensor::feature_map::Layout;
use crate::tensor::memory::{Accumulate, Memory};
use crate::tensor::pending::PendingKernel;
use dfdx::tensor::{Cpu, HasErr};

/// The input in the order `[n, c, h, w]`, normalised.
fn values(g: &Geometry, x: Input<'_, Cpu>) -> Vec<f32> {
    let plain = match x.layout {
        Layout::Activations => layout::plain(x.data, g.input()),
        Layout::Images => {
            let plane = g.h * g.w;
            (0..g.n * g.c * plane)
                .map(|at| x.data[(at / (g.c * plane) * plane + at % plane) * g.c + at / plane % g.c])
                .collect()
        }
    };
    match x.affine {
        Some(of) => affine(g.input(), &plain, &host(&of.scale), &host(&of.shift), of.activation),
        None => plain,
    }
}

/// `y`. Moments are left out: statistics are taken from the map itself at this level.
pub(crate) fn forward(
    g: &Geometry,
    x: Input<'_, Cpu>,
    weight: &[f32],
    bias: Option<&[f32]>,
    epilogue: &Epilogue<'_, Buffer>,
    y: &mut [f32],
) {
    let zeros = vec![0.0; g.o];
    let mut sums = reference::forward(g, &values(g, x), weight, bias.unwrap_or(&zeros));
    if let Some(residual) = epilogue.residual {
        sums.iter_mut().zip(layout::plain(residual, g.output())).for_each(|(sum, r)| *sum += r);
    }
    sums.iter_mut().for_each(|sum| *sum = epilogue.activation.apply(*sum));
    layout::put(&sums, g.output(), Accumulate::Overwrite, y);
}

/// All gradients, as [`Conv2dKernel::conv2d_gradient`](super::Conv2dKernel::conv2d_gradient).
pub fn gradient(
    g: &Geometry,
    x: Input<'_, Cpu>,
    dy: &[f32],
    weight: &[f32],
    gradients: ConvGradients<'_, Cpu>,
    dx: Option<(&mut Buffer, Accumulate)>,
) {
    let dy = layout::plain(dy, g.output());
    let (weights, biases) = reference::weight_gradient(g, &values(g, x), &dy);
    gradients.weight.iter_mut().zip(weights).for_each(|(sum, d)| *sum += d);
    if let Some(bias) = gradients.bias {
        bias.iter_mut().zip(biases).for_each(|(sum, d)| *sum += d);
    }
    if let Some((dx, accumulate)) = dx {
        layout::put(&reference::input_gradient(g, &dy, weight), g.input(), accumulate, dx);
    }
}

/// The gradient inside the activation.
pub(crate) fn whole(
    device: &Cpu,
    pool: &BufferPool,
    shape: [usize; 4],
    dy: OutputGradient<'_, Cpu>,
) -> Result<Buffer, <Cpu as HasErr>::Err> {
    let mut whole = device.allocate(pool, shape)?;
    match dy {
        OutputGradient::Whole(dy) => whole.copy_from_slice(dy),
        OutputGradient::Clamped { dy, y } => {
            whole.copy_from_slice(dy);
            activation_gradient(Activation::Relu, y, &mut whole);
        }
        OutputGradient::Normalized { share, others: None } => {
            device.apply_norm_share(shape, share, &mut whole, Accumulate::Overwrite)?;
        }
        OutputGradient::Normalized { share, others: Some(others) } => {
            whole.copy_from_slice(others);
            device.apply_norm_share(shape, share, &mut whole, Accumulate::Add)?;
        }
    }
    Ok(whole)
}

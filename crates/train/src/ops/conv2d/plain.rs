//! The reference loops behind the kernels' interface: what the level `reference` runs.

use super::{Epilogue, Geometry, Input, reference};
use crate::backend::{Buffer, host};
use crate::feature_map::{Accumulate, Layout};
use crate::ops::batch_norm2d::reference::affine;
use crate::ops::layout;
use dfdx::tensor::Cpu;

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
        Some(of) => affine(g.input(), &plain, &host(&of.scale), &host(&of.shift), of.relu),
        None => plain,
    }
}

/// `y`. Moments are left out: statistics are taken from the map itself at this level.
pub fn forward(
    g: &Geometry,
    x: Input<'_, Cpu>,
    weight: &[f32],
    bias: &[f32],
    epilogue: &Epilogue<'_, Buffer>,
    y: &mut [f32],
) {
    let mut sums = reference::forward(g, &values(g, x), weight, bias);
    if let Some(residual) = epilogue.residual {
        sums.iter_mut().zip(layout::plain(residual, g.output())).for_each(|(sum, r)| *sum += r);
    }
    if epilogue.relu {
        sums.iter_mut().for_each(|sum| *sum = sum.max(0.0));
    }
    layout::put(&sums, g.output(), Accumulate::Overwrite, y);
}

/// The gradient by the input.
pub fn input_gradient(g: &Geometry, dy: &[f32], weight: &[f32], dx: &mut [f32], accumulate: Accumulate) {
    let share = reference::input_gradient(g, &layout::plain(dy, g.output()), weight);
    layout::put(&share, g.input(), accumulate, dx);
}

/// Adds to the gradients by the weight and the bias.
pub fn weight_gradient(g: &Geometry, x: Input<'_, Cpu>, dy: &[f32], dweight: &mut [f32], dbias: &mut [f32]) {
    let (weights, biases) = reference::weight_gradient(g, &values(g, x), &layout::plain(dy, g.output()));
    dweight.iter_mut().zip(weights).for_each(|(sum, d)| *sum += d);
    dbias.iter_mut().zip(biases).for_each(|(sum, d)| *sum += d);
}

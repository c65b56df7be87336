//! The normalisation in plain loops over `[n, c, h, w]`, in double precision.

use crate::tensor::activation::Activation;

/// Mean and biased variance of each channel.
pub fn statistics([_, c, h, w]: [usize; 4], x: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let mean_of = |channel: usize, f: &dyn Fn(f64) -> f64| {
        let planes = x.chunks_exact(h * w).skip(channel).step_by(c);
        let values: Vec<f64> = planes.flatten().map(|&v| f(f64::from(v))).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let mean: Vec<f64> = (0..c).map(|channel| mean_of(channel, &|v| v)).collect();
    let variance = (0..c).map(|channel| mean_of(channel, &|v| (v - mean[channel]).powi(2))).collect();
    (mean, variance)
}

/// `y`, with γ and β in `weight` and `bias`.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    [_, c, h, w]: [usize; 4],
    x: &[f32],
    mean: &[f64],
    variance: &[f64],
    weight: &[f32],
    bias: &[f32],
    epsilon: f32,
    activation: Activation,
) -> Vec<f32> {
    let normalized = |(at, &x): (usize, &f32)| {
        let channel = at / (h * w) % c;
        let x_hat = (f64::from(x) - mean[channel]) / (variance[channel] + f64::from(epsilon)).sqrt();
        let y = f64::from(weight[channel]) * x_hat + f64::from(bias[channel]);
        activation.apply(y as f32)
    };
    x.iter().enumerate().map(normalized).collect()
}

/// `dx`, `dγ` and `dβ` in training, from the gradient `d` inside the activation.
pub fn gradient(
    shape: [usize; 4],
    x: &[f32],
    weight: &[f32],
    epsilon: f32,
    d: &[f32],
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let [n, c, h, w] = shape;
    let (mean, variance) = statistics(shape, x);
    let count = (n * h * w) as f64;
    let channel_of = |at: usize| at / (h * w) % c;
    let inverse: Vec<f64> = variance.iter().map(|v| 1.0 / (v + f64::from(epsilon)).sqrt()).collect();
    let x_hat = |at: usize| (f64::from(x[at]) - mean[channel_of(at)]) * inverse[channel_of(at)];
    let (mut dweight, mut dbias) = (vec![0.0f64; c], vec![0.0f64; c]);
    for (at, &d) in d.iter().enumerate() {
        dweight[channel_of(at)] += f64::from(d) * x_hat(at);
        dbias[channel_of(at)] += f64::from(d);
    }
    let dx = |(at, &d): (usize, &f32)| {
        let channel = channel_of(at);
        let centred = f64::from(d) - dbias[channel] / count - x_hat(at) * dweight[channel] / count;
        (f64::from(weight[channel]) * inverse[channel] * centred) as f32
    };
    let single = |values: Vec<f64>| values.iter().map(|&v| v as f32).collect();
    (d.iter().enumerate().map(dx).collect(), single(dweight), single(dbias))
}

/// `f(scale · x + shift)` of each channel.
pub(crate) fn affine(
    [_, c, h, w]: [usize; 4],
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    activation: Activation,
) -> Vec<f32> {
    let value = |(at, &x): (usize, &f32)| {
        let channel = at / (h * w) % c;
        let y = (f64::from(x) * f64::from(scale[channel]) + f64::from(shift[channel])) as f32;
        activation.apply(y)
    };
    x.iter().enumerate().map(value).collect()
}

/// `scale · d + factor · (x - mean) + constant` of each channel, given in this order: mean, scale, shift, factor,
/// constant. `d` is zero where the output was clamped, which `activation` says how to find.
pub(crate) fn input_gradient(
    [_, c, h, w]: [usize; 4],
    x: &[f32],
    d: &[f32],
    channels: [&[f32]; 5],
    activation: Activation,
) -> Vec<f32> {
    let value = |(at, (&x, &d)): (usize, (&f32, &f32))| {
        let [mean, scale, shift, factor, constant] = channels.map(|values| f64::from(values[at / (h * w) % c]));
        let clamped = !activation.passes((f64::from(x) * scale + shift) as f32);
        let d = if clamped { 0.0 } else { f64::from(d) };
        (scale * d + factor * (f64::from(x) - mean) + constant) as f32
    };
    x.iter().zip(d).enumerate().map(value).collect()
}

//! The dense layer in plain loops, summed in double precision.

use super::Sizes;

/// `b + w·x`, without ReLU.
pub fn forward(s: Sizes, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let outputs = (0..s.n).flat_map(|n| (0..s.outputs).map(move |o| (n, o)));
    let sum = |(n, o): (usize, usize)| {
        let products = (0..s.inputs).map(|i| f64::from(x[n * s.inputs + i]) * f64::from(weight[o * s.inputs + i]));
        (f64::from(bias[o]) + products.sum::<f64>()) as f32
    };
    outputs.map(sum).collect()
}

/// `dx`, `dw` and `db`.
pub fn gradient(s: Sizes, x: &[f32], weight: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let (mut dx, mut dw, mut db) = (vec![0.0f64; x.len()], vec![0.0f64; weight.len()], vec![0.0f64; s.outputs]);
    for (n, o) in (0..s.n).flat_map(|n| (0..s.outputs).map(move |o| (n, o))) {
        let d = f64::from(dy[n * s.outputs + o]);
        db[o] += d;
        for i in 0..s.inputs {
            dx[n * s.inputs + i] += d * f64::from(weight[o * s.inputs + i]);
            dw[o * s.inputs + i] += d * f64::from(x[n * s.inputs + i]);
        }
    }
    let single = |values: Vec<f64>| values.iter().map(|&v| v as f32).collect();
    (single(dx), single(dw), single(db))
}

//! The convolution in plain loops over `[n, c, h, w]`, summed in double precision: the judge of the fast kernels.

use super::Geometry;

/// `b[o] + Σ w·x`, without residual and ReLU.
pub fn forward(g: &Geometry, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let mut sums = vec![0.0f64; g.output().iter().product()];
    for_each_product(g, |x_at, w_at, y_at| sums[y_at] += f64::from(x[x_at]) * f64::from(weight[w_at]));
    let plane = g.out_h * g.out_w;
    sums.iter().enumerate().map(|(at, sum)| (sum + f64::from(bias[at / plane % g.o])) as f32).collect()
}

/// `dx`.
pub fn input_gradient(g: &Geometry, dy: &[f32], weight: &[f32]) -> Vec<f32> {
    let mut sums = vec![0.0f64; g.input().iter().product()];
    for_each_product(g, |x_at, w_at, y_at| sums[x_at] += f64::from(dy[y_at]) * f64::from(weight[w_at]));
    sums.iter().map(|&sum| sum as f32).collect()
}

/// `dw` and `db`.
pub fn weight_gradient(g: &Geometry, x: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let mut sums = vec![0.0f64; g.kernel().iter().product()];
    for_each_product(g, |x_at, w_at, y_at| sums[w_at] += f64::from(dy[y_at]) * f64::from(x[x_at]));
    let mut bias = vec![0.0f64; g.o];
    for (channel, plane) in dy.chunks_exact(g.out_h * g.out_w).enumerate() {
        bias[channel % g.o] += plane.iter().map(|&d| f64::from(d)).sum::<f64>();
    }
    (sums.iter().map(|&sum| sum as f32).collect(), bias.iter().map(|&sum| sum as f32).collect())
}

/// Calls `visit` with the indices in `x`, `w` and `y` of every product that the convolution sums.
fn for_each_product(g: &Geometry, mut visit: impl FnMut(usize, usize, usize)) {
    let channels = g.c / g.groups;
    for (n, o) in (0..g.n).flat_map(|n| (0..g.o).map(move |o| (n, o))) {
        for (i, j) in (0..g.out_h).flat_map(|i| (0..g.out_w).map(move |j| (i, j))) {
            let y_at = ((n * g.o + o) * g.out_h + i) * g.out_w + j;
            let first = o / (g.o / g.groups) * channels;
            for (c, u) in (0..channels).flat_map(|c| (0..g.kernel_h).map(move |u| (c, u))) {
                let Some(row) = (i * g.stride + u).checked_sub(g.pad_top).filter(|&row| row < g.h) else { continue };
                for v in 0..g.kernel_w {
                    let Some(column) = (j * g.stride + v).checked_sub(g.pad_left).filter(|&column| column < g.w) else {
                        continue;
                    };
                    let x_at = ((n * g.c + first + c) * g.h + row) * g.w + column;
                    let w_at = ((o * channels + c) * g.kernel_h + u) * g.kernel_w + v;
                    visit(x_at, w_at, y_at);
                }
            }
        }
    }
}

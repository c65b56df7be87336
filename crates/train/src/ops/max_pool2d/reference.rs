//! The pooling in plain loops over `[n, c, h, w]`.

/// `y`, and the index in `x` of each maximum.
pub fn forward([n, c, h, w]: [usize; 4], x: &[f32]) -> (Vec<f32>, Vec<usize>) {
    let windows = (0..n * c).flat_map(|plane| (0..h / 2).flat_map(move |i| (0..w / 2).map(move |j| (plane, i, j))));
    windows
        .map(|(plane, i, j)| {
            let mut best = (plane * h + 2 * i) * w + 2 * j;
            for (u, v) in [(0, 1), (1, 0), (1, 1)] {
                let at = (plane * h + 2 * i + u) * w + 2 * j + v;
                if x[at] > x[best] {
                    best = at;
                }
            }
            (x[best], best)
        })
        .unzip()
}

/// `dx`, from the indices that [`forward`] gave.
pub fn gradient(shape: [usize; 4], best: &[usize], dy: &[f32]) -> Vec<f32> {
    let mut dx = vec![0.0; shape.iter().product()];
    for (&at, d) in best.iter().zip(dy) {
        dx[at] += d;
    }
    dx
}

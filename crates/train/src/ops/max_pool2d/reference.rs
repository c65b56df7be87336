//! The pooling in plain loops over `[n, c, h, w]`.

use super::Window;

/// The pixels of the window of output `(i, j)`: each one's number within the window and its row and column, those that
/// lie in the image.
fn pixels(
    Window { size, stride, padding }: Window,
    [h, w]: [usize; 2],
    [i, j]: [usize; 2],
) -> impl Iterator<Item = (usize, [usize; 2])> {
    (0..size * size).filter_map(move |at| {
        let row = (i * stride + at / size).checked_sub(padding).filter(|&row| row < h)?;
        let column = (j * stride + at % size).checked_sub(padding).filter(|&column| column < w)?;
        Some((at, [row, column]))
    })
}

/// `y`, and the number of each maximum within its window.
pub fn forward(
    window: Window,
    [[n, c, h, w], [_, _, out_h, out_w]]: [[usize; 4]; 2],
    x: &[f32],
) -> (Vec<f32>, Vec<usize>) {
    let outputs = (0..n * c * out_h * out_w).map(|at| (at / (out_h * out_w), at / out_w % out_h, at % out_w));
    outputs
        .map(|(plane, i, j)| {
            let (mut best, mut which) = (f32::NEG_INFINITY, None);
            for (at, [row, column]) in pixels(window, [h, w], [i, j]) {
                let value = x[(plane * h + row) * w + column];
                if which.is_none() || value > best || value.is_nan() {
                    (best, which) = (value, Some(at));
                }
            }
            (best, which.unwrap_or_default())
        })
        .unzip()
}

/// `dx`, from the numbers that [`forward`] gave.
pub fn gradient(
    window: Window,
    [shape @ [_, _, h, w], [_, _, out_h, out_w]]: [[usize; 4]; 2],
    largest: &[usize],
    dy: &[f32],
) -> Vec<f32> {
    let mut dx = vec![0.0; shape.iter().product()];
    for (output, (&largest, d)) in largest.iter().zip(dy).enumerate() {
        let (plane, i, j) = (output / (out_h * out_w), output / out_w % out_h, output % out_w);
        if let Some((_, [row, column])) = pixels(window, [h, w], [i, j]).find(|&(at, _)| at == largest) {
            dx[(plane * h + row) * w + column] += d;
        }
    }
    dx
}

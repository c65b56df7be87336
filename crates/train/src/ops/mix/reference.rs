//! The op in plain loops.

use super::Mix;

/// `y` `[n, h, w, 3]` of `x` `[n, h, w, 3]`, with a mix for each image.
pub fn mix(x: &[f32], [h, w]: [usize; 2], mixes: &[Mix], fill: [f32; 3]) -> Vec<f32> {
    let at =
        |image: usize, row: usize, column: usize, channel: usize| x[((image * h + row) * w + column) * 3 + channel];
    let mut y = Vec::with_capacity(x.len());
    for (image, mix) in mixes.iter().enumerate() {
        for (row, column) in (0..h).flat_map(|row| (0..w).map(move |column| (row, column))) {
            let own = if mix.mirrored { w - 1 - column } else { column };
            y.extend((0..3).map(|channel| {
                let other = at(mix.other, row, column, channel);
                match () {
                    () if mix.erased.has(row, column) => fill[channel],
                    () if mix.patch.has(row, column) => other,
                    // What is not mixed stays what it is, to the bit.
                    () if mix.share == 1.0 => at(image, row, own, channel),
                    () => mix.share * at(image, row, own, channel) + (1.0 - mix.share) * other,
                }
            }));
        }
    }
    y
}

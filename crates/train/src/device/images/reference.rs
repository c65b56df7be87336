//! The conversion in a plain loop.

use crate::tensor::standardization::Standardization;

/// `y` `[indices, 3, h, w]`: the images of `x` `[n, h, w, 3]` at these indices.
pub fn gather(x: &[u8], indices: &[usize], [h, w]: [usize; 2], of: Standardization) -> Vec<f32> {
    let factors = of.factors();
    let pixels = h * w;
    let mut y = Vec::with_capacity(indices.len() * pixels * 3);
    for image in indices {
        let image = &x[image * pixels * 3..][..pixels * 3];
        for channel in 0..3 {
            let [scale, shift] = factors[channel];
            y.extend(image.chunks_exact(3).map(|pixel| f32::from(pixel[channel]) * scale + shift));
        }
    }
    y
}

//! The conversion in a plain loop.

/// `y` `[indices, 3, h, w]`: the images of `x` `[n, h, w, 3]` at these indices.
pub fn gather(x: &[u8], indices: &[usize], [h, w]: [usize; 2]) -> Vec<f32> {
    let pixels = h * w;
    let mut y = Vec::with_capacity(indices.len() * pixels * 3);
    for image in indices {
        let image = &x[image * pixels * 3..][..pixels * 3];
        for channel in 0..3 {
            y.extend(image.chunks_exact(3).map(|pixel| f32::from(pixel[channel]) * (1.0 / 255.0)));
        }
    }
    y
}

//! Convolutions in groups as dense ones with zeros between the groups: right for any groups, and as slow as a dense
//! one. Depthwise ones have kernels of their own.

use super::Geometry;

/// The dense kernel `[o, c, kernel_h, kernel_w]` that does what a grouped one does: zeros between the groups.
pub(super) fn weight(g: &Geometry, weight: &[f32]) -> Vec<f32> {
    let [o, channels, kernel_h, kernel_w] = g.kernel();
    let kernel = channels * kernel_h * kernel_w;
    let mut dense = vec![0.0; o * g.groups * kernel];
    for (at, weight) in weight.chunks_exact(kernel).enumerate() {
        let group = at / (o / g.groups);
        dense[(at * g.groups + group) * kernel..][..kernel].copy_from_slice(weight);
    }
    dense
}

/// Adds the part of a dense kernel's gradient that belongs to the grouped one.
pub(super) fn add_gradient(g: &Geometry, dense: &[f32], dweight: &mut [f32]) {
    let [o, channels, kernel_h, kernel_w] = g.kernel();
    let kernel = channels * kernel_h * kernel_w;
    for (at, dweight) in dweight.chunks_exact_mut(kernel).enumerate() {
        let group = at / (o / g.groups);
        let dense = &dense[(at * g.groups + group) * kernel..][..kernel];
        dweight.iter_mut().zip(dense).for_each(|(sum, d)| *sum += d);
    }
}

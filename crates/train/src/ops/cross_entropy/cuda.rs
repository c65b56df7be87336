//! The cross-entropy on NVIDIA GPUs: a block an image.

use super::CrossEntropyKernel;
use crate::device::cuda::{CudaBuffer, CudaPool, Indices, kernel_size};
use dfdx::tensor::{Cuda, CudaError};
use std::ops::Range;

/// Threads of a block. As in `cuda.cu`.
const THREADS: usize = 128;

impl CrossEntropyKernel for Cuda {
    fn cross_entropy_gradient(
        &self,
        pool: &CudaPool,
        shape @ [n, classes]: [usize; 2],
        logits: &CudaBuffer,
        labels: &[usize],
        smoothing: f64,
    ) -> Result<Option<(CudaBuffer, CudaBuffer)>, CudaError> {
        let labels = Indices::new(pool, labels, classes)?;
        gradient(pool, shape, logits, &labels, 0..n, smoothing).map(Some)
    }
}

/// The gradient by the logits `[n, classes]`, and of each image its loss and the class of its largest logit `[n, 2]`.
/// The labels are those of `range`. Nothing is waited for.
///
/// # Errors
/// The device failed.
///
/// # Panics
/// The logits are not as many as `shape` says, or the labels are of other images or more classes.
pub fn gradient(
    pool: &CudaPool,
    shape @ [n, classes]: [usize; 2],
    logits: &CudaBuffer,
    labels: &Indices,
    range: Range<usize>,
    smoothing: f64,
) -> Result<(CudaBuffer, CudaBuffer), CudaError> {
    assert_eq!([logits.len(), range.len()], [n * classes, n], "logits or labels of other images than {shape:?}");
    assert!(labels.limit() <= classes, "labels of {} classes for {classes}", labels.limit());
    let (gradient, scores) = (pool.take(n * classes)?, pool.take(n * 2)?);
    let (share, rest) = (smoothing / classes as f64, 1.0 - smoothing);
    let (labels, scores_pointer, gradient_pointer) = (labels.pointer(&range), scores.pointer(), gradient.pointer());
    let (images, classes) = (kernel_size(n), kernel_size(classes));
    let parameters = (logits.pointer(), labels, images, classes, share, rest, scores_pointer, gradient_pointer);
    // SAFETY: the kernel's parameters; lengths are checked, labels are less than `classes`, both results are new.
    unsafe { pool.context().launch("cross_entropy_gradient", [n, 1, 1], THREADS, parameters) }?;
    Ok((gradient, scores))
}

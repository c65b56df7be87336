//! The cross-entropy on NVIDIA GPUs: a block an image.

use super::{CrossEntropyKernel, Targets};
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
        targets: &Targets<'_>,
    ) -> Result<Option<(CudaBuffer, CudaBuffer)>, CudaError> {
        if targets.is_plain() {
            let labels = Indices::new(pool, targets.labels, classes)?;
            return gradient(pool, shape, logits, &labels, 0..n, targets.smoothing).map(Some);
        }
        let more = More::new(pool, targets, classes)?;
        launch(pool, shape, logits, (&more.labels, 0..n), targets.smoothing, Some(&more)).map(Some)
    }
}

/// What targets have beside labels and smoothing, on the device.
struct More {
    /// The images' labels, then their other classes.
    labels: Indices,
    /// The labels' shares `[n]`, the images' weights `[n]`, what is added to the logits `[classes]`.
    numbers: CudaBuffer,
}

impl More {
    fn new(pool: &CudaPool, targets: &Targets<'_>, classes: usize) -> Result<Self, CudaError> {
        let images: Vec<_> = (0..targets.labels.len()).map(|image| targets.of(image)).collect();
        let labels = targets.labels.iter().copied().chain(images.iter().map(|&(other, ..)| other));
        let labels = Indices::new(pool, &labels.collect::<Vec<_>>(), classes)?;
        let shares = images.iter().map(|&(_, share, _)| share as f32);
        let numbers = shares.chain(images.iter().map(|&(.., weight)| weight as f32));
        let offsets = (0..classes).map(|class| targets.offsets.map_or(0.0, |offsets| offsets[class]));
        let host: Vec<f32> = numbers.chain(offsets).collect();
        let mut numbers = pool.take(host.len())?;
        numbers.copy_from_host(&host)?;
        Ok(Self { labels, numbers })
    }
}

/// The gradient by the logits `[n, classes]`, and of each image its loss, the class of its largest logit and its margin
/// `[n, 3]`.
/// The labels are those of `range`. Nothing is waited for.
///
/// # Errors
/// The device failed.
///
/// # Panics
/// The logits are not as many as `shape` says, or the labels are of other images or more classes.
pub fn gradient(
    pool: &CudaPool,
    shape: [usize; 2],
    logits: &CudaBuffer,
    labels: &Indices,
    range: Range<usize>,
    smoothing: f64,
) -> Result<(CudaBuffer, CudaBuffer), CudaError> {
    launch(pool, shape, logits, (labels, range), smoothing, None)
}

fn launch(
    pool: &CudaPool,
    shape @ [n, classes]: [usize; 2],
    logits: &CudaBuffer,
    (labels, range): (&Indices, Range<usize>),
    smoothing: f64,
    more: Option<&More>,
) -> Result<(CudaBuffer, CudaBuffer), CudaError> {
    assert_eq!([logits.len(), range.len()], [n * classes, n], "logits or labels of other images than {shape:?}");
    assert!(labels.limit() <= classes, "labels of {} classes for {classes}", labels.limit());
    let (others, numbers) = match more {
        Some(More { labels, numbers }) => {
            assert_eq!([labels.len(), numbers.len()], [2 * n, 2 * n + classes], "targets of other images or classes");
            (labels.pointer(&(n..2 * n)), numbers.pointer())
        }
        None => (0, 0),
    };
    let (gradient, scores) = (pool.take(n * classes)?, pool.take(n * 3)?);
    let (even, rest) = (smoothing / classes as f64, 1.0 - smoothing);
    let labels = labels.pointer(&range);
    let (images, classes) = (kernel_size(n), kernel_size(classes));
    let results = (scores.pointer(), gradient.pointer());
    let parameters = (logits.pointer(), labels, others, numbers, images, classes, even, rest, results.0, results.1);
    // SAFETY: the kernel's parameters; lengths are checked, labels are less than `classes`, both results are new.
    unsafe { pool.context().launch("cross_entropy_gradient", [n, 1, 1], THREADS, parameters) }?;
    Ok((gradient, scores))
}

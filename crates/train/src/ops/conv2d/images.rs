//! The images of a batch as a convolution's kernels see them, one at a time: where they lie, or how each is made.
//!
//! What is made (normalised activations, gradients) goes into memory that stays in the second-level cache, and is
//! never written for the whole batch.

use super::{Geometry, Input, OutputGradient};
use crate::device::cpu::BufferPool;
use crate::device::cpu::layout::{LANES, blocks};
use crate::device::cpu::simd::{Kernel, Level, Simd, dispatch};
use crate::ops::batch_norm2d::{LaneAffine, LaneShare};
use crate::tensor::feature_map::Layout;
use crate::tensor::memory::Accumulate;
use dfdx::tensor::Cpu;
use std::ops::Range;

/// A batch's images.
pub(super) struct Images<'a> {
    /// Floats of one.
    len: usize,
    content: Content<'a>,
}

/// Writes one plane of 16 channels, told by its number among all planes of the batch and among the image's.
type Make<'a> = dyn Fn(usize, usize, &mut [f32]) + Sync + 'a;

enum Content<'a> {
    Ready(&'a [f32]),
    Made { planes: usize, make: Box<Make<'a>> },
}

impl<'a> Images<'a> {
    /// Images that lie in memory one after another, each `len` floats.
    pub(crate) fn ready(images: &'a [f32], len: usize) -> Self {
        Self { len, content: Content::Ready(images) }
    }

    /// What a convolution reads.
    pub(crate) fn input(level: Level, g: &Geometry, x: Input<'a, Cpu>) -> Self {
        let plane = g.h * g.w * LANES;
        let data: &[f32] = x.data;
        match (x.layout, x.affine) {
            (Layout::Images, _) => Self::ready(data, g.c * g.h * g.w),
            (Layout::Activations, None) => Self::ready(data, blocks(g.c) * plane),
            (Layout::Activations, Some(affine)) => {
                let affine = LaneAffine::new(affine);
                Self::made(blocks(g.c), plane, move |at, block, y| {
                    affine.apply(level, block, &data[at * plane..][..plane], y);
                })
            }
        }
    }

    /// The gradient by what a convolution computes, inside the ReLU.
    pub(crate) fn output_gradient(level: Level, g: &Geometry, dy: OutputGradient<'a, Cpu>) -> Self {
        let plane = g.out_h * g.out_w * LANES;
        match dy {
            OutputGradient::Whole(dy) => Self::ready(dy, blocks(g.o) * plane),
            OutputGradient::Clamped { dy, y } => Self::made(blocks(g.o), plane, move |at, _, d| {
                let (dy, y) = (&dy[at * plane..][..plane], &y[at * plane..][..plane]);
                // SAFETY: `level` is the machine's, and the three planes have the same number of whole pixels.
                unsafe { dispatch(level, Clamp { dy, y, d }) };
            }),
            OutputGradient::Normalized { share, others } => {
                let of = LaneShare::new(&share.of);
                let (x, dy): (&[f32], &[f32]) = (&share.x, &share.dy);
                Self::made(blocks(g.o), plane, move |at, block, d| {
                    let planes = [&dy[at * plane..][..plane], &x[at * plane..][..plane]];
                    match others {
                        Some(others) => {
                            d.copy_from_slice(&others[at * plane..][..plane]);
                            of.apply(level, block, planes, d, Accumulate::Add);
                        }
                        None => of.apply(level, block, planes, d, Accumulate::Overwrite),
                    }
                })
            }
        }
    }

    fn made(planes: usize, plane: usize, make: impl Fn(usize, usize, &mut [f32]) + Sync + 'a) -> Self {
        Self { len: planes * plane, content: Content::Made { planes, make: Box::new(make) } }
    }

    /// Gives `run` one plane of 16 channels, told by its number among all planes of the batch, where an image has
    /// `planes`.
    pub(crate) fn with_plane<R>(
        &self,
        pool: &BufferPool,
        at: usize,
        planes: usize,
        run: impl FnOnce(&[f32]) -> R,
    ) -> R {
        let plane = self.len / planes;
        match &self.content {
            Content::Ready(images) => run(&images[at * plane..][..plane]),
            Content::Made { make, .. } => {
                let mut made = pool.take(plane);
                make(at, at % planes, &mut made);
                run(&made)
            }
        }
    }

    /// Gives `run` some consecutive images.
    pub(crate) fn with_stack<R>(&self, pool: &BufferPool, images: Range<usize>, run: impl FnOnce(&[&[f32]]) -> R) -> R {
        match &self.content {
            Content::Ready(all) => {
                let stack = &all[images.start * self.len..images.end * self.len];
                run(&stack.chunks_exact(self.len).collect::<Vec<_>>())
            }
            Content::Made { planes, make } => {
                let mut stack = pool.take(images.len() * self.len);
                let plane = self.len / planes;
                let first = images.start * planes;
                stack.chunks_exact_mut(plane).enumerate().for_each(|(at, y)| make(first + at, at % planes, y));
                run(&stack.chunks_exact(self.len).collect::<Vec<_>>())
            }
        }
    }

    /// Gives `run` an image.
    pub(crate) fn with<R>(&self, pool: &BufferPool, n: usize, run: impl FnOnce(&[f32]) -> R) -> R {
        match &self.content {
            Content::Ready(images) => run(&images[n * self.len..][..self.len]),
            Content::Made { planes, make } => {
                let mut image = pool.take(self.len);
                let plane = self.len / planes;
                image.chunks_exact_mut(plane).enumerate().for_each(|(block, y)| make(n * planes + block, block, y));
                run(&image)
            }
        }
    }
}

/// `d = dy` where `y` is positive, zero elsewhere.
struct Clamp<'a> {
    dy: &'a [f32],
    y: &'a [f32],
    d: &'a mut [f32],
}

impl Kernel for Clamp<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for at in (0..self.d.len()).step_by(LANES) {
            // SAFETY: the caller's promise.
            unsafe {
                let value = S::where_positive(S::load(self.y.as_ptr().add(at)), S::load(self.dy.as_ptr().add(at)));
                S::store(self.d.as_mut_ptr().add(at), value);
            }
        }
    }
}

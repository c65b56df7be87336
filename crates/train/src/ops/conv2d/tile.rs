//! The innermost loops: a register tile of the convolution, and one of its weight gradient.
//!
//! Both see their input as rows of pixels 16 floats apart and as a list of [`Run`]s: for every output pixel the
//! products to be summed are, run by run, consecutive floats of the input times consecutive rows of 16 of the packed
//! weights.

use crate::device::cpu::activation::activate;
use crate::device::cpu::layout::LANES;
use crate::device::cpu::simd::{Kernel, Simd};
use crate::tensor::activation::Activation;

/// Consecutive floats of the input that meet consecutive rows of the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// From the float of the first output pixel's first product.
    pub offset: usize,
    /// Floats.
    pub len: usize,
}

/// One row of output pixels of some output channels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    /// The first pixel's input; pixels are 16 floats apart.
    pub x: *const f32,
    pub runs: &'a [Run],
    /// `[block][run by run][16]`.
    pub weights: *const f32,
    /// Floats between blocks of the weights.
    pub weights_stride: usize,
    /// `[block][16]`.
    pub bias: *const f32,
    /// Added to the result: strides as `y`.
    pub residual: Option<*const f32>,
    pub activation: Activation,
    pub y: *mut f32,
    /// Output pixels.
    pub pixels: usize,
    /// Floats between pixels of `y`.
    pub pixel_stride: usize,
    /// Floats between blocks of `y`.
    pub block_stride: usize,
    /// Blocks of output channels.
    pub blocks: usize,
}

impl Kernel for Row<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let mut block = 0;
        while block < self.blocks {
            let paired = S::OUTPUTS == 2 && block + 2 <= self.blocks;
            // SAFETY: pointers move by whole blocks and pixels inside what the caller vouches for.
            unsafe {
                let part = Row {
                    weights: self.weights.add(block * self.weights_stride),
                    bias: self.bias.add(block * LANES),
                    residual: self.residual.map(|r| r.add(block * self.block_stride)),
                    y: self.y.add(block * self.block_stride),
                    ..self
                };
                if paired { part.pixels::<S, 2>() } else { part.pixels::<S, 1>() }
            }
            block += if paired { 2 } else { 1 };
        }
    }
}

/// Calls a method for a number that is a constant in each arm; arms above the limit are compiled away.
macro_rules! with_constant {
    ($value:expr, $limit:expr, $($n:literal)+, |$constant:ident| $call:expr) => {
        match $value {
            $($n if $n <= $limit => { const $constant: usize = $n; $call })+
            _ => {}
        }
    };
}

impl Row<'_> {
    /// Splits the row into tiles of nearly equal width.
    #[inline(always)]
    unsafe fn pixels<S: Simd, const OUTPUTS: usize>(self) {
        let tiles = self.pixels.div_ceil(S::PIXELS);
        let mut first = 0;
        for tile in 0..tiles {
            let end = (tile + 1) * self.pixels / tiles;
            // SAFETY: as above.
            unsafe {
                let part = Row {
                    x: self.x.add(first * LANES),
                    residual: self.residual.map(|r| r.add(first * self.pixel_stride)),
                    y: self.y.add(first * self.pixel_stride),
                    ..self
                };
                with_constant!(end - first, S::PIXELS, 1 2 3 4 5 6 7 8 9 10 11 12 13 14, |P| part.tile::<S, P, OUTPUTS>());
            }
            first = end;
        }
    }

    /// `PIXELS` pixels by `OUTPUTS` blocks, held in registers.
    #[inline(always)]
    unsafe fn tile<S: Simd, const PIXELS: usize, const OUTPUTS: usize>(self) {
        // SAFETY: every address is one of a product or an output that the caller vouches for.
        unsafe {
            let mut sums = [[S::splat(0.0); OUTPUTS]; PIXELS];
            for (pixel, sums) in sums.iter_mut().enumerate() {
                for (block, sum) in sums.iter_mut().enumerate() {
                    *sum = S::load(self.bias.add(block * LANES));
                    if let Some(residual) = self.residual {
                        *sum =
                            S::add(*sum, S::load(residual.add(pixel * self.pixel_stride + block * self.block_stride)));
                    }
                }
            }
            let mut weights = self.weights;
            for run in self.runs {
                let mut x = self.x.add(run.offset);
                for _ in 0..run.len {
                    let mut rows = [S::splat(0.0); OUTPUTS];
                    for (block, row) in rows.iter_mut().enumerate() {
                        *row = S::load(weights.add(block * self.weights_stride));
                    }
                    for (pixel, sums) in sums.iter_mut().enumerate() {
                        let value = S::splat(*x.add(pixel * LANES));
                        for (sum, row) in sums.iter_mut().zip(rows) {
                            *sum = S::multiply_add(value, row, *sum);
                        }
                    }
                    x = x.add(1);
                    weights = weights.add(LANES);
                }
            }
            for (pixel, sums) in sums.iter().enumerate() {
                for (block, &sum) in sums.iter().enumerate() {
                    let value = activate::<S>(self.activation, sum);
                    S::store(self.y.add(pixel * self.pixel_stride + block * self.block_stride), value);
                }
            }
        }
    }
}

/// Some rows of pixels of one block of output channels, whose products with the input are added to the weight gradient.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outer {
    /// The first pixel's input at the first weight row; pixels are 16 floats apart.
    pub x: *const f32,
    /// Floats between rows of pixels of the input.
    pub x_stride: usize,
    /// The first pixel's gradient; pixels are 16 floats apart.
    pub dy: *const f32,
    /// Floats between rows of pixels of the gradient.
    pub dy_stride: usize,
    /// Rows of pixels.
    pub rows: usize,
    /// Pixels in a row.
    pub pixels: usize,
    /// Consecutive floats of the input: rows of 16 of the weight gradient.
    pub len: usize,
    /// `[len][16]`.
    pub dweights: *mut f32,
}

impl Kernel for Outer {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let tiles = self.len.div_ceil(S::ROWS);
        let mut first = 0;
        for tile in 0..tiles {
            let end = (tile + 1) * self.len / tiles;
            // SAFETY: pointers move by whole rows inside what the caller vouches for.
            unsafe {
                let part = Self { x: self.x.add(first), dweights: self.dweights.add(first * LANES), ..self };
                with_constant!(
                    end - first,
                    S::ROWS,
                    1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24,
                    |R| part.tile::<S, R>()
                );
            }
            first = end;
        }
    }
}

impl Outer {
    /// `ROWS` rows of the weight gradient, held in registers.
    #[inline(always)]
    unsafe fn tile<S: Simd, const ROWS: usize>(self) {
        // SAFETY: every address is one of a product or a weight that the caller vouches for.
        unsafe {
            let mut sums = [S::splat(0.0); ROWS];
            for (row, sum) in sums.iter_mut().enumerate() {
                *sum = S::load(self.dweights.add(row * LANES));
            }
            for row in 0..self.rows {
                let (mut x, mut dy) = (self.x.add(row * self.x_stride), self.dy.add(row * self.dy_stride));
                for _ in 0..self.pixels {
                    let gradient = S::load(dy);
                    for (row, sum) in sums.iter_mut().enumerate() {
                        *sum = S::multiply_add(S::splat(*x.add(row)), gradient, *sum);
                    }
                    (x, dy) = (x.add(LANES), dy.add(LANES));
                }
            }
            for (row, &sum) in sums.iter().enumerate() {
                S::store(self.dweights.add(row * LANES), sum);
            }
        }
    }
}

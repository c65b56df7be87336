//! Depthwise convolution on the channel-blocked layout: the 16 channels of a plane side by side, a plane at a time.
//!
//! There are as many operations as a kernel has positions for each value read, so the plane must be read from the
//! cache: it is *expanded* band by band, padded with zeros, and what is pending is applied as it is. The gradient by
//! the input at stride 1 is the same convolution with the kernel turned; at larger strides each output's gradient is
//! spread over its window.

use super::images::Images;
use super::{Epilogue, Geometry};
use crate::device::cpu::BufferPool;
use crate::device::cpu::activation::activate;
use crate::device::cpu::layout::{LANES, blocks};
use crate::device::cpu::simd::{Kernel, Level, Simd, dispatch};
use crate::device::cpu::sums::{Lanes, add_pixels};
use crate::ops::batch_norm2d::{MOMENTS, moments};
use crate::tensor::activation::Activation;
use crate::tensor::memory::Accumulate;
use rayon::prelude::*;

/// Images whose weight gradients are summed one after another are those of a group: a fixed number of groups, so that
/// the sum does not depend on the number of threads.
const GROUPS: usize = 8;

/// Floats of an expanded band: half of a first-level cache, or so.
const BAND_FLOATS: usize = 8 * 1024;

/// Output pixels whose sums are kept in registers: rows of 7, 14, 28, 56 and 112 pixels are whole tiles.
const TILE: usize = 7;

/// The walk of a kernel over a plane.
#[derive(Debug, Clone, Copy)]
struct Window {
    /// Rows and columns of the plane.
    input: [usize; 2],
    /// Rows and columns of the kernel.
    kernel: [usize; 2],
    stride: usize,
    /// Zeros above and to the left; negative to leave out rows and columns.
    pad: [isize; 2],
    /// Rows and columns of the result.
    out: [usize; 2],
}

impl Window {
    fn forward(g: &Geometry) -> Self {
        Self {
            input: [g.h, g.w],
            kernel: [g.kernel_h, g.kernel_w],
            stride: g.stride,
            pad: [g.pad_top as isize, g.pad_left as isize],
            out: [g.out_h, g.out_w],
        }
    }

    /// From the output's gradient to the input's, at stride 1.
    fn turned(g: &Geometry) -> Self {
        let pad = |kernel: usize, pad: usize| kernel as isize - 1 - pad as isize;
        Self {
            input: [g.out_h, g.out_w],
            kernel: [g.kernel_h, g.kernel_w],
            stride: 1,
            pad: [pad(g.kernel_h, g.pad_top), pad(g.kernel_w, g.pad_left)],
            out: [g.h, g.w],
        }
    }

    /// Columns of an expanded band.
    fn columns(&self) -> usize {
        (self.out[1] - 1) * self.stride + self.kernel[1]
    }

    /// Output rows of a band, and rows of the plane that they need.
    fn band(&self) -> [usize; 2] {
        let rows = (BAND_FLOATS / (self.columns() * LANES)).saturating_sub(self.kernel[0]) / self.stride;
        let rows = rows.clamp(1, self.out[0]);
        [rows, (rows - 1) * self.stride + self.kernel[0]]
    }

    /// Copies the rows of a plane that the output rows from `top` on need; zeros where there are none.
    fn expand(&self, plane: &[f32], top: usize, expanded: &mut [f32]) {
        let ([h, w], row) = (self.input, self.columns() * LANES);
        let (left, first) = (self.pad[1].max(0) as usize, self.pad[1].min(0).unsigned_abs());
        let left = left.min(self.columns());
        let count = w.saturating_sub(first).min(self.columns() - left);
        for (at, target) in expanded.chunks_exact_mut(row).enumerate() {
            let source = (top * self.stride + at) as isize - self.pad[0];
            let source = usize::try_from(source).ok().filter(|&source| source < h);
            let Some(source) = source.filter(|_| count > 0) else {
                target.fill(0.0);
                continue;
            };
            target[..left * LANES].fill(0.0);
            target[left * LANES..][..count * LANES]
                .copy_from_slice(&plane[(source * w + first) * LANES..][..count * LANES]);
            target[(left + count) * LANES..].fill(0.0);
        }
    }

    /// Expands a plane band by band; `run` gets the output rows and the band.
    fn each_band(&self, pool: &BufferPool, plane: &[f32], mut run: impl FnMut(std::ops::Range<usize>, &[f32])) {
        let [rows, needed] = self.band();
        let row = self.columns() * LANES;
        let mut expanded = pool.take(needed * row);
        for top in (0..self.out[0]).step_by(rows) {
            let end = (top + rows).min(self.out[0]);
            let needed = (end - top - 1) * self.stride + self.kernel[0];
            self.expand(plane, top, &mut expanded[..needed * row]);
            run(top..end, &expanded[..needed * row]);
        }
    }
}

/// `[c, 1, kernel_h, kernel_w]` as `[block][position][16]`, turned or not.
fn pack(g: &Geometry, weight: &[f32], turned: bool) -> Vec<f32> {
    let positions = g.kernel_h * g.kernel_w;
    let mut packed = vec![0.0; blocks(g.c) * positions * LANES];
    for (channel, kernel) in weight.chunks_exact(positions).enumerate() {
        for (at, &value) in kernel.iter().enumerate() {
            let at = if turned { positions - 1 - at } else { at };
            packed[(channel / LANES * positions + at) * LANES + channel % LANES] = value;
        }
    }
    packed
}

/// A vector of `c` values by lanes; zeros without one.
fn lanes(c: usize, values: Option<&[f32]>) -> Vec<Lanes> {
    let mut all = vec![[0.0; LANES]; blocks(c)];
    for (channel, &value) in values.into_iter().flatten().enumerate() {
        all[channel / LANES][channel % LANES] = value;
    }
    all
}

/// `y`, and the moments if they are wanted.
pub(super) fn forward(
    (level, pool): (Level, &BufferPool),
    g: &Geometry,
    x: &Images<'_>,
    (weight, bias): (&[f32], Option<&[f32]>),
    epilogue: Epilogue<'_, [f32]>,
    y: &mut [f32],
) {
    let (window, planes) = (Window::forward(g), blocks(g.c));
    let (weights, biases) = (pack(g, weight, false), lanes(g.c, bias));
    let (positions, plane) = (g.kernel_h * g.kernel_w, g.out_h * g.out_w * LANES);
    let taken: Vec<Option<&mut [f32]>> = match epilogue.moments {
        Some(moments) => moments.chunks_mut(MOMENTS).map(Some).collect(),
        None => (0..g.n * planes).map(|_| None).collect(),
    };
    y.par_chunks_mut(plane).zip(taken).enumerate().for_each(|(at, (y, taken))| {
        let block = at % planes;
        let weights = &weights[block * positions * LANES..][..positions * LANES];
        let residual = epilogue.residual.map(|map| &map[at * plane..][..plane]);
        let convolve = Convolve { window, weights, bias: &biases[block], activation: epilogue.activation };
        x.with_plane(pool, at, planes, |x| convolve.plane((level, pool), x, residual, y));
        if let Some(taken) = taken {
            moments(level, y, taken);
        }
    });
}

/// A kernel of 16 channels and what follows it.
#[derive(Clone, Copy)]
struct Convolve<'a> {
    window: Window,
    weights: &'a [f32],
    bias: &'a Lanes,
    activation: Activation,
}

impl Convolve<'_> {
    fn plane(&self, (level, pool): (Level, &BufferPool), x: &[f32], residual: Option<&[f32]>, y: &mut [f32]) {
        let row = self.window.out[1] * LANES;
        self.window.each_band(pool, x, |rows, x| {
            let part = rows.start * row..rows.end * row;
            let residual = residual.map(|residual| &residual[part.clone()]);
            self.check(x, rows.len(), residual);
            // SAFETY: `level` is the machine's, and the band, the residual and the output hold the rows, as was
            // checked.
            unsafe { dispatch(level, Band { of: *self, x, residual, y: &mut y[part] }) };
        });
    }

    /// Adds to `dx` what the output's gradient comes to at stride 1.
    fn plane_added(&self, (level, pool): (Level, &BufferPool), dy: &[f32], dx: &mut [f32]) {
        let row = self.window.out[1] * LANES;
        let mut before = pool.take(self.window.band()[0] * row);
        self.window.each_band(pool, dy, |rows, dy| {
            let part = rows.start * row..rows.end * row;
            let before = &mut before[..part.len()];
            before.copy_from_slice(&dx[part.clone()]);
            self.check(dy, rows.len(), Some(before));
            // SAFETY: as above.
            unsafe { dispatch(level, Band { of: *self, x: dy, residual: Some(before), y: &mut dx[part] }) };
        });
    }

    fn check(&self, x: &[f32], rows: usize, residual: Option<&[f32]>) {
        let Window { kernel, stride, out, .. } = self.window;
        assert_eq!(x.len(), ((rows - 1) * stride + kernel[0]) * self.window.columns() * LANES, "another band");
        assert_eq!(self.weights.len(), kernel[0] * kernel[1] * LANES, "weights of another kernel");
        assert!(residual.is_none_or(|residual| residual.len() == rows * out[1] * LANES), "a residual of another size");
    }
}

/// Rows of the output from an expanded band.
struct Band<'a> {
    of: Convolve<'a>,
    x: &'a [f32],
    residual: Option<&'a [f32]>,
    y: &'a mut [f32],
}

impl Kernel for Band<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let columns = self.of.window.out[1];
        for row in 0..self.y.len() / (columns * LANES) {
            let mut column = 0;
            // SAFETY: the caller's promise; tiles stay inside the row.
            unsafe {
                while column + TILE <= columns {
                    self.tile::<S, TILE>(row, column);
                    column += TILE;
                }
                while column < columns {
                    self.tile::<S, 1>(row, column);
                    column += 1;
                }
            }
        }
    }
}

impl Band<'_> {
    /// `PIXELS` pixels of a row.
    // Indices rather than iterators over arrays: those are not always inlined into the instruction set.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    unsafe fn tile<S: Simd, const PIXELS: usize>(&mut self, row: usize, column: usize) {
        let Convolve { window, weights, bias, activation } = self.of;
        let [kernel_h, kernel_w] = window.kernel;
        // SAFETY: the band holds every pixel that the kernel reaches from the tile, the output and the residual hold
        // the tile.
        unsafe {
            let mut sums = [S::load(bias.as_ptr()); PIXELS];
            let mut weight = weights.as_ptr();
            let first = (row * window.stride * window.columns() + column * window.stride) * LANES;
            for u in 0..kernel_h {
                let mut x = self.x.as_ptr().add(first + u * window.columns() * LANES);
                for _ in 0..kernel_w {
                    let w = S::load(weight);
                    for pixel in 0..PIXELS {
                        sums[pixel] = S::multiply_add(S::load(x.add(pixel * window.stride * LANES)), w, sums[pixel]);
                    }
                    (x, weight) = (x.add(LANES), weight.add(LANES));
                }
            }
            let at = (row * window.out[1] + column) * LANES;
            for pixel in 0..PIXELS {
                let mut sum = sums[pixel];
                if let Some(residual) = self.residual {
                    sum = S::add(sum, S::load(residual.as_ptr().add(at + pixel * LANES)));
                }
                S::store(self.y.as_mut_ptr().add(at + pixel * LANES), activate::<S>(activation, sum));
            }
        }
    }
}

/// A plane's number in the batch, and its gradient by the input if that is wanted.
type Plane<'a> = (usize, Option<&'a mut [f32]>);

/// Adds to the gradients of weight and bias, and writes or adds to `dx`.
pub(super) fn gradient(
    (level, pool): (Level, &BufferPool),
    g: &Geometry,
    [x, dy]: [&Images<'_>; 2],
    weight: &[f32],
    (dweight, dbias): (&mut [f32], Option<&mut [f32]>),
    dx: Option<(&mut [f32], Accumulate)>,
) {
    let (planes, positions) = (blocks(g.c), g.kernel_h * g.kernel_w);
    let by_input = dx.is_some().then(|| ByInput { weights: pack(g, weight, g.stride == 1), zeros: [0.0; LANES] });
    let accumulate = dx.as_ref().map_or(Accumulate::Overwrite, |(_, accumulate)| *accumulate);
    let groups = GROUPS.min(g.n);
    let images = |group: usize| group * g.n / groups..(group + 1) * g.n / groups;
    // For each group and block of channels: the sums of the weights' positions, then that of the bias.
    let len = (positions + 1) * LANES;
    let mut sums = pool.take(groups * planes * len);
    let mut dx_planes: Vec<Option<&mut [f32]>> = match dx {
        Some((dx, _)) => dx.chunks_mut(g.h * g.w * LANES).map(Some).collect(),
        None => (0..g.n * planes).map(|_| None).collect(),
    };
    // In the order of the tasks: group, block, image.
    let mut tasks: Vec<Vec<Plane<'_>>> = Vec::with_capacity(groups * planes);
    for group in 0..groups {
        for block in 0..planes {
            let of = images(group).map(|n| n * planes + block);
            tasks.push(of.map(|at| (at, dx_planes[at].take())).collect());
        }
    }
    sums.par_chunks_mut(len).zip(tasks).for_each(|(sums, task)| {
        sums.fill(0.0);
        for (at, dx) in task {
            dy.with_plane(pool, at, planes, |dy| {
                x.with_plane(pool, at, planes, |x| add_weight_gradient((level, pool), g, [x, dy], sums));
                if let (Some(by_input), Some(dx)) = (&by_input, dx) {
                    by_input.run((level, pool), g, at % planes, dy, (dx, accumulate));
                }
            });
        }
    });
    add_sums(g, &sums, dweight, dbias);
}

/// The groups' sums, in their order, to the gradients.
fn add_sums(g: &Geometry, sums: &[f32], dweight: &mut [f32], mut dbias: Option<&mut [f32]>) {
    let (planes, positions) = (blocks(g.c), g.kernel_h * g.kernel_w);
    let len = (positions + 1) * LANES;
    for channel in 0..g.c {
        let of_groups = |position: usize| -> f32 {
            let own = sums.chunks_exact(len).skip(channel / LANES).step_by(planes);
            own.map(|sums| sums[position * LANES + channel % LANES]).sum()
        };
        for position in 0..positions {
            dweight[channel * positions + position] += of_groups(position);
        }
        if let Some(dbias) = &mut dbias {
            dbias[channel] += of_groups(positions);
        }
    }
}

/// The gradient by the input.
struct ByInput {
    weights: Vec<f32>,
    zeros: Lanes,
}

impl ByInput {
    fn run(
        &self,
        on @ (level, _): (Level, &BufferPool),
        g: &Geometry,
        block: usize,
        dy: &[f32],
        (dx, accumulate): (&mut [f32], Accumulate),
    ) {
        let positions = g.kernel_h * g.kernel_w;
        let weights = &self.weights[block * positions * LANES..][..positions * LANES];
        if g.stride == 1 {
            let (window, bias, activation) = (Window::turned(g), &self.zeros, Activation::None);
            let convolve = Convolve { window, weights, bias, activation };
            match accumulate {
                Accumulate::Overwrite => convolve.plane(on, dy, None, dx),
                Accumulate::Add => convolve.plane_added(on, dy, dx),
            }
            return;
        }
        if accumulate == Accumulate::Overwrite {
            dx.fill(0.0);
        }
        assert_eq!([dy.len(), dx.len()], [g.out_h * g.out_w * LANES, g.h * g.w * LANES], "planes of other sizes");
        // SAFETY: `level` is the machine's; the planes have the sizes of the geometry.
        unsafe { dispatch(level, Spread { g, weights, dy, dx }) };
    }
}

/// Adds each output's gradient to the pixels of its window.
struct Spread<'a> {
    g: &'a Geometry,
    weights: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl Kernel for Spread<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let g = self.g;
        // The kernel's rows (or columns) that lie in the image from output `at` on.
        let inside = |at: usize, pad: usize, kernel: usize, size: usize| {
            let start = at * g.stride;
            pad.saturating_sub(start)..kernel.min((size + pad).saturating_sub(start))
        };
        for i in 0..g.out_h {
            for j in 0..g.out_w {
                let columns = inside(j, g.pad_left, g.kernel_w, g.w);
                for u in inside(i, g.pad_top, g.kernel_h, g.h) {
                    // SAFETY: by the ranges the pixels are in the image; the sizes are the caller's promise.
                    unsafe {
                        let d = S::load(self.dy.as_ptr().add((i * g.out_w + j) * LANES));
                        for v in columns.clone() {
                            let row = i * g.stride + u - g.pad_top;
                            let pixel = row * g.w + j * g.stride + v - g.pad_left;
                            let to = self.dx.as_mut_ptr().add(pixel * LANES);
                            let w = S::load(self.weights.as_ptr().add((u * g.kernel_w + v) * LANES));
                            S::store(to, S::multiply_add(d, w, S::load(to)));
                        }
                    }
                }
            }
        }
    }
}

/// Adds to the sums of a plane's weights and bias.
fn add_weight_gradient((level, pool): (Level, &BufferPool), g: &Geometry, [x, dy]: [&[f32]; 2], sums: &mut [f32]) {
    let (window, positions) = (Window::forward(g), g.kernel_h * g.kernel_w);
    let (weights, bias) = sums.split_at_mut(positions * LANES);
    let row = g.out_w * LANES;
    window.each_band(pool, x, |rows, x| {
        let dy = &dy[rows.start * row..rows.end * row];
        assert_eq!(x.len(), ((rows.len() - 1) * g.stride + g.kernel_h) * window.columns() * LANES, "another band");
        // SAFETY: `level` is the machine's; the band and the gradient hold the rows, and the weights all positions.
        unsafe { dispatch(level, Products { window, x, dy, weights }) };
    });
    add_pixels(level, dy, bias);
}

/// The products of a band with the gradient of its output rows, summed for each position of the kernel.
struct Products<'a> {
    window: Window,
    x: &'a [f32],
    dy: &'a [f32],
    weights: &'a mut [f32],
}

impl Kernel for Products<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let [kernel_h, kernel_w] = self.window.kernel;
        // SAFETY: the caller's promise; positions beyond the kernel's last column are never asked for.
        unsafe {
            for u in 0..kernel_h {
                let mut v = 0;
                while v + 3 <= kernel_w {
                    self.positions::<S, 3>(u, v);
                    v += 3;
                }
                match kernel_w - v {
                    2 => self.positions::<S, 2>(u, v),
                    1 => self.positions::<S, 1>(u, v),
                    _ => {}
                }
            }
        }
    }
}

impl Products<'_> {
    /// `COUNT` positions of a row of the kernel, over all rows of the band; two pixels at a time, so that additions do
    /// not wait for each other.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    unsafe fn positions<S: Simd, const COUNT: usize>(&mut self, u: usize, v: usize) {
        let Window { stride, out: [_, out_w], .. } = self.window;
        let columns = self.window.columns();
        let rows = self.dy.len() / (out_w * LANES);
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [[S::splat(0.0); COUNT]; 2];
            for i in 0..rows {
                let x = self.x.as_ptr().add(((i * stride + u) * columns + v) * LANES);
                let dy = self.dy.as_ptr().add(i * out_w * LANES);
                for j in 0..out_w {
                    let d = S::load(dy.add(j * LANES));
                    for at in 0..COUNT {
                        let x = S::load(x.add((j * stride + at) * LANES));
                        sums[j % 2][at] = S::multiply_add(x, d, sums[j % 2][at]);
                    }
                }
            }
            for at in 0..COUNT {
                let to = self.weights.as_mut_ptr().add((u * self.window.kernel[1] + v + at) * LANES);
                S::store(to, S::add(S::load(to), S::add(sums[0][at], sums[1][at])));
            }
        }
    }
}

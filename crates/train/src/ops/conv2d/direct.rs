//! Direct convolution on the channel-blocked layout.
//!
//! An image is first *expanded* into rows that the tiles can walk over blindly: padded with zeros, and, where the
//! stride is not 1 or the pixels are interleaved, with the columns that belong together moved side by side. That costs
//! one copy of an image (which then sits in the second-level cache) against the thousands of operations on each of its
//! values, and leaves one kernel for every stride, padding and input.

use super::Geometry;
use super::tile::{Outer, Row, Run};
use crate::device::cpu::layout::{LANES, blocks};
use crate::device::cpu::simd::{Level, dispatch};
use crate::tensor::activation::Activation;
use crate::tensor::feature_map::Layout;
use std::cell::RefCell;
use std::ops::Range;

/// A convolution as the tiles see it. The gradient by the input is one too (several, where the stride is not 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Direct {
    /// Input `[c, h, w]`.
    pub input: [usize; 3],
    pub layout: Layout,
    /// Output channels.
    pub outputs: usize,
    pub kernel: [usize; 2],
    pub stride: usize,
    /// Zeros above and to the left of the image; negative to leave out rows and columns.
    pub pad: [isize; 2],
    /// Rows and columns that are computed.
    pub out: [usize; 2],
    /// Where they go.
    pub target: Target,
}

/// Where a computed pixel `(i, j)` goes in a map of `size`: to `(top + i·step, left + j·step)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub size: [usize; 2],
    pub first: [usize; 2],
    pub step: usize,
}

/// What is added to the products' sum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addends<'a> {
    /// One for every lane of every output block.
    pub bias: &'a [f32],
    /// A map like the output.
    pub residual: Residual<'a>,
    pub activation: Activation,
}

/// A map that is added to the output.
#[derive(Debug, Clone, Copy)]
pub(super) enum Residual<'a> {
    None,
    /// Another map, or the part of it that the output covers.
    Map(&'a [f32]),
    /// What the output holds already.
    Output,
}

impl Residual<'_> {
    /// Where the map begins that is added to an output of `len` floats at `y`.
    pub(crate) fn start(self, y: *mut f32, len: usize) -> Option<*const f32> {
        match self {
            Self::None => None,
            Self::Map(map) => {
                assert_eq!(map.len(), len, "a residual of another size");
                Some(map.as_ptr())
            }
            Self::Output => Some(y.cast_const()),
        }
    }
}

impl Direct {
    /// The convolution itself.
    pub(crate) fn forward(g: &Geometry, layout: Layout) -> Self {
        Self {
            input: [g.c, g.h, g.w],
            layout,
            outputs: g.o,
            kernel: [g.kernel_h, g.kernel_w],
            stride: g.stride,
            pad: [g.pad_top as isize, g.pad_left as isize],
            out: [g.out_h, g.out_w],
            target: Target { size: [g.out_h, g.out_w], first: [0, 0], step: 1 },
        }
    }

    /// How the image is expanded, band by band, and the runs of the first output pixel in a band.
    pub(crate) fn plan(&self) -> Expansion {
        let ([c, _, _], [kernel_h, kernel_w], [out_h, out_w]) = (self.input, self.kernel, self.out);
        let (columns, planes) = match (self.layout, self.stride) {
            (Layout::Images, _) => (out_w, blocks(kernel_w * c)),
            (Layout::Activations, 1) => (out_w - 1 + kernel_w, blocks(c)),
            (Layout::Activations, _) => (out_w, blocks(c) * kernel_w),
        };
        let row = columns * LANES;
        let in_place = self.needs_no_expansion();
        let band =
            if in_place { out_h } else { band_rows(BAND_FLOATS / (planes * row), kernel_h, self.stride).min(out_h) };
        let rows = (band - 1) * self.stride + kernel_h;
        let at = |plane: usize, u: usize| (plane * rows + u) * row;
        let mut runs = Vec::new();
        match (self.layout, self.stride) {
            (Layout::Images, _) => {
                for (u, plane) in pairs(kernel_h, planes) {
                    runs.push(Run { offset: at(plane, u), len: LANES.min(kernel_w * c - plane * LANES) });
                }
            }
            (Layout::Activations, 1) => {
                for (block, u) in pairs(blocks(c), kernel_h) {
                    runs.push(Run { offset: at(block, u), len: kernel_w * LANES });
                }
            }
            (Layout::Activations, _) => {
                for (block, u) in pairs(blocks(c), kernel_h) {
                    runs.extend((0..kernel_w).map(|v| Run { offset: at(block * kernel_w + v, u), len: LANES }));
                }
            }
        }
        Expansion { in_place, band, planes, rows, columns, row_step: self.stride * row, runs }
    }

    /// Whether the tiles can walk over the image as it is.
    fn needs_no_expansion(&self) -> bool {
        let [_, h, w] = self.input;
        let fits = [self.out[0] + self.kernel[0] - 1, self.out[1] + self.kernel[1] - 1] == [h, w];
        self.layout == Layout::Activations && self.stride == 1 && self.pad == [0, 0] && fits
    }

    /// Fills `expanded` with what the band of output rows from `top` on needs of an image.
    fn expand(&self, plan: &Expansion, image: &[f32], top: usize, expanded: &mut [f32]) {
        let [c, h, w] = self.input;
        let row_len = plan.columns * LANES;
        for (at, target) in expanded.chunks_exact_mut(row_len).enumerate() {
            let (plane, row) = (at / plan.rows, at % plan.rows);
            let Some(row) = (top * self.stride + row).checked_add_signed(-self.pad[0]).filter(|&row| row < h) else {
                target.fill(0.0);
                continue;
            };
            match (self.layout, self.stride) {
                (Layout::Images, _) => self.expand_pixels(plane, &image[row * w * c..(row + 1) * w * c], target),
                (Layout::Activations, 1) => {
                    shift_row(&image[(plane * h + row) * w * LANES..][..w * LANES], self.pad[1], target)
                }
                (Layout::Activations, stride) => {
                    let (block, v) = (plane / self.kernel[1], plane % self.kernel[1]);
                    let source = &image[(block * h + row) * w * LANES..][..w * LANES];
                    for (j, target) in target.chunks_exact_mut(LANES).enumerate() {
                        match (j * stride + v).checked_add_signed(-self.pad[1]).filter(|&column| column < w) {
                            Some(column) => target.copy_from_slice(&source[column * LANES..][..LANES]),
                            None => target.fill(0.0),
                        }
                    }
                }
            }
        }
    }

    /// One row of interleaved pixels: for every output column the 16 floats of its window that `plane` stands for.
    fn expand_pixels(&self, plane: usize, source: &[f32], target: &mut [f32]) {
        let c = self.input[0];
        let len = LANES.min(self.kernel[1] * c - plane * LANES);
        for (j, target) in target.chunks_exact_mut(LANES).enumerate() {
            let start = ((j * self.stride) as isize - self.pad[1]) * c as isize + (plane * LANES) as isize;
            match usize::try_from(start).ok().and_then(|start| source.get(start..start + len)) {
                Some(window) => target[..len].copy_from_slice(window),
                None => {
                    for (k, value) in target[..len].iter_mut().enumerate() {
                        let at = usize::try_from(start + k as isize).ok();
                        *value = at.and_then(|at| source.get(at)).copied().unwrap_or(0.0);
                    }
                }
            }
        }
    }

    /// Gives `run` the expanded form of an image, band by band, with the output rows of each.
    fn for_each_band(&self, plan: &Expansion, image: &[f32], mut run: impl FnMut(&[f32], Range<usize>)) {
        if plan.in_place {
            return run(image, 0..self.out[0]);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            if scratch.len() < plan.len() {
                scratch.resize(plan.len(), 0.0);
            }
            let expanded = &mut scratch[..plan.len()];
            for top in (0..self.out[0]).step_by(plan.band) {
                self.expand(plan, image, top, expanded);
                run(expanded, top..(top + plan.band).min(self.out[0]));
            }
        });
    }

    /// Some output blocks of one image: `weights` `[block][rows][16]` and `y` `[block][h][w][16]` hold these blocks
    /// alone.
    pub(crate) fn run(
        &self,
        level: Level,
        plan: &Expansion,
        image: &[f32],
        weights: &[f32],
        addends: Addends<'_>,
        y: &mut [f32],
    ) {
        let weights_stride = plan.weight_rows() * LANES;
        let block_stride = self.target.size[0] * self.target.size[1] * LANES;
        let count = y.len() / block_stride;
        let ([out_h, out_w], Target { size, first, step }) = (self.out, self.target);
        assert_eq!(weights.len(), count * weights_stride);
        assert_eq!(addends.bias.len(), count * LANES);
        assert_eq!(y.len(), count * block_stride);
        assert!(first[0] + (out_h - 1) * step < size[0] && first[1] + (out_w - 1) * step < size[1]);
        let y_start = y.as_mut_ptr();
        let residual = addends.residual.start(y_start, y.len());
        self.for_each_band(plan, image, |x, rows| {
            assert!(plan.len() <= x.len() && rows.len() <= plan.band);
            for i in rows.clone() {
                let at = ((first[0] + i * step) * size[1] + first[1]) * LANES;
                // SAFETY: by the assertions the weights, the biases, the residual and the output hold all blocks and
                // the last pixel of the last row; a plan's runs stay inside an expanded band for every output pixel of
                // it.
                unsafe {
                    let row = Row {
                        x: x.as_ptr().add((i - rows.start) * plan.row_step),
                        runs: &plan.runs,
                        weights: weights.as_ptr(),
                        weights_stride,
                        bias: addends.bias.as_ptr(),
                        residual: residual.map(|r| r.add(at)),
                        activation: addends.activation,
                        y: y_start.add(at),
                        pixels: out_w,
                        pixel_stride: step * LANES,
                        block_stride,
                        blocks: count,
                    };
                    dispatch(level, row);
                }
            }
        });
    }

    /// Adds to the packed weight gradient `[block][rows][16]` the products of an image with `dy` `[block][h][w][16]`.
    pub(crate) fn add_weight_gradient(
        &self,
        level: Level,
        plan: &Expansion,
        image: &[f32],
        dy: &[f32],
        dweights: &mut [f32],
    ) {
        let [out_h, out_w] = self.out;
        let weights_stride = plan.weight_rows() * LANES;
        let block_stride = out_h * out_w * LANES;
        let count = dy.len() / block_stride;
        assert_eq!(dy.len(), count * block_stride);
        assert_eq!(dweights.len(), count * weights_stride);
        // Enough pixels at a time to make up for loading and storing the sums, few enough to stay in the first-level
        // cache.
        let strip = (STRIP_PIXELS / out_w).clamp(1, out_h);
        self.for_each_band(plan, image, |x, rows| {
            assert!(plan.len() <= x.len() && rows.len() <= plan.band);
            for top in rows.clone().step_by(strip) {
                let mut weight_row = 0;
                for run in &plan.runs {
                    for block in 0..count {
                        // SAFETY: by the assertions both gradients hold all blocks and rows; a plan's runs stay inside
                        // an expanded band for every output pixel of it.
                        unsafe {
                            let outer = Outer {
                                x: x.as_ptr().add((top - rows.start) * plan.row_step + run.offset),
                                x_stride: plan.row_step,
                                dy: dy.as_ptr().add(block * block_stride + top * out_w * LANES),
                                dy_stride: out_w * LANES,
                                rows: strip.min(rows.end - top),
                                pixels: out_w,
                                len: run.len,
                                dweights: dweights.as_mut_ptr().add(block * weights_stride + weight_row * LANES),
                            };
                            dispatch(level, outer);
                        }
                    }
                    weight_row += run.len;
                }
            }
        });
    }

    /// Calls `visit` for every weight that is not padding: its row in the packed weights, input channel, kernel row
    /// and column.
    pub(crate) fn for_each_weight_row(&self, mut visit: impl FnMut(usize, usize, usize, usize)) {
        let ([c, _, _], [kernel_h, kernel_w]) = (self.input, self.kernel);
        for ((u, v), channel) in pairs(kernel_h, kernel_w).flat_map(|tap| (0..c).map(move |channel| (tap, channel))) {
            let row = match self.layout {
                Layout::Images => (u * kernel_w + v) * c + channel,
                Layout::Activations => (((channel / LANES) * kernel_h + u) * kernel_w + v) * LANES + channel % LANES,
            };
            visit(row, channel, u, v);
        }
    }

    /// Packs weights for the tiles: `[block][rows][16]`, the value of each given by `(output, input, kernel row,
    /// kernel column)`.
    pub(crate) fn pack(&self, plan: &Expansion, value: impl Fn(usize, usize, usize, usize) -> f32) -> Vec<f32> {
        let stride = plan.weight_rows() * LANES;
        let mut packed = vec![0.0; blocks(self.outputs) * stride];
        self.for_each_weight_row(|row, input, u, v| {
            for output in 0..self.outputs {
                packed[output / LANES * stride + row * LANES + output % LANES] = value(output, input, u, v);
            }
        });
        packed
    }
}

/// Pixels after which the weight gradient's sums leave the registers.
const STRIP_PIXELS: usize = 128;

/// Floats of an expanded band: a quarter of the smallest second-level cache in use (512 KB).
const BAND_FLOATS: usize = 32 * 1024;

/// Output rows whose input fits into `rows` rows.
fn band_rows(rows: usize, kernel: usize, stride: usize) -> usize {
    rows.saturating_sub(kernel) / stride + 1
}

thread_local! {
    /// The expanded image of the thread's current task.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// How an expanded band of an image is laid out: `[plane][row][column][16]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expansion {
    /// There is one band: the image itself.
    in_place: bool,
    /// Output rows in a band; the last may have fewer.
    band: usize,
    planes: usize,
    rows: usize,
    columns: usize,
    /// Floats from an output row's first pixel to the next row's.
    row_step: usize,
    runs: Vec<Run>,
}

impl Expansion {
    fn len(&self) -> usize {
        self.planes * self.rows * self.columns * LANES
    }

    /// Rows of the packed weights of one output block.
    pub(crate) fn weight_rows(&self) -> usize {
        self.runs.iter().map(|run| run.len).sum()
    }
}

/// Copies a row of pixels behind `pad` zeros (or without its first `-pad` pixels), and fills up with zeros.
fn shift_row(source: &[f32], pad: isize, target: &mut [f32]) {
    let (zeros, skipped) = (pad.max(0) as usize * LANES, (-pad).max(0) as usize * LANES);
    let source = source.get(skipped..).unwrap_or_default();
    let zeros = zeros.min(target.len());
    let copied = source.len().min(target.len() - zeros);
    target[..zeros].fill(0.0);
    target[zeros..zeros + copied].copy_from_slice(&source[..copied]);
    target[zeros + copied..].fill(0.0);
}

fn pairs(a: usize, b: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..a).flat_map(move |a| (0..b).map(move |b| (a, b)))
}

/// The part of the gradient by the input that falls on every `stride`-th row and column: a convolution of stride 1 of
/// the output's gradient with every `stride`-th row and column of the kernel, turned round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Phase {
    pub direct: Direct,
    /// The kernel's first row and column that take part.
    pub first_tap: [usize; 2],
}

/// All parts of the gradient by the input. Those that no weight falls on are left out; they are zero.
pub(super) fn input_gradient_phases(g: &Geometry) -> Vec<Phase> {
    let axis = |phase: usize, size: usize, kernel: usize, pad: usize| {
        let first_tap = (phase + pad) % g.stride;
        let taps = kernel.saturating_sub(first_tap).div_ceil(g.stride);
        let base = (phase + pad - first_tap) / g.stride;
        let out = size.saturating_sub(phase).div_ceil(g.stride);
        (first_tap, taps, taps as isize - 1 - base as isize, out)
    };
    let phases = pairs(g.stride, g.stride).filter_map(|(py, px)| {
        let (tap_y, kernel_h, pad_y, out_h) = axis(py, g.h, g.kernel_h, g.pad_top);
        let (tap_x, kernel_w, pad_x, out_w) = axis(px, g.w, g.kernel_w, g.pad_left);
        let direct = Direct {
            input: [g.o, g.out_h, g.out_w],
            layout: Layout::Activations,
            outputs: g.c,
            kernel: [kernel_h, kernel_w],
            stride: 1,
            pad: [pad_y, pad_x],
            out: [out_h, out_w],
            target: Target { size: [g.h, g.w], first: [py, px], step: g.stride },
        };
        (kernel_h * kernel_w * out_h * out_w > 0).then_some(Phase { direct, first_tap: [tap_y, tap_x] })
    });
    phases.collect()
}

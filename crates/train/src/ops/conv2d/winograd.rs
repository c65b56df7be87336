//! 3x3 convolution of stride 1 by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray 2016).
//!
//! ```text
//! Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A        d a 6x6 tile of the input, g a kernel, Y a 4x4 tile of the output
//! dg = Gᵀ [ Σ (Bᵀ d B) ⊙ (A dY Aᵀ) ] G      summed over all tiles
//! ```
//! Summed over the input channels the elementwise products become 36 small matrix products: a quarter of the direct
//! algorithm's multiplications, and on random data an error of at most 1e-5 of the largest result (tested in `cpu.rs`, as
//! for the direct algorithm). Tiles are worked on band by band, so that the transformed band stays in the second-level cache.

use super::direct::{Direct, Extras, Residual};
use super::tile::{Outer, Row, Run};
use crate::device::cpu::activation::activate;
use crate::device::cpu::layout::{LANES, blocks};
use crate::device::cpu::simd::{Kernel, Level, Simd, Vector, dispatch, vectorized};
use crate::device::cpu::{Buffer, BufferPool};
use crate::tensor::activation::Activation;
use crate::tensor::feature_map::Layout;
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Rows and columns of an output tile.
const OUT: usize = 4;
/// Rows and columns of an input tile.
const IN: usize = 6;
/// Elements of a transformed tile.
const POINTS: usize = IN * IN;

/// Bytes of a transformed band, input and output: part of a second-level cache of 1 MB.
const BAND_BYTES: usize = 320 * 1024;

/// A convolution in tiles.
#[derive(Debug, Clone)]
pub(super) struct Winograd {
    /// Input `[c, h, w]`.
    input: [usize; 3],
    /// Zeros above and to the left of the image.
    pad: [isize; 2],
    /// Output rows and columns.
    out: [usize; 2],
    /// Input and output channel blocks.
    blocks: [usize; 2],
    /// Tiles in a row of tiles.
    columns: usize,
    /// Rows of tiles in a band.
    band: usize,
    /// Rows of tiles in a band of the weight gradient.
    gradient_band: usize,
}

/// Channels from which on the transforms are worth their time.
const FEWEST_CHANNELS: usize = 16;

impl Winograd {
    /// The convolution in tiles, if it is one that gains from it.
    pub fn new(direct: &Direct) -> Option<Self> {
        let Direct { input, layout, outputs, kernel, stride, pad, out, target } = *direct;
        let fits = layout == Layout::Activations && kernel == [3, 3] && stride == 1 && target.step == 1;
        let large = input[0] >= FEWEST_CHANNELS && outputs >= FEWEST_CHANNELS && out[0] >= OUT && out[1] >= OUT;
        if !(fits && large) {
            return None;
        }
        let blocks = [blocks(input[0]), blocks(outputs)];
        let (rows, columns) = (out[0].div_ceil(OUT), out[1].div_ceil(OUT));
        let tile_bytes = POINTS * LANES * size_of::<f32>() * (blocks[0] + blocks[1]);
        let most = (BAND_BYTES / (tile_bytes * columns)).clamp(1, rows);
        // Bands of nearly equal height.
        let even = |most: usize| rows.div_ceil(rows.div_ceil(most));
        // The weight gradient's sums are read and written for every band: so many tiles that this is not most of the traffic.
        let balanced = (input[0] * outputs / (input[0] + outputs)).div_ceil(columns).min(rows);
        Some(Self { input, pad, out, blocks, columns, band: even(most), gradient_band: even(most.max(balanced)) })
    }

    /// Rows of 16 of the transformed weights of one output block, for each of the 36 points.
    fn weight_rows(&self) -> usize {
        self.blocks[0] * LANES
    }

    /// Floats of the transformed weights of one output block: `[point][rows][16]`.
    pub fn weights_len(&self) -> usize {
        POINTS * self.weight_rows() * LANES
    }

    /// All rows of tiles, `height` at a time.
    fn bands(&self, height: usize) -> impl Iterator<Item = Band<'_>> {
        let rows = self.out[0].div_ceil(OUT);
        (0..rows).step_by(height).map(move |top| Band { of: self, rows: top..(top + height).min(rows) })
    }

    /// `G g Gᵀ` of all kernels, packed `[output block][point][rows][16]`; `value` gives a weight by output, input, row, column.
    pub fn transform_weights(
        &self,
        pool: &BufferPool,
        outputs: usize,
        value: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
    ) -> Buffer {
        let mut packed = pool.take(self.blocks[1] * self.weights_len());
        let rows = self.weight_rows();
        packed.par_chunks_mut(self.weights_len()).enumerate().for_each(|(block, packed)| {
            let lanes = LANES.min(outputs - block * LANES);
            for input in 0..rows {
                let mut kernels = [[[0.0; LANES]; 3]; 3];
                if input < self.input[0] {
                    for (u, v) in (0..3).flat_map(|u| (0..3).map(move |v| (u, v))) {
                        for (lane, weight) in kernels[v][u].iter_mut().enumerate().take(lanes) {
                            *weight = value(block * LANES + lane, input, u, v);
                        }
                    }
                }
                vectorized(|| transform_kernels(&kernels, &mut packed[input * LANES..], rows * LANES));
            }
        });
        packed
    }

    /// `Gᵀ u G` of the gradients `[point][rows][16]` of one block of transformed kernels, added to those of its kernels `[o, c, 3, 3]`.
    #[inline(always)]
    pub fn add_kernel_gradients(&self, points: &[f32], dweight: &mut [f32]) {
        let channels = self.input[0];
        for channel in 0..channels {
            let point = |at: usize| -> [f32; LANES] {
                let start = (at * self.weight_rows() + channel) * LANES;
                std::array::from_fn(|lane| points[start + lane])
            };
            let half: [[[f32; LANES]; IN]; 3] =
                transpose(std::array::from_fn(|j| g_transposed(std::array::from_fn(|i| point(i * IN + j)))));
            for (u, row) in half.into_iter().enumerate() {
                for (v, lanes) in g_transposed(row).into_iter().enumerate() {
                    let kernels = dweight.chunks_exact_mut(channels * 9);
                    kernels.zip(lanes).for_each(|(kernel, d)| kernel[channel * 9 + u * 3 + v] += d);
                }
            }
        }
    }

    /// Some output blocks of one image: `weights` and `y` `[block][h][w][16]` hold these blocks alone.
    pub fn run(&self, level: Level, image: &[f32], weights: &[f32], extras: Extras<'_>, y: &mut [f32]) {
        let block_stride = self.out[0] * self.out[1] * LANES;
        let count = y.len() / block_stride;
        assert_eq!(image.len(), self.blocks[0] * self.input[1] * self.input[2] * LANES);
        assert_eq!(weights.len(), count * self.weights_len());
        assert_eq!((extras.bias.len(), y.len()), (count * LANES, count * block_stride));
        let y_start = y.as_mut_ptr();
        let residual = match extras.residual {
            Residual::None => None,
            Residual::Map(map) => {
                assert_eq!(map.len(), y.len());
                Some(map.as_ptr())
            }
            Residual::Output => Some(y_start.cast_const()),
        };
        let zeros = vec![0.0; count * LANES];
        SCRATCH.with_borrow_mut(|[transformed, products]| {
            for band in self.bands(self.band) {
                let tiles = band.tiles();
                let runs: Vec<Run> =
                    (0..self.blocks[0]).map(|block| Run { offset: block * tiles * LANES, len: LANES }).collect();
                let (input_point, output_point) = (band.point_len(self.blocks[0]), band.point_len(count));
                let transformed = sized(transformed, POINTS * input_point);
                let products = sized(products, POINTS * output_point);
                // SAFETY: the image holds the blocks that the band says, and `transformed` their transformed tiles.
                unsafe { dispatch(level, TransformInput { band: &band, image, transformed }) };
                for point in 0..POINTS {
                    let row = Row {
                        x: transformed[point * input_point..].as_ptr(),
                        runs: &runs,
                        weights: weights[point * self.weight_rows() * LANES..].as_ptr(),
                        weights_stride: self.weights_len(),
                        bias: zeros.as_ptr(),
                        residual: None,
                        activation: Activation::None,
                        y: products[point * output_point..].as_mut_ptr(),
                        pixels: tiles,
                        pixel_stride: LANES,
                        block_stride: tiles * LANES,
                        blocks: count,
                    };
                    // SAFETY: the runs of all tiles lie in one point's part of `transformed`, the outputs in one of `products`,
                    // and the weights of all blocks were asserted.
                    unsafe { dispatch(level, row) };
                }
                let output = TransformOutput {
                    band: &band,
                    products,
                    bias: extras.bias,
                    residual,
                    activation: extras.activation,
                    y: y_start,
                };
                // SAFETY: `y` and the residual hold `count` blocks of the output's size.
                unsafe { dispatch(level, output) };
            }
        });
    }

    /// Adds to the gradient of the transformed weights `[block][point][rows][16]` the products of an image with `dy`
    /// `[block][h][w][16]`.
    pub fn add_weight_gradient(&self, level: Level, image: &[f32], dy: &[f32], dweights: &mut [f32]) {
        let block_stride = self.out[0] * self.out[1] * LANES;
        let count = dy.len() / block_stride;
        assert_eq!(image.len(), self.blocks[0] * self.input[1] * self.input[2] * LANES);
        assert_eq!(dy.len(), count * block_stride);
        assert_eq!(dweights.len(), count * self.weights_len());
        SCRATCH.with_borrow_mut(|[transformed, gradients]| {
            for band in self.bands(self.gradient_band) {
                let tiles = band.tiles();
                let (input_point, output_point) = (band.point_len(self.blocks[0]), band.point_len(count));
                let transformed = sized(transformed, POINTS * input_point);
                let gradients = sized(gradients, POINTS * output_point);
                // SAFETY: the image and the gradient hold the blocks that the band says, the scratch their transformed tiles.
                unsafe {
                    dispatch(level, TransformInput { band: &band, image, transformed });
                    dispatch(level, TransformGradient { band: &band, dy, transformed: gradients });
                }
                for (point, block) in (0..POINTS).flat_map(|point| (0..count).map(move |block| (point, block))) {
                    for input in 0..self.blocks[0] {
                        let weight_row = (point * self.blocks[0] + input) * LANES;
                        let outer = Outer {
                            x: transformed[point * input_point + input * tiles * LANES..].as_ptr(),
                            x_stride: 0,
                            dy: gradients[point * output_point + block * tiles * LANES..].as_ptr(),
                            dy_stride: 0,
                            rows: 1,
                            pixels: tiles,
                            len: LANES,
                            dweights: dweights[block * self.weights_len() + weight_row * LANES..].as_mut_ptr(),
                        };
                        // SAFETY: both sides hold all tiles of their blocks, and the weights 16 rows from there on.
                        unsafe { dispatch(level, outer) };
                    }
                }
            }
        });
    }
}

thread_local! {
    /// The two transformed sides of the current band.
    static SCRATCH: RefCell<[Buffer; 2]> = RefCell::new([BufferPool::default().take(0), BufferPool::default().take(0)]);
}

/// At least `len` floats, kept from task to task.
fn sized(buffer: &mut Buffer, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        *buffer = BufferPool::default().take(len);
    }
    &mut buffer[..len]
}

/// Some rows of tiles.
#[derive(Debug)]
struct Band<'a> {
    of: &'a Winograd,
    rows: Range<usize>,
}

impl Band<'_> {
    fn tiles(&self) -> usize {
        self.rows.len() * self.of.columns
    }

    /// Floats of one point of all tiles of some blocks: an odd number of cache lines, so that a tile's 36 points do not fall on
    /// the same few sets of the first-level cache.
    fn point_len(&self, blocks: usize) -> usize {
        ((blocks * self.tiles()) | 1) * LANES
    }

    /// Each tile's number in the band, and its first output row and column.
    #[inline(always)]
    fn each(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let columns = self.of.columns;
        let tiles = self.rows.clone().flat_map(move |row| (0..columns).map(move |column| (row, column)));
        tiles.enumerate().map(|(at, (row, column))| (at, row * OUT, column * OUT))
    }
}

/// `Bᵀ d B` of every tile and input block: to `[point][block][tile][16]`, a point being [`Band::point_len`] long.
struct TransformInput<'a> {
    band: &'a Band<'a>,
    image: &'a [f32],
    transformed: &'a mut [f32],
}

impl Kernel for TransformInput<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Winograd { input: [_, h, w], pad, blocks: [blocks, _], .. } = *self.band.of;
        let tiles = self.band.tiles();
        let mut edge = [0.0; POINTS * LANES];
        for (block, image) in self.image.chunks_exact(h * w * LANES).enumerate() {
            for (at, i, j) in self.band.each() {
                let (top, left) = (i as isize - pad[0], j as isize - pad[1]);
                let inside = top >= 0 && left >= 0 && top as usize + IN <= h && left as usize + IN <= w;
                let (source, stride) = if inside {
                    (&image[(top as usize * w + left as usize) * LANES..], w * LANES)
                } else {
                    copy_tile::<IN>(image, [h, w], [top, left], &mut edge);
                    (&edge[..], IN * LANES)
                };
                let target = &mut self.transformed[(block * tiles + at) * LANES..];
                let point = self.band.point_len(blocks);
                assert!(
                    source.len() >= ((IN - 1) * stride + IN * LANES) && target.len() >= (POINTS - 1) * point + LANES
                );
                for lane in (0..LANES).step_by(S::Register::WIDTH) {
                    // SAFETY: 6 rows of 6 pixels lie in the source, 36 points in the target, as asserted.
                    unsafe {
                        let (source, target) = (source.as_ptr().add(lane), target.as_mut_ptr().add(lane));
                        transform_input::<S::Register>(source, stride, target, point);
                    }
                }
            }
        }
    }
}

/// `Bᵀ d B` of a tile whose rows are `stride` floats apart; the transformed points go `point` floats apart.
// Loops rather than `array::from_fn`: its closures are not inlined into the instruction set.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
unsafe fn transform_input<V: Vector>(source: *const f32, stride: usize, target: *mut f32, point: usize) {
    // SAFETY: the caller vouches for 6 rows of 6 pixels and 36 points.
    unsafe {
        let mut half = [[V::splat(0.0); IN]; IN];
        for j in 0..IN {
            let mut column = [V::splat(0.0); IN];
            for i in 0..IN {
                column[i] = V::load(source.add(i * stride + j * LANES));
            }
            let column = b_transposed::<V>(column);
            for i in 0..IN {
                half[i][j] = column[i];
            }
        }
        for (i, &row) in half.iter().enumerate() {
            for (j, value) in b_transposed::<V>(row).into_iter().enumerate() {
                V::store(target.add((i * IN + j) * point), value);
            }
        }
    }
}

/// Copies a tile of `SIDE` rows and columns that reaches over the image's edge; zeros there.
fn copy_tile<const SIDE: usize>(image: &[f32], [h, w]: [usize; 2], [top, left]: [isize; 2], tile: &mut [f32]) {
    for (at, pixel) in tile.chunks_exact_mut(LANES).enumerate() {
        let row = usize::try_from(top + (at / SIDE) as isize).ok().filter(|&row| row < h);
        let column = usize::try_from(left + (at % SIDE) as isize).ok().filter(|&column| column < w);
        match row.zip(column) {
            Some((row, column)) => pixel.copy_from_slice(&image[(row * w + column) * LANES..][..LANES]),
            None => pixel.fill(0.0),
        }
    }
}

/// `Aᵀ m A` of every tile and output block, with bias, residual and ReLU: to `[block][h][w][16]`.
struct TransformOutput<'a> {
    band: &'a Band<'a>,
    /// `[point][block][tile][16]`.
    products: &'a [f32],
    bias: &'a [f32],
    residual: Option<*const f32>,
    activation: Activation,
    y: *mut f32,
}

impl Kernel for TransformOutput<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let tiles = self.band.tiles();
        let count = self.bias.len() / LANES;
        let point = self.band.point_len(count);
        for block in 0..count {
            for (at, top, left) in self.band.each() {
                let source = &self.products[(block * tiles + at) * LANES..];
                assert!(source.len() >= (POINTS - 1) * point + LANES);
                for lane in (0..LANES).step_by(S::Register::WIDTH) {
                    // SAFETY: 36 points lie in the products, as asserted; the pixels are those of the output inside the image.
                    unsafe {
                        let tile = transform_output::<S::Register>(source.as_ptr().add(lane), point);
                        self.store_tile::<S::Register>(&tile, [block, top, left], lane);
                    }
                }
            }
        }
    }
}

impl TransformOutput<'_> {
    /// Some lanes of a tile at `[block, row, column]`, those of its pixels that are inside the image.
    #[inline(always)]
    unsafe fn store_tile<V: Vector>(&self, tile: &[[V::Block; OUT]; OUT], [block, top, left]: [usize; 3], lane: usize) {
        let [h, w] = self.band.of.out;
        // SAFETY: bias, residual and output hold the block, and the pixels are inside the image.
        unsafe {
            let bias = V::load(self.bias.as_ptr().add(block * LANES + lane));
            for (i, row) in tile.iter().enumerate().take(h - top) {
                for (j, &value) in row.iter().enumerate() {
                    if left + j < w {
                        let at = ((block * h + top + i) * w + left + j) * LANES + lane;
                        let mut value = V::add(value, bias);
                        if let Some(residual) = self.residual {
                            value = V::add(value, V::load(residual.add(at)));
                        }
                        V::store(self.y.add(at), activate::<V>(self.activation, value));
                    }
                }
            }
        }
    }
}

/// `Aᵀ m A` of a tile whose points are `point` floats apart.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
unsafe fn transform_output<V: Vector>(source: *const f32, point: usize) -> [[V::Block; OUT]; OUT] {
    // SAFETY: the caller vouches for 36 points.
    unsafe {
        let mut half = [[V::splat(0.0); IN]; OUT];
        for j in 0..IN {
            let mut column = [V::splat(0.0); IN];
            for i in 0..IN {
                column[i] = V::load(source.add((i * IN + j) * point));
            }
            let column = a_transposed::<V>(column);
            for i in 0..OUT {
                half[i][j] = column[i];
            }
        }
        let mut tile = [[V::splat(0.0); OUT]; OUT];
        for i in 0..OUT {
            tile[i] = a_transposed::<V>(half[i]);
        }
        tile
    }
}

/// `A dY Aᵀ` of every tile and output block: to `[point][block][tile][16]`.
struct TransformGradient<'a> {
    band: &'a Band<'a>,
    dy: &'a [f32],
    transformed: &'a mut [f32],
}

impl Kernel for TransformGradient<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let [h, w] = self.band.of.out;
        let tiles = self.band.tiles();
        let point = self.transformed.len() / POINTS;
        let mut edge = [0.0; OUT * OUT * LANES];
        for (block, dy) in self.dy.chunks_exact(h * w * LANES).enumerate() {
            for (at, top, left) in self.band.each() {
                let (source, stride) = if top + OUT <= h && left + OUT <= w {
                    (&dy[(top * w + left) * LANES..], w * LANES)
                } else {
                    copy_tile::<OUT>(dy, [h, w], [top as isize, left as isize], &mut edge);
                    (&edge[..], OUT * LANES)
                };
                let target = &mut self.transformed[(block * tiles + at) * LANES..];
                assert!(
                    source.len() >= (OUT - 1) * stride + OUT * LANES && target.len() >= (POINTS - 1) * point + LANES
                );
                for lane in (0..LANES).step_by(S::Register::WIDTH) {
                    // SAFETY: 4 rows of 4 pixels lie in the source, 36 points in the target, as asserted.
                    unsafe {
                        let (source, target) = (source.as_ptr().add(lane), target.as_mut_ptr().add(lane));
                        transform_gradient::<S::Register>(source, stride, target, point);
                    }
                }
            }
        }
    }
}

/// `A dY Aᵀ` of a tile whose rows are `stride` floats apart; the transformed points go `point` floats apart.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
unsafe fn transform_gradient<V: Vector>(source: *const f32, stride: usize, target: *mut f32, point: usize) {
    // SAFETY: the caller vouches for 4 rows of 4 pixels and 36 points.
    unsafe {
        let mut half = [[V::splat(0.0); OUT]; IN];
        for j in 0..OUT {
            let mut column = [V::splat(0.0); OUT];
            for i in 0..OUT {
                column[i] = V::load(source.add(i * stride + j * LANES));
            }
            let column = a::<V>(column);
            for i in 0..IN {
                half[i][j] = column[i];
            }
        }
        for (i, &row) in half.iter().enumerate() {
            for (j, value) in a::<V>(row).into_iter().enumerate() {
                V::store(target.add((i * IN + j) * point), value);
            }
        }
    }
}

/// `Bᵀ d` of one column.
#[inline(always)]
unsafe fn b_transposed<V: Vector>(d: [V::Block; IN]) -> [V::Block; IN] {
    // SAFETY: the caller's instruction set.
    unsafe {
        let times = |factor: f32, value, plus| V::multiply_add(V::splat(factor), value, plus);
        let (even, odd) = (times(-4.0, d[2], d[4]), times(-4.0, d[1], d[3]));
        let (near, far) = (V::subtract(d[4], d[2]), V::subtract(d[3], d[1]));
        [
            times(4.0, d[0], times(-5.0, d[2], d[4])),
            V::add(even, odd),
            V::subtract(even, odd),
            times(2.0, far, near),
            times(-2.0, far, near),
            times(4.0, d[1], times(-5.0, d[3], d[5])),
        ]
    }
}

/// `Aᵀ m` of one column.
#[inline(always)]
unsafe fn a_transposed<V: Vector>(m: [V::Block; IN]) -> [V::Block; OUT] {
    // SAFETY: the caller's instruction set.
    unsafe {
        let times = |factor: f32, value, plus| V::multiply_add(V::splat(factor), value, plus);
        let (sum1, difference1) = (V::add(m[1], m[2]), V::subtract(m[1], m[2]));
        let (sum2, difference2) = (V::add(m[3], m[4]), V::subtract(m[3], m[4]));
        [
            V::add(V::add(m[0], sum1), sum2),
            times(2.0, difference2, difference1),
            times(4.0, sum2, sum1),
            times(8.0, difference2, V::add(difference1, m[5])),
        ]
    }
}

/// `A y` of one column.
#[inline(always)]
unsafe fn a<V: Vector>(y: [V::Block; OUT]) -> [V::Block; IN] {
    // SAFETY: the caller's instruction set.
    unsafe {
        let times = |factor: f32, value, plus| V::multiply_add(V::splat(factor), value, plus);
        let (even1, odd1) = (V::add(y[0], y[2]), V::add(y[1], y[3]));
        let (even2, odd2) = (times(4.0, y[2], y[0]), times(4.0, y[3], y[1]));
        [y[0], V::add(even1, odd1), V::subtract(even1, odd1), times(2.0, odd2, even2), times(-2.0, odd2, even2), y[3]]
    }
}

/// `G g Gᵀ` of 16 kernels, given column by column; the transformed points go `point` floats apart.
#[inline(always)]
fn transform_kernels(columns: &[[[f32; LANES]; 3]; 3], target: &mut [f32], point: usize) {
    let half: [[[f32; LANES]; 3]; IN] = transpose([g(&columns[0]), g(&columns[1]), g(&columns[2])]);
    for (i, row) in half.iter().enumerate() {
        for (j, lanes) in g(row).iter().enumerate() {
            target[(i * IN + j) * point..][..LANES].copy_from_slice(lanes);
        }
    }
}

/// `G g` of one column of 16 kernels.
#[inline(always)]
fn g(column: &[[f32; LANES]; 3]) -> [[f32; LANES]; IN] {
    let mut points = [[0.0; LANES]; IN];
    for lane in 0..LANES {
        let (a, b, c) = (column[0][lane], column[1][lane], column[2][lane]);
        let (outer, quarter) = (a + c, a / 24.0 + c / 6.0);
        points[0][lane] = a / 4.0;
        points[1][lane] = -(outer + b) / 6.0;
        points[2][lane] = -(outer - b) / 6.0;
        points[3][lane] = quarter + b / 12.0;
        points[4][lane] = quarter - b / 12.0;
        points[5][lane] = c;
    }
    points
}

/// `Gᵀ u` of one column of 16 kernels.
#[inline(always)]
fn g_transposed(u: [[f32; LANES]; IN]) -> [[f32; LANES]; 3] {
    let mut columns = [[0.0; LANES]; 3];
    for lane in 0..LANES {
        let [u0, u1, u2, u3, u4, u5] = std::array::from_fn(|i| u[i][lane]);
        let (sum1, sum2) = (u1 + u2, u3 + u4);
        columns[0][lane] = u0 / 4.0 - sum1 / 6.0 + sum2 / 24.0;
        columns[1][lane] = (u2 - u1) / 6.0 + (u3 - u4) / 12.0;
        columns[2][lane] = (sum2 - sum1) / 6.0 + u5;
    }
    columns
}

#[inline(always)]
fn transpose<T: Copy, const R: usize, const C: usize>(rows: [[T; C]; R]) -> [[T; R]; C] {
    std::array::from_fn(|c| std::array::from_fn(|r| rows[r][c]))
}

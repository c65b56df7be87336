//! 3x3 convolution of stride 1 by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray 2016).
//!
//! ```text
//! Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A        d a 6x6 tile of the input, g a kernel, Y a 4x4 tile of the output
//! dg = Gᵀ [ Σ (Bᵀ d B) ⊙ (A dY Aᵀ) ] G      summed over all tiles
//! ```
//! Summed over the input channels the elementwise products become 36 small matrix products: a quarter of the direct
//! algorithm's multiplications, and on random data an error of at most 1e-5 of the largest result (tested in `cpu.rs`,
//! as for the direct algorithm). Tiles are worked on band by band, so that the transformed band stays in the
//! second-level cache.

mod transforms;

use super::direct::{Addends, Direct};
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
use transforms::{g_transposed, transform_gradient, transform_input, transform_kernels, transform_output, transpose};

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

/// Tiles that make the traffic of the weight gradient's sums no more than that of the tiles themselves.
fn balanced_tiles([inputs, outputs]: [usize; 2]) -> usize {
    inputs * outputs / (inputs + outputs)
}

/// Channels from which on the transforms are worth their time.
const FEWEST_CHANNELS: usize = 16;

/// Bytes of transformed weights that a last-level cache is sure to hold. Beyond that they come from memory for every
/// image, and are four times what the direct kernel reads.
const CACHED_WEIGHTS: usize = 16 << 20;

/// Tiles of an image from which on the arithmetic saved is worth that traffic, by the balance of 6 operations a byte:
/// 512 to 512 channels at 4x4 pixels take 158 ms backward in tiles and 78 ms directly (32 images, two cores).
const FEWEST_TILES: usize = 9;

impl Winograd {
    /// The convolution in tiles, if it is one that gains from it.
    pub(crate) fn new(direct: &Direct) -> Option<Self> {
        let Direct { input, layout, outputs, kernel, stride, pad, out, target } = *direct;
        let fits = layout == Layout::Activations && kernel == [3, 3] && stride == 1 && target.step == 1;
        let large = input[0] >= FEWEST_CHANNELS && outputs >= FEWEST_CHANNELS && out[0] >= OUT && out[1] >= OUT;
        if !(fits && large) {
            return None;
        }
        let blocks = [blocks(input[0]), blocks(outputs)];
        let (rows, columns) = (out[0].div_ceil(OUT), out[1].div_ceil(OUT));
        let weight_bytes = POINTS * LANES * LANES * blocks[0] * blocks[1] * size_of::<f32>();
        if weight_bytes > CACHED_WEIGHTS && rows * columns < FEWEST_TILES {
            return None;
        }
        let tile_bytes = POINTS * LANES * size_of::<f32>() * (blocks[0] + blocks[1]);
        let most = (BAND_BYTES / (tile_bytes * columns)).clamp(1, rows);
        // Bands of nearly equal height.
        let even = |most: usize| rows.div_ceil(rows.div_ceil(most));
        // The weight gradient's sums are read and written for every band: so many tiles that this is not most of the
        // traffic.
        let balanced = balanced_tiles([input[0], outputs]).div_ceil(columns).min(rows);
        Some(Self { input, pad, out, blocks, columns, band: even(most), gradient_band: even(most.max(balanced)) })
    }

    /// Rows of 16 of the transformed weights of one output block, for each of the 36 points.
    fn weight_rows(&self) -> usize {
        self.blocks[0] * LANES
    }

    /// Floats of the transformed weights of one output block: `[point][rows][16]`.
    pub(crate) fn weights_len(&self) -> usize {
        POINTS * self.weight_rows() * LANES
    }

    /// All rows of tiles of so many images, `height` at a time.
    fn bands(&self, images: usize, height: usize) -> impl Iterator<Item = Band<'_>> {
        let rows = self.out[0].div_ceil(OUT);
        (0..rows).step_by(height).map(move |top| Band { of: self, images, rows: top..(top + height).min(rows) })
    }

    /// Images whose weight gradient is best summed at once: those that make up for reading and writing the sums, if
    /// all of an image's tiles are few, as far as their transformed tiles take at most `bytes`.
    pub(crate) fn gradient_stack(&self, bytes: usize) -> usize {
        let rows = self.out[0].div_ceil(OUT);
        if self.gradient_band < rows {
            return 1;
        }
        let tiles = rows * self.columns;
        let tile_bytes = POINTS * LANES * size_of::<f32>() * (self.blocks[0] + self.blocks[1]);
        balanced_tiles(self.blocks.map(|blocks| blocks * LANES))
            .div_ceil(tiles)
            .min(bytes / (tile_bytes * tiles))
            .max(1)
    }

    /// `G g Gᵀ` of all kernels, packed `[output block][point][rows][16]`; `value` gives a weight by output, input,
    /// row, column.
    pub(crate) fn transform_weights(
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

    /// `Gᵀ u G` of the gradients `[point][rows][16]` of one block of transformed kernels, added to those of its
    /// kernels `[o, c, 3, 3]`.
    #[inline(always)]
    pub(crate) fn add_kernel_gradients(&self, points: &[f32], dweight: &mut [f32]) {
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
    pub(crate) fn run(&self, level: Level, image: &[f32], weights: &[f32], addends: Addends<'_>, y: &mut [f32]) {
        let block_stride = self.out[0] * self.out[1] * LANES;
        let count = y.len() / block_stride;
        assert_eq!(image.len(), self.blocks[0] * self.input[1] * self.input[2] * LANES);
        assert_eq!(weights.len(), count * self.weights_len());
        assert_eq!((addends.bias.len(), y.len()), (count * LANES, count * block_stride));
        let y_start = y.as_mut_ptr();
        let residual = addends.residual.start(y_start, y.len());
        SCRATCH.with_borrow_mut(|[transformed, products]| {
            for band in self.bands(1, self.band) {
                let transformed = sized(transformed, POINTS * band.point_len(self.blocks[0]));
                let products = sized(products, POINTS * band.point_len(count));
                // SAFETY: the image holds the blocks that the band says, and `transformed` their transformed tiles.
                unsafe { dispatch(level, TransformInput { band: &band, images: &[image], transformed }) };
                self.multiply(level, &band, [transformed, weights], products);
                let output = TransformOutput {
                    band: &band,
                    products,
                    bias: addends.bias,
                    residual,
                    activation: addends.activation,
                    y: y_start,
                };
                // SAFETY: `y` and the residual hold `count` blocks of the output's size.
                unsafe { dispatch(level, output) };
            }
        });
    }

    /// The products of a band's transformed tiles with the transformed weights of some output blocks, point by point.
    fn multiply(&self, level: Level, band: &Band<'_>, [transformed, weights]: [&[f32]; 2], products: &mut [f32]) {
        let (tiles, count) = (band.tiles(), weights.len() / self.weights_len());
        let (input_point, output_point) = (band.point_len(self.blocks[0]), band.point_len(count));
        assert_eq!([transformed.len(), products.len()], [input_point, output_point].map(|point| POINTS * point));
        let run = |block: usize| Run { offset: block * tiles * LANES, len: LANES };
        let runs: Vec<Run> = (0..self.blocks[0]).map(run).collect();
        let zeros = vec![0.0; count * LANES];
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
            // SAFETY: the runs of all tiles lie in one point's part of `transformed`, the outputs in one of
            // `products`, and the weights are those of whole blocks.
            unsafe { dispatch(level, row) };
        }
    }

    /// Adds to the gradient of the transformed weights `[block][point][rows][16]` the products of images with their
    /// `dy`, `[block][h][w][16]` each.
    pub(crate) fn add_weight_gradient(&self, level: Level, [images, dy]: [&[&[f32]]; 2], dweights: &mut [f32]) {
        let block_stride = self.out[0] * self.out[1] * LANES;
        let count = dweights.len() / self.weights_len();
        let image_len = self.blocks[0] * self.input[1] * self.input[2] * LANES;
        assert!(images.len() == dy.len() && images.iter().all(|image| image.len() == image_len));
        assert!(dy.iter().all(|dy| dy.len() == count * block_stride));
        assert_eq!(dweights.len(), count * self.weights_len());
        SCRATCH.with_borrow_mut(|[transformed, gradients]| {
            for band in self.bands(images.len(), self.gradient_band) {
                let tiles = band.tiles();
                let (input_point, output_point) = (band.point_len(self.blocks[0]), band.point_len(count));
                let transformed = sized(transformed, POINTS * input_point);
                let gradients = sized(gradients, POINTS * output_point);
                // SAFETY: images and gradients hold the blocks that the band says, the scratch their transformed
                // tiles.
                unsafe {
                    dispatch(level, TransformInput { band: &band, images, transformed });
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

/// Some rows of tiles, the same of each image.
#[derive(Debug)]
struct Band<'a> {
    of: &'a Winograd,
    images: usize,
    rows: Range<usize>,
}

impl Band<'_> {
    /// Of all images.
    fn tiles(&self) -> usize {
        self.images * self.image_tiles()
    }

    fn image_tiles(&self) -> usize {
        self.rows.len() * self.of.columns
    }

    /// Floats of one point of all tiles of some blocks: an odd number of cache lines, so that a tile's 36 points do
    /// not fall on the same few sets of the first-level cache.
    fn point_len(&self, blocks: usize) -> usize {
        ((blocks * self.tiles()) | 1) * LANES
    }

    /// The planes of 16 channels of the band's images, each with the number of its first tile among the transformed
    /// ones: `[block][image][tile]`.
    fn planes<'b>(&self, images: &'b [&'b [f32]], plane: usize) -> impl Iterator<Item = (usize, &'b [f32])> {
        let (all, of_image) = (self.tiles(), self.image_tiles());
        images.iter().enumerate().flat_map(move |(image, planes)| {
            let planes = planes.chunks_exact(plane).enumerate();
            planes.map(move |(block, plane)| (block * all + image * of_image, plane))
        })
    }

    /// Each tile's number among those of an image, and its first output row and column.
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
    /// As many as the band has.
    images: &'a [&'a [f32]],
    transformed: &'a mut [f32],
}

impl Kernel for TransformInput<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Winograd { input: [_, h, w], pad, blocks: [blocks, _], .. } = *self.band.of;
        let mut edge = [0.0; POINTS * LANES];
        for (first, image) in self.band.planes(self.images, h * w * LANES) {
            for (at, i, j) in self.band.each() {
                let (top, left) = (i as isize - pad[0], j as isize - pad[1]);
                let inside = top >= 0 && left >= 0 && top as usize + IN <= h && left as usize + IN <= w;
                let (source, stride) = if inside {
                    (&image[(top as usize * w + left as usize) * LANES..], w * LANES)
                } else {
                    copy_tile::<IN>(image, [h, w], [top, left], &mut edge);
                    (&edge[..], IN * LANES)
                };
                let target = &mut self.transformed[(first + at) * LANES..];
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
                    // SAFETY: 36 points lie in the products, as asserted; the pixels are those of the output inside
                    // the image.
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

/// `A dY Aᵀ` of every tile and output block: to `[point][block][tile][16]`.
struct TransformGradient<'a> {
    band: &'a Band<'a>,
    /// As many as the band has images.
    dy: &'a [&'a [f32]],
    transformed: &'a mut [f32],
}

impl Kernel for TransformGradient<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let [h, w] = self.band.of.out;
        let point = self.transformed.len() / POINTS;
        let mut edge = [0.0; OUT * OUT * LANES];
        for (first, dy) in self.band.planes(self.dy, h * w * LANES) {
            for (at, top, left) in self.band.each() {
                let (source, stride) = if top + OUT <= h && left + OUT <= w {
                    (&dy[(top * w + left) * LANES..], w * LANES)
                } else {
                    copy_tile::<OUT>(dy, [h, w], [top as isize, left as isize], &mut edge);
                    (&edge[..], OUT * LANES)
                };
                let target = &mut self.transformed[(first + at) * LANES..];
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

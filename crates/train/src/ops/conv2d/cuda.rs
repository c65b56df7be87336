//! The convolution on NVIDIA GPUs: which kernel of `cuda.cu` runs on how many blocks.
//!
//! What is pending on the input is applied as it is read, and so is the ReLU on the gradient: both cost the products
//! little, and a pass over memory is saved. A normalisation's share of the gradient is computed once, into a buffer:
//! it takes three maps and five numbers a channel, and a 3x3 kernel would read each of its elements nine times and
//! more.
//!
//! Results do not depend on the sizes of tiles, and the number of slices follows from the shape alone: two runs give
//! the same bits.

use super::grouped;
use super::{Conv2dKernel, ConvGradients, Epilogue, Geometry, Input, OutputGradient};
use crate::device::cuda::{CudaBuffer, CudaPool, pointer};
use crate::ops::batch_norm2d::plane_moments;
use crate::ops::gemm::{SLICE_THREADS, check_len, not_supported, slice_blocks, slices};
use crate::tensor::activation::Activation;
use crate::tensor::memory::{Accumulate, Memory, Vector};
use crate::tensor::pending::{AddKernel, Affine, PendingKernel};
use cudarc::driver::{DevicePtr, DeviceRepr};
use dfdx::tensor::{Cuda, CudaError};
use preprocess::pipeline::Precision;

/// Pixels of the input and channels of the output, or the other way round, that a block computes.
const PIXEL_TILES: [[usize; 2]; 3] = [[128, 64], [128, 32], [64, 32]];

/// Weights of one output channel, and output channels, of which a block computes the gradient.
const TAP_TILES: [[usize; 2]; 2] = [[64, 64], [64, 32]];

/// Results that a thread of either owns.
const RESULTS: usize = 32;

/// With fewer blocks than two for each of 132 multiprocessors (H100), smaller tiles take less time.
const FEW_BLOCKS: usize = 264;

/// Blocks that the gradient by the weights is split into, if there are pixels enough.
const GRADIENT_BLOCKS: usize = 528;

/// Pixels that outweigh the sum over slices.
const SHORTEST_SLICE: usize = 256;

/// Rows and columns of a kernel together: a pixel has a bit for each.
const MOST_KERNEL_BITS: usize = 31;

/// A kernel's names for both precisions and all tiles.
macro_rules! kernels {
    ($name:literal, $($tile:literal),+) => {
        Kernels {
            tf32: &[$(concat!("conv2d_", $name, "_tf32_", $tile)),+],
            fp32: &[$(concat!("conv2d_", $name, "_fp32_", $tile)),+],
        }
    };
}

const FORWARD: Kernels = kernels!("forward", "128x64", "128x32", "64x32");
const INPUT_GRADIENT: Kernels = kernels!("input_gradient", "128x64", "128x32", "64x32");
const CLAMPED_INPUT_GRADIENT: Kernels = kernels!("clamped_input_gradient", "128x64", "128x32", "64x32");
const WEIGHT_GRADIENT: Kernels = kernels!("weight_gradient", "64x64", "64x32");
const CLAMPED_WEIGHT_GRADIENT: Kernels = kernels!("clamped_weight_gradient", "64x64", "64x32");

struct Kernels {
    tf32: &'static [&'static str],
    fp32: &'static [&'static str],
}

impl Kernels {
    fn of(&self, precision: Precision, tile: usize) -> &'static str {
        match precision {
            Precision::Tf32 => self.tf32[tile],
            Precision::Fp32 => self.fp32[tile],
        }
    }
}

impl Conv2dKernel for Cuda {
    fn conv2d(
        &self,
        pool: &CudaPool,
        geometry: &Geometry,
        x: Input<'_, Self>,
        weight: &Vector<Self>,
        bias: Option<&Vector<Self>>,
        epilogue: Epilogue<'_, CudaBuffer>,
        y: &mut CudaBuffer,
    ) -> Result<(), CudaError> {
        let context = pool.context();
        if geometry.groups > 1 {
            grouped::forward(context, geometry, x, (weight, bias), &epilogue, y)?;
            return match epilogue.moments {
                Some(moments) => plane_moments(context, geometry.output(), y, moments),
                None => Ok(()),
            };
        }
        let sizes = DeviceGeometry::new(geometry)?;
        let applied;
        let x = match self.with_upper_limit(pool, geometry, x)? {
            Some(map) => {
                applied = map;
                Input { data: &applied, affine: None, ..x }
            }
            None => x,
        };
        let Geometry { n, o, out_h, out_w, .. } = *geometry;
        let launch = PixelLaunch::new(n * out_h * out_w, o);
        let parameters = (
            sizes,
            x.data.pointer(),
            DeviceAffine::new(x.affine),
            pointer(weight),
            bias.map_or(0, pointer),
            epilogue.residual.map_or(0, CudaBuffer::pointer),
            epilogue.activation.code(),
            y.pointer(),
        );
        let kernel = FORWARD.of(context.precision(), launch.tile);
        // SAFETY: the parameters are the kernel's; the buffers have the sizes in `geometry`, which fit its integers.
        unsafe { context.launch(kernel, launch.grid, launch.threads, parameters) }?;
        match epilogue.moments {
            Some(moments) => plane_moments(context, geometry.output(), y, moments),
            None => Ok(()),
        }
    }

    fn conv2d_gradient(
        &self,
        pool: &CudaPool,
        geometry: &Geometry,
        x: Input<'_, Self>,
        dy: OutputGradient<'_, Self>,
        weight: &Vector<Self>,
        gradients: ConvGradients<'_, Self>,
        dx: Option<(&mut CudaBuffer, Accumulate)>,
    ) -> Result<(), CudaError> {
        let computed;
        let dy = match dy {
            OutputGradient::Whole(dy) => Gradient { dy, y: None },
            OutputGradient::Clamped { dy, y } => Gradient { dy, y: Some(y) },
            OutputGradient::Normalized { share, others } => {
                let mut sum = self.allocate(pool, geometry.output())?;
                self.apply_norm_share(geometry.output(), share, &mut sum, Accumulate::Overwrite)?;
                if let Some(others) = others {
                    self.add_assign(&mut sum, others)?;
                }
                computed = sum;
                Gradient { dy: &computed, y: None }
            }
        };
        if geometry.groups > 1 {
            return grouped::gradient(pool.context(), geometry, x, dy.pointers(), weight, gradients, dx);
        }
        let sizes = DeviceGeometry::new(geometry)?;
        let applied;
        let x = match self.with_upper_limit(pool, geometry, x)? {
            Some(map) => {
                applied = map;
                Input { data: &applied, affine: None, ..x }
            }
            None => x,
        };
        weight_gradient(pool, geometry, sizes, x, dy, gradients)?;
        match dx {
            Some((dx, accumulate)) => input_gradient(pool, geometry, sizes, dy, weight, dx, accumulate),
            None => Ok(()),
        }
    }
}

/// What the kernels cannot apply as they read.
trait UpperLimit {
    fn with_upper_limit(
        &self,
        pool: &CudaPool,
        geometry: &Geometry,
        x: Input<'_, Cuda>,
    ) -> Result<Option<CudaBuffer>, CudaError>;
}

impl UpperLimit for Cuda {
    /// The input, normalised, if its activation has an upper limit: the kernels know of a lower one alone.
    fn with_upper_limit(
        &self,
        pool: &CudaPool,
        geometry: &Geometry,
        x: Input<'_, Cuda>,
    ) -> Result<Option<CudaBuffer>, CudaError> {
        let Some(affine) = x.affine.filter(|affine| affine.activation == Activation::Relu6) else { return Ok(None) };
        let mut applied = self.allocate(pool, geometry.input())?;
        self.apply_affine(geometry.input(), affine, x.data, &mut applied)?;
        Ok(Some(applied))
    }
}

/// The gradient by the output: `dy`, where `y` is positive.
#[derive(Clone, Copy)]
struct Gradient<'a> {
    dy: &'a CudaBuffer,
    y: Option<&'a CudaBuffer>,
}

impl Gradient<'_> {
    fn pointers(&self) -> [u64; 2] {
        [self.dy.pointer(), self.y.map_or(0, CudaBuffer::pointer)]
    }
}

fn input_gradient(
    pool: &CudaPool,
    geometry: &Geometry,
    sizes: DeviceGeometry,
    gradient: Gradient<'_>,
    weight: &Vector<Cuda>,
    dx: &mut CudaBuffer,
    accumulate: Accumulate,
) -> Result<(), CudaError> {
    let context = pool.context();
    let launch = PixelLaunch::new(geometry.n * geometry.h * geometry.w, geometry.c);
    let kernels = if gradient.y.is_some() { CLAMPED_INPUT_GRADIENT } else { INPUT_GRADIENT };
    let [dy, y] = gradient.pointers();
    let add = i32::from(accumulate == Accumulate::Add);
    let parameters = (sizes, dy, y, pointer(weight), add, dx.pointer());
    let kernel = kernels.of(context.precision(), launch.tile);
    // SAFETY: as in `conv2d`.
    unsafe { context.launch(kernel, launch.grid, launch.threads, parameters) }
}

fn weight_gradient(
    pool: &CudaPool,
    geometry: &Geometry,
    sizes: DeviceGeometry,
    x: Input<'_, Cuda>,
    gradient: Gradient<'_>,
    gradients: ConvGradients<'_, Cuda>,
) -> Result<(), CudaError> {
    let context = pool.context();
    let Geometry { n, c, o, kernel_h, kernel_w, out_h, out_w, .. } = *geometry;
    let (pixels, taps) = (n * out_h * out_w, c * kernel_h * kernel_w);
    let tile = usize::from(o <= TAP_TILES[1][1]);
    let [tile_taps, tile_channels] = TAP_TILES[tile];
    let blocks = [taps.div_ceil(tile_taps), o.div_ceil(tile_channels)];
    let [slice, slices] = slices(pixels, blocks[0] * blocks[1], GRADIENT_BLOCKS, SHORTEST_SLICE);
    let elements = o * (taps + 1);
    check_len(slices * elements)?;
    let partial = pool.take(slices * elements)?;

    let kernels = if gradient.y.is_some() { CLAMPED_WEIGHT_GRADIENT } else { WEIGHT_GRADIENT };
    let [dy, y] = gradient.pointers();
    let parameters = (sizes, x.data.pointer(), DeviceAffine::new(x.affine), dy, y, slice as i32, partial.pointer());
    let (grid, threads) = ([blocks[0], blocks[1], slices], tile_taps * tile_channels / RESULTS);
    let kernel = kernels.of(context.precision(), tile);
    // SAFETY: as in `conv2d`; `partial` has an element for each slice, output channel, and weight or bias.
    unsafe { context.launch(kernel, grid, threads, parameters) }?;

    let ConvGradients { weight, bias } = gradients;
    let slots = [*weight.device_ptr(), bias.map_or(0, |bias| *bias.device_ptr())];
    let parameters = (partial.pointer(), slices as i32, o as i32, taps as i32, slots[0], slots[1]);
    // SAFETY: the slots have the tensors' lengths, and are borrowed exclusively.
    unsafe { context.launch("conv2d_add_slices", slice_blocks(elements), SLICE_THREADS, parameters) }
}

/// The tile, an index in [`PIXEL_TILES`], and the blocks of a product over pixels.
struct PixelLaunch {
    tile: usize,
    grid: [usize; 3],
    threads: usize,
}

impl PixelLaunch {
    fn new(pixels: usize, channels: usize) -> Self {
        let grid = |tile: usize| [pixels.div_ceil(PIXEL_TILES[tile][0]), channels.div_ceil(PIXEL_TILES[tile][1]), 1];
        let large = usize::from(channels <= PIXEL_TILES[1][1]);
        let tile = if grid(large).iter().product::<usize>() < FEW_BLOCKS { 2 } else { large };
        Self { tile, grid: grid(tile), threads: PIXEL_TILES[tile].iter().product::<usize>() / RESULTS }
    }
}

/// `Geometry` in `cuda.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct DeviceGeometry {
    sizes: [i32; 12],
    divisors: [Divisor; 5],
}

// SAFETY: plain numbers, laid out as in C.
unsafe impl DeviceRepr for DeviceGeometry {}

impl DeviceGeometry {
    /// # Errors
    /// Maps or weights of 2³¹ floats and more, or a kernel of more rows and columns than a pixel has bits.
    fn new(geometry: &Geometry) -> Result<Self, CudaError> {
        let g = *geometry;
        for shape in [g.input(), g.output(), g.kernel()] {
            check_len(shape.iter().product())?;
        }
        if g.kernel_h + g.kernel_w > MOST_KERNEL_BITS {
            return Err(not_supported());
        }
        let sizes =
            [g.n, g.c, g.h, g.w, g.o, g.kernel_h, g.kernel_w, g.stride, g.pad_top, g.pad_left, g.out_h, g.out_w];
        let divisors = [g.kernel_h * g.kernel_w, g.kernel_w, g.stride, g.out_h * g.out_w, g.out_w];
        Ok(Self { sizes: sizes.map(|size| size as i32), divisors: divisors.map(Divisor::new) })
    }
}

/// `Divisor` in `cuda.cu`: for d the multiplier ⌊2³² (2ˡ - d) / d⌋ + 1 and the shift l, the smallest with 2ˡ >= d.
#[derive(Clone, Copy)]
#[repr(C)]
struct Divisor {
    value: u32,
    multiplier: u32,
    shift: u32,
}

impl Divisor {
    fn new(value: usize) -> Self {
        let (value, shift) = (value as u64, value.next_power_of_two().trailing_zeros());
        let multiplier = (((1u64 << shift) - value) << 32) / value + 1;
        Self { value: value as u32, multiplier: multiplier as u32, shift }
    }
}

/// `Affine` in `cuda.cu`.
#[repr(C)]
struct DeviceAffine {
    scale: u64,
    shift: u64,
    activation: i32,
}

// SAFETY: plain numbers, laid out as in C.
unsafe impl DeviceRepr for DeviceAffine {}

impl DeviceAffine {
    fn new(affine: Option<&Affine<Cuda>>) -> Self {
        affine.map_or(Self { scale: 0, shift: 0, activation: 0 }, |affine| Self {
            scale: pointer(&affine.scale),
            shift: pointer(&affine.shift),
            activation: affine.activation.code(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Divisor {
        /// As `cuda.cu` divides.
        fn divide(self, number: u32) -> u32 {
            let high = ((u64::from(number) * u64::from(self.multiplier)) >> 32) as u32;
            (high + number) >> self.shift
        }
    }

    #[test]
    fn division_by_multiplication_is_exact_below_two_to_the_31() {
        let most = (1u32 << 31) - 1;
        for value in (1..=300).chain([961, 4095, 4096, 4097, 16_384, 65_535, 1 << 20, most / 2, most - 1, most]) {
            let divisor = Divisor::new(value as usize);
            let multiples = [0, 1, 2, most / value - 1, most / value].map(|times| times.saturating_mul(value));
            let around = multiples.iter().flat_map(|&m| [m.saturating_sub(1), m, m.saturating_add(1)]);
            for number in around.chain([most]).filter(|&number| number <= most) {
                assert_eq!(divisor.divide(number), number / value, "{number} / {value}");
            }
        }
    }

    #[test]
    fn few_pixels_take_small_tiles() {
        let launch = |pixels, channels| {
            let launch = PixelLaunch::new(pixels, channels);
            (PIXEL_TILES[launch.tile], launch.grid, launch.threads)
        };
        assert_eq!(launch(131_072, 64), ([128, 64], [1024, 1, 1], 256));
        assert_eq!(launch(119_072, 32), ([128, 32], [931, 1, 1], 128));
        assert_eq!(launch(28_800, 32), ([64, 32], [450, 1, 1], 64));
        assert_eq!(launch(1, 65), ([64, 32], [1, 3, 1], 64));
    }
}

//! The convolution on the CPU: packs the weights, splits the batch over the threads, and computes all that concerns an
//! image while it is in the cache: its normalisation, the convolution, its moments; in the backward pass both
//! gradients.

use super::direct::{Addends, Direct, Expansion, Residual, input_gradient_phases};
use super::images::Images;
use super::winograd::Winograd;
use super::{Conv2dKernel, ConvGradients, Epilogue, Geometry, Input, OutputGradient, dense, depthwise, plain};
use crate::device::cpu::layout::{LANES, blocks};
use crate::device::cpu::simd::{Level, is_reference, level, vectorized};
use crate::device::cpu::sums::add_pixels;
use crate::device::cpu::{Buffer, BufferPool, host};
use crate::ops::batch_norm2d::{MOMENTS, moments};
use crate::tensor::activation::Activation;
use crate::tensor::feature_map::Layout;
use crate::tensor::memory::{Accumulate, Vector};
use dfdx::tensor::{Cpu, HasErr};
use rayon::prelude::*;

/// Groups of images whose weight gradients are summed one after another: a fixed number, so that the sum does not
/// depend on the number of threads.
const GROUPS: usize = 8;

impl Conv2dKernel for Cpu {
    fn conv2d(
        &self,
        pool: &BufferPool,
        geometry: &Geometry,
        x: Input<'_, Self>,
        weight: &Vector<Self>,
        bias: Option<&Vector<Self>>,
        epilogue: Epilogue<'_, Buffer>,
        y: &mut Buffer,
    ) -> Result<(), <Self as HasErr>::Err> {
        if is_reference() {
            plain::forward(geometry, x, &host(weight), bias.map(host).as_deref(), &epilogue, y);
            return Ok(());
        }
        let epilogue = Epilogue {
            residual: epilogue.residual.map(|map| &**map),
            activation: epilogue.activation,
            moments: epilogue.moments.map(|moments| &mut **moments),
        };
        let images = Images::input(level(), geometry, x);
        forward(
            (level(), pool),
            geometry,
            (&images, x.layout),
            (&host(weight), bias.map(host).as_deref()),
            epilogue,
            y,
        );
        Ok(())
    }

    fn conv2d_gradient(
        &self,
        pool: &BufferPool,
        geometry: &Geometry,
        x: Input<'_, Self>,
        dy: OutputGradient<'_, Self>,
        weight: &Vector<Self>,
        gradients: ConvGradients<'_, Self>,
        dx: Option<(&mut Buffer, Accumulate)>,
    ) -> Result<(), <Self as HasErr>::Err> {
        if is_reference() {
            let dy = plain::whole(self, pool, geometry.output(), dy)?;
            plain::gradient(geometry, x, &dy, &host(weight), gradients, dx);
            return Ok(());
        }
        let images = Images::input(level(), geometry, x);
        let dy = Images::output_gradient(level(), geometry, dy);
        let dx = dx.map(|(dx, accumulate)| (&mut **dx, accumulate));
        let sums = (&mut gradients.weight[..], gradients.bias.map(|bias| &mut bias[..]));
        gradient((level(), pool), geometry, (&images, x.layout), &dy, &host(weight), sums, dx);
        Ok(())
    }
}

/// Output blocks that a task computes: all of an image's, unless there are too few images to keep the threads busy.
fn blocks_per_task(images: usize, blocks: usize) -> usize {
    let tasks = 4 * rayon::current_num_threads();
    let parts = tasks.div_ceil(images).min(blocks);
    // Pairs of blocks share their input's loads.
    blocks.div_ceil(parts).next_multiple_of(2).min(blocks)
}

/// The algorithm for a convolution, with its packed weights.
enum Algorithm {
    Direct(Expansion, Vec<f32>),
    Winograd(Winograd, Buffer),
}

/// A convolution that is ready to be run on images.
struct PackedConvolution {
    level: Level,
    direct: Direct,
    algorithm: Algorithm,
    per_task: usize,
}

impl PackedConvolution {
    /// For a batch of that many images. `weight` gives a weight by output, input, kernel row and column.
    fn new(
        (level, pool): (Level, &BufferPool),
        direct: Direct,
        images: usize,
        weight: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        let algorithm = match Winograd::new(&direct) {
            Some(winograd) => {
                let weights = winograd.transform_weights(pool, direct.outputs, weight);
                Algorithm::Winograd(winograd, weights)
            }
            None => {
                let plan = direct.plan();
                let weights = direct.pack(&plan, weight);
                Algorithm::Direct(plan, weights)
            }
        };
        let per_task = blocks_per_task(images, blocks(direct.outputs));
        Self { level, direct, algorithm, per_task }
    }

    /// Convolves one image; the bias in `addends` has a value for every lane.
    fn run(&self, image: &[f32], addends: Addends<'_>, y: &mut [f32]) {
        let plane = self.direct.target.size[0] * self.direct.target.size[1] * LANES;
        y.par_chunks_mut(self.per_task * plane).enumerate().for_each(|(part, y)| {
            let (first, count) = (part * self.per_task, y.len() / plane);
            let residual = match addends.residual {
                Residual::Map(map) => Residual::Map(&map[first * plane..][..y.len()]),
                other => other,
            };
            let bias = &addends.bias[first * LANES..][..count * LANES];
            let addends = Addends { bias, residual, ..addends };
            let part_of = |stride: usize| first * stride..(first + count) * stride;
            match &self.algorithm {
                Algorithm::Direct(plan, weights) => {
                    let part = part_of(plan.weight_rows() * LANES);
                    self.direct.run(self.level, plan, image, &weights[part], addends, y);
                }
                Algorithm::Winograd(winograd, weights) => {
                    let part = part_of(winograd.weights_len());
                    winograd.run(self.level, image, &weights[part], addends, y);
                }
            }
        });
    }
}

/// `y`, by the kernels for its groups.
fn forward(
    on: (Level, &BufferPool),
    g: &Geometry,
    (x, layout): (&Images<'_>, Layout),
    (weight, bias): (&[f32], Option<&[f32]>),
    epilogue: Epilogue<'_, [f32]>,
    y: &mut [f32],
) {
    if g.groups == 1 {
        dense_forward(on, g, (x, layout), (weight, bias), epilogue, y);
    } else if g.is_depthwise() && layout == Layout::Activations {
        depthwise::forward(on, g, x, (weight, bias), epilogue, y);
    } else {
        let whole = Geometry { groups: 1, ..*g };
        dense_forward(on, &whole, (x, layout), (&dense::weight(g, weight), bias), epilogue, y);
    }
}

/// Adds to the gradients of weight and bias, and writes or adds to `dx`, by the kernels for its groups.
fn gradient(
    on: (Level, &BufferPool),
    g: &Geometry,
    (x, layout): (&Images<'_>, Layout),
    dy: &Images<'_>,
    weight: &[f32],
    (dweight, dbias): (&mut [f32], Option<&mut [f32]>),
    dx: Option<(&mut [f32], Accumulate)>,
) {
    if g.groups == 1 {
        dense_gradient(on, g, (x, layout), dy, weight, (dweight, dbias), dx);
    } else if g.is_depthwise() && layout == Layout::Activations {
        depthwise::gradient(on, g, [x, dy], weight, (dweight, dbias), dx);
    } else {
        let (whole, weight) = (Geometry { groups: 1, ..*g }, dense::weight(g, weight));
        let mut sums = vec![0.0; weight.len()];
        dense_gradient(on, &whole, (x, layout), dy, &weight, (&mut sums, dbias), dx);
        dense::add_gradient(g, &sums, dweight);
    }
}

fn dense_forward(
    on: (Level, &BufferPool),
    g: &Geometry,
    (x, layout): (&Images<'_>, Layout),
    (weight, bias): (&[f32], Option<&[f32]>),
    epilogue: Epilogue<'_, [f32]>,
    y: &mut [f32],
) {
    let weight = |o, c, u, v| weight[((o * g.c + c) * g.kernel_h + u) * g.kernel_w + v];
    let prepared = PackedConvolution::new(on, Direct::forward(g, layout), g.n, weight);
    let mut lanes = vec![0.0; blocks(g.o) * LANES];
    if let Some(bias) = bias {
        lanes[..g.o].copy_from_slice(bias);
    }
    let plane = g.out_h * g.out_w * LANES;
    let image = blocks(g.o) * plane;
    let taken: Vec<Option<&mut [f32]>> = match epilogue.moments {
        Some(moments) => moments.chunks_mut(blocks(g.o) * MOMENTS).map(Some).collect(),
        None => (0..g.n).map(|_| None).collect(),
    };
    y.par_chunks_mut(image).zip(taken).enumerate().for_each(|(n, (y, taken))| {
        let residual = epilogue.residual.map_or(Residual::None, |map| Residual::Map(&map[n * image..][..image]));
        x.with(on.1, n, |x| prepared.run(x, Addends { bias: &lanes, residual, activation: epilogue.activation }, y));
        for (y, taken) in y.chunks_exact(plane).zip(taken.into_iter().flat_map(|taken| taken.chunks_exact_mut(MOMENTS)))
        {
            moments(on.0, y, taken);
        }
    });
}

/// Adds to the gradients of weight and bias, and writes or adds to `dx`.
fn dense_gradient(
    on @ (level, _): (Level, &BufferPool),
    g: &Geometry,
    (x, layout): (&Images<'_>, Layout),
    dy: &Images<'_>,
    weight: &[f32],
    (dweight, dbias): (&mut [f32], Option<&mut [f32]>),
    dx: Option<(&mut [f32], Accumulate)>,
) {
    let by_input = dx.map(|(dx, accumulate)| (InputGradient::new(on, g, weight, accumulate), dx));
    let direct = Direct::forward(g, layout);
    if let Some(winograd) = Winograd::new(&direct) {
        let add = |images: [&[&[f32]]; 2], sums: &mut [f32]| winograd.add_weight_gradient(level, images, sums);
        let sums = GroupSums::new(on, g, [x, dy], SumsPlan::winograd(g, &winograd), add, by_input);
        dweight.par_chunks_mut(LANES * g.c * 9).enumerate().for_each(|(block, dweight)| {
            vectorized(|| winograd.add_kernel_gradients(sums.weights(block), dweight));
        });
        sums.add_biases(dbias);
    } else {
        let plan = direct.plan();
        let add = |[images, dy]: [&[&[f32]]; 2], sums: &mut [f32]| {
            let pairs = images.iter().zip(dy);
            pairs.for_each(|(image, dy)| direct.add_weight_gradient(level, &plan, image, dy, sums));
        };
        let of_sums = SumsPlan::direct(g, plan.weight_rows() * LANES);
        let sums = GroupSums::new(on, g, [x, dy], of_sums, add, by_input);
        let mut rows = Vec::new();
        direct.for_each_weight_row(|row, c, u, v| rows.push((row, (c * g.kernel_h + u) * g.kernel_w + v)));
        let kernels = g.c * g.kernel_h * g.kernel_w;
        dweight.par_chunks_mut(LANES * kernels).enumerate().for_each(|(block, dweight)| {
            let sums = sums.weights(block);
            for (lane, dweight) in dweight.chunks_exact_mut(kernels).enumerate() {
                rows.iter().for_each(|&(row, at)| dweight[at] += sums[row * LANES + lane]);
            }
        });
        sums.add_biases(dbias);
    }
}

/// The convolutions that the gradient by the input is made of.
struct InputGradient {
    phases: Vec<PackedConvolution>,
    /// Zeros.
    bias: Vec<f32>,
    accumulate: Accumulate,
    /// Whether they write every pixel.
    all_written: bool,
}

impl InputGradient {
    fn new(on: (Level, &BufferPool), g: &Geometry, weight: &[f32], accumulate: Accumulate) -> Self {
        let phases = input_gradient_phases(g).into_iter().map(|phase| {
            let ([tap_y, tap_x], [kernel_h, kernel_w]) = (phase.first_tap, phase.direct.kernel);
            let turned = |c, o, u, v| {
                let (u, v) = (tap_y + (kernel_h - 1 - u) * g.stride, tap_x + (kernel_w - 1 - v) * g.stride);
                weight[((o * g.c + c) * g.kernel_h + u) * g.kernel_w + v]
            };
            PackedConvolution::new(on, phase.direct, GROUPS.min(g.n), turned)
        });
        let phases: Vec<_> = phases.collect();
        let all_written = phases.len() == g.stride * g.stride;
        Self { phases, bias: vec![0.0; blocks(g.c) * LANES], accumulate, all_written }
    }

    /// Of one image.
    fn run(&self, dy: &[f32], dx: &mut [f32]) {
        let residual = match self.accumulate {
            Accumulate::Add => Residual::Output,
            Accumulate::Overwrite => Residual::None,
        };
        if self.accumulate == Accumulate::Overwrite && !self.all_written {
            dx.fill(0.0);
        }
        let addends = Addends { bias: &self.bias, residual, activation: Activation::None };
        self.phases.iter().for_each(|phase| phase.run(dy, addends, dx));
    }
}

/// How the sums of weight gradients are taken. It follows from the shapes alone, so that they do not depend on the
/// number of threads.
struct SumsPlan {
    /// Groups of images whose sums are taken apart.
    groups: usize,
    /// Images of a group at a time: sums that no cache holds are read and written once for all of them.
    stack: usize,
    /// Floats of the packed weights of an output block.
    weights_len: usize,
    /// Output blocks in all, and in a task.
    blocks: [usize; 2],
}

/// Bytes of sums that a second-level cache holds beside an image.
const CACHED_SUMS: usize = 512 << 10;
/// Bytes of what a stack of images is computed from.
const STACK_BYTES: usize = 1 << 20;
/// Bytes of all groups' sums above which there are fewer groups, and how many there are at least.
const GROUPS_BYTES: usize = 32 << 20;
const FEWEST_GROUPS: usize = 4;

impl SumsPlan {
    /// Directly: sums that no cache holds are worked on in parts that one does, each for a whole stack of images.
    fn direct(g: &Geometry, weights_len: usize) -> Self {
        let image_bytes = (g.c * g.h * g.w + g.o * g.out_h * g.out_w) * size_of::<f32>();
        let (groups, all) = (Self::groups(g, weights_len), blocks(g.o));
        let block_bytes = (weights_len + LANES) * size_of::<f32>();
        let stack =
            if all * block_bytes <= CACHED_SUMS { 1 } else { Self::stack(g, groups, STACK_BYTES / image_bytes) };
        let per_task = match stack {
            1 => blocks_per_task(groups, all),
            _ => (CACHED_SUMS / block_bytes).clamp(1, all),
        };
        Self { groups, stack, weights_len, blocks: [all, per_task] }
    }

    /// In tiles: every part of the output blocks transforms the images anew, so that parts are few, and sums are read
    /// and written once for as many tiles as make this a small part of the work.
    fn winograd(g: &Geometry, winograd: &Winograd) -> Self {
        let weights_len = winograd.weights_len();
        let (groups, all) = (Self::groups(g, weights_len), blocks(g.o));
        let stack = Self::stack(g, groups, winograd.gradient_stack(STACK_BYTES));
        Self { groups, stack, weights_len, blocks: [all, blocks_per_task(groups, all)] }
    }

    fn groups(g: &Geometry, weights_len: usize) -> usize {
        let bytes = blocks(g.o) * (weights_len + LANES) * size_of::<f32>();
        (GROUPS_BYTES / bytes).clamp(FEWEST_GROUPS, GROUPS).min(g.n)
    }

    /// Stacks of nearly equal size, of `most` images at most.
    fn stack(g: &Geometry, groups: usize, most: usize) -> usize {
        let of_group = g.n.div_ceil(groups);
        of_group.div_ceil(of_group.div_ceil(most.max(1)))
    }
}

/// Weight and bias gradients over the batch: for each task the packed weights of all its output blocks, then their
/// biases.
struct GroupSums {
    sums: Buffer,
    /// Output blocks in all, and in a task.
    blocks: [usize; 2],
    weights_len: usize,
}

/// The first group's sums, `len` floats, take up the others', in order.
fn add_groups(sums: &mut [f32], len: usize) {
    let (total, others) = sums.split_at_mut(len);
    total.par_chunks_mut(SUM_CHUNK).enumerate().for_each(|(chunk, total)| {
        for other in others.chunks_exact(len) {
            let other = &other[chunk * SUM_CHUNK..][..total.len()];
            total.iter_mut().zip(other).for_each(|(sum, term)| *sum += term);
        }
    });
}

impl GroupSums {
    /// Sums over the batch. `add` adds the products of some images with their `dy`, for some output blocks, to the
    /// blocks' packed weights. The gradient by the input is computed on the way, while the images' `dy` is in the
    /// cache.
    fn new(
        (level, pool): (Level, &BufferPool),
        g: &Geometry,
        [x, dy]: [&Images<'_>; 2],
        SumsPlan { groups, stack, weights_len, blocks: [all, per_task] }: SumsPlan,
        add: impl Fn([&[&[f32]]; 2], &mut [f32]) + Sync,
        by_input: Option<(InputGradient, &mut [f32])>,
    ) -> Self {
        let plane = g.out_h * g.out_w * LANES;
        let block = weights_len + LANES;
        let mut sums = pool.take(groups * all * block);
        let (by_input, mut dx_images) = match by_input {
            Some((by_input, dx)) => (Some(by_input), dx.chunks_mut(blocks(g.c) * g.h * g.w * LANES).collect()),
            None => (None, Vec::new()),
        };
        let group_images = |group: usize| group * g.n / groups..(group + 1) * g.n / groups;
        let mut dx_groups: Vec<Vec<&mut [f32]>> = (0..groups)
            .rev()
            .map(|group| dx_images.split_off(group_images(group).start.min(dx_images.len())))
            .collect();
        dx_groups.reverse();
        // Some images for some output blocks: their packed weights, then their biases.
        let add_part = |part: usize, x: &[&[f32]], dy: &[&[f32]], sums: &mut [f32]| {
            let count = sums.len() / block;
            let (weights, biases) = sums.split_at_mut(count * weights_len);
            let dy: Vec<&[f32]> = dy.iter().map(|dy| &dy[part * per_task * plane..][..count * plane]).collect();
            add([x, &dy], weights);
            for dy in dy {
                for (bias, dy) in biases.chunks_exact_mut(LANES).zip(dy.chunks_exact(plane)) {
                    add_pixels(level, dy, bias);
                }
            }
        };
        sums.par_chunks_mut(all * block).zip(dx_groups).enumerate().for_each(|(group, (sums, dx))| {
            sums.fill(0.0);
            let (mut dx, images) = (dx.into_iter(), group_images(group));
            for first in images.clone().step_by(stack) {
                let stacked = first..(first + stack).min(images.end);
                x.with_stack(pool, stacked.clone(), |x| {
                    dy.with_stack(pool, stacked, |dy| {
                        let parts = sums.par_chunks_mut(per_task * block).enumerate();
                        parts.for_each(|(part, sums)| add_part(part, x, dy, sums));
                        let Some(by_input) = &by_input else { return };
                        dy.iter().zip(&mut dx).for_each(|(dy, dx)| by_input.run(dy, dx));
                    });
                });
            }
        });
        add_groups(&mut sums, all * block);
        Self { sums, blocks: [all, per_task], weights_len }
    }

    /// The packed weights of an output block.
    fn weights(&self, block: usize) -> &[f32] {
        let [_, per_task] = self.blocks;
        let start = block / per_task * per_task * (self.weights_len + LANES) + block % per_task * self.weights_len;
        &self.sums[start..start + self.weights_len]
    }

    fn add_biases(&self, dbias: Option<&mut [f32]>) {
        let Some(dbias) = dbias else { return };
        let [all, per_task] = self.blocks;
        for (block, dbias) in dbias.chunks_mut(LANES).enumerate() {
            let first = block / per_task * per_task;
            let count = per_task.min(all - first);
            let start = first * (self.weights_len + LANES) + count * self.weights_len + (block - first) * LANES;
            dbias.iter_mut().zip(&self.sums[start..]).for_each(|(sum, d)| *sum += d);
        }
    }
}

/// Floats of the groups' sums that a task adds up.
const SUM_CHUNK: usize = 1 << 14;

#[cfg(test)]
mod tests;

//! The convolution on the CPU: packs the weights, splits the batch over the threads, runs [`Direct`] convolutions.

use super::direct::{Direct, Expansion, Extras, Residual, input_gradient_phases};
use super::winograd::Winograd;
use super::{Conv2dKernel, Epilogue, Geometry};
use crate::backend::{Buffer, BufferPool, Slot, Vector};
use crate::feature_map::{Accumulate, Layout};
use crate::ops::layout::{LANES, blocks};
use crate::ops::parallel;
use crate::ops::simd::{Level, level, vectorized};
use dfdx::shapes::HasShape;
use dfdx::tensor::{Cpu, HasErr};
use rayon::prelude::*;

/// Groups of images whose weight gradients are summed one after another: a fixed number, so that the sum does not depend on
/// the number of threads.
const GROUPS: usize = 8;

impl Conv2dKernel for Cpu {
    fn conv2d(
        &self,
        pool: &BufferPool,
        geometry: &Geometry,
        x: &Buffer,
        layout: Layout,
        weight: &Vector<Self>,
        bias: &Vector<Self>,
        epilogue: Epilogue<'_, Buffer>,
        y: &mut Buffer,
    ) -> Result<(), <Self as HasErr>::Err> {
        let residual = epilogue.residual.map(|map| &**map);
        let (weight, bias) = (host(weight), host(bias));
        forward((level(), pool), geometry, (x, layout), &weight, &bias, (residual, epilogue.relu), y);
        Ok(())
    }

    fn conv2d_input_gradient(
        &self,
        pool: &BufferPool,
        geometry: &Geometry,
        dy: &Buffer,
        weight: &Vector<Self>,
        dx: &mut Buffer,
        accumulate: Accumulate,
    ) -> Result<(), <Self as HasErr>::Err> {
        input_gradient((level(), pool), geometry, dy, &host(weight), dx, accumulate);
        Ok(())
    }

    fn conv2d_weight_gradient(
        &self,
        pool: &BufferPool,
        geometry: &Geometry,
        x: &Buffer,
        layout: Layout,
        dy: &Buffer,
        dweight: &mut Slot<Self>,
        dbias: &mut Slot<Self>,
    ) -> Result<(), <Self as HasErr>::Err> {
        weight_gradient((level(), pool), geometry, (x, layout), dy, dweight, dbias);
        Ok(())
    }
}

fn host(vector: &Vector<Cpu>) -> Vec<f32> {
    let mut values = vec![0.0; vector.shape().0];
    vector.copy_into(&mut values);
    values
}

/// Output blocks that a task computes: all of an image's, unless there are too few images to keep the threads busy.
fn blocks_per_task(images: usize, blocks: usize) -> usize {
    let tasks = 4 * rayon::current_num_threads();
    let parts = tasks.div_ceil(images).min(blocks);
    // Pairs of blocks share their input's loads.
    blocks.div_ceil(parts).next_multiple_of(2).min(blocks)
}

/// Floats of one image in the given layout.
fn image_len([c, h, w]: [usize; 3], layout: Layout) -> usize {
    match layout {
        Layout::Activations => blocks(c) * h * w * LANES,
        Layout::Images => c * h * w,
    }
}

/// The algorithm for a convolution, with its packed weights.
enum Algorithm {
    Direct(Expansion, Vec<f32>),
    Winograd(Winograd, Buffer),
}

/// Runs one convolution over a batch. `weight` gives a weight by output, input, kernel row and column; the bias has a value for
/// every lane.
fn run_batch(
    (level, pool): (Level, &BufferPool),
    direct: &Direct,
    x: &[f32],
    weight: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
    extras: Extras<'_>,
    y: &mut [f32],
) {
    let algorithm = match Winograd::new(direct) {
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
    let (weights, weights_stride) = match &algorithm {
        Algorithm::Direct(plan, weights) => (&weights[..], plan.weight_rows() * LANES),
        Algorithm::Winograd(winograd, weights) => (&weights[..], winograd.weights_len()),
    };
    let plane = direct.target.size[0] * direct.target.size[1] * LANES;
    let output_blocks = blocks(direct.outputs);
    let image = image_len(direct.input, direct.layout);
    let per_task = blocks_per_task(x.len() / image, output_blocks);
    let run = |x: &[f32], weights: &[f32], extras: Extras<'_>, y: &mut [f32]| match &algorithm {
        Algorithm::Direct(plan, _) => direct.run(level, plan, x, weights, extras, y),
        Algorithm::Winograd(winograd, _) => winograd.run(level, x, weights, extras, y),
    };
    y.par_chunks_mut(output_blocks * plane).zip(x.par_chunks(image)).enumerate().for_each(|(n, (y, x))| {
        y.par_chunks_mut(per_task * plane).enumerate().for_each(|(part, y)| {
            let (first, count) = (part * per_task, y.len() / plane);
            let residual = match extras.residual {
                Residual::Map(map) => Residual::Map(&map[(n * output_blocks + first) * plane..][..y.len()]),
                other => other,
            };
            let bias = &extras.bias[first * LANES..][..count * LANES];
            let weights = &weights[first * weights_stride..][..count * weights_stride];
            run(x, weights, Extras { bias, residual, ..extras }, y);
        });
    });
}

fn forward(
    on: (Level, &BufferPool),
    g: &Geometry,
    (x, layout): (&[f32], Layout),
    weight: &[f32],
    bias: &[f32],
    (residual, relu): (Option<&[f32]>, bool),
    y: &mut [f32],
) {
    let direct = Direct::forward(g, layout);
    let weight = |o, c, u, v| weight[((o * g.c + c) * g.kernel_h + u) * g.kernel_w + v];
    let mut lanes = vec![0.0; blocks(g.o) * LANES];
    lanes[..g.o].copy_from_slice(bias);
    let extras = Extras { bias: &lanes, residual: residual.map_or(Residual::None, Residual::Map), relu };
    run_batch(on, &direct, &x[..g.n * image_len(direct.input, layout)], weight, extras, y);
}

fn input_gradient(
    on: (Level, &BufferPool),
    g: &Geometry,
    dy: &[f32],
    weight: &[f32],
    dx: &mut [f32],
    accumulate: Accumulate,
) {
    let phases = input_gradient_phases(g);
    let all_written = phases.len() == g.stride * g.stride;
    if accumulate == Accumulate::Overwrite && !all_written {
        parallel::fill(dx, 0.0);
    }
    let bias = vec![0.0; blocks(g.c) * LANES];
    let residual = match accumulate {
        Accumulate::Add => Residual::Output,
        Accumulate::Overwrite => Residual::None,
    };
    for phase in &phases {
        let ([tap_y, tap_x], [kernel_h, kernel_w]) = (phase.first_tap, phase.direct.kernel);
        let turned = |c, o, u, v| {
            let (u, v) = (tap_y + (kernel_h - 1 - u) * g.stride, tap_x + (kernel_w - 1 - v) * g.stride);
            weight[((o * g.c + c) * g.kernel_h + u) * g.kernel_w + v]
        };
        run_batch(on, &phase.direct, dy, turned, Extras { bias: &bias, residual, relu: false }, dx);
    }
}

/// Adds to `dweight` and `dbias`.
fn weight_gradient(
    (level, pool): (Level, &BufferPool),
    g: &Geometry,
    x: (&[f32], Layout),
    dy: &[f32],
    dweight: &mut [f32],
    dbias: &mut [f32],
) {
    let direct = Direct::forward(g, x.1);
    if let Some(winograd) = Winograd::new(&direct) {
        let add = |image: &[f32], dy: &[f32], sums: &mut [f32]| winograd.add_weight_gradient(level, image, dy, sums);
        let sums = GroupSums::new(pool, g, x, dy, winograd.weights_len(), add);
        dweight.par_chunks_mut(LANES * g.c * 9).enumerate().for_each(|(block, dweight)| {
            vectorized(|| winograd.add_kernel_gradients(sums.weights(block), dweight));
        });
        sums.add_biases(dbias);
    } else {
        let plan = direct.plan();
        let add =
            |image: &[f32], dy: &[f32], sums: &mut [f32]| direct.add_weight_gradient(level, &plan, image, dy, sums);
        let sums = GroupSums::new(pool, g, x, dy, plan.weight_rows() * LANES, add);
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

/// Weight and bias gradients over the batch: for each task the packed weights of all its output blocks, then their biases.
struct GroupSums {
    sums: Buffer,
    /// Output blocks in all, and in a task.
    blocks: [usize; 2],
    weights_len: usize,
}

impl GroupSums {
    /// Sums over the batch. `add` adds an image's products with `dy`, for some output blocks, to their packed weights of
    /// `weights_len` floats a block.
    fn new(
        pool: &BufferPool,
        g: &Geometry,
        (x, layout): (&[f32], Layout),
        dy: &[f32],
        weights_len: usize,
        add: impl Fn(&[f32], &[f32], &mut [f32]) + Sync,
    ) -> Self {
        let (image, plane) = (image_len([g.c, g.h, g.w], layout), g.out_h * g.out_w * LANES);
        let (groups, all) = (GROUPS.min(g.n), blocks(g.o));
        let per_task = blocks_per_task(groups, all);
        let block = weights_len + LANES;
        let mut sums = pool.take(groups * all * block);
        sums.par_chunks_mut(all * block).enumerate().for_each(|(group, sums)| {
            sums.par_chunks_mut(per_task * block).enumerate().for_each(|(part, sums)| {
                sums.fill(0.0);
                let (first, count) = (part * per_task, sums.len() / block);
                let (weights, biases) = sums.split_at_mut(count * weights_len);
                for n in group * g.n / groups..(group + 1) * g.n / groups {
                    let dy = &dy[(n * all + first) * plane..][..count * plane];
                    add(&x[n * image..][..image], dy, weights);
                    for (bias, dy) in biases.chunks_exact_mut(LANES).zip(dy.chunks_exact(plane)) {
                        add_pixels(dy, bias);
                    }
                }
            });
        });
        // The first group's sums take up the others', in order.
        let (total, others) = sums.split_at_mut(all * block);
        total.par_chunks_mut(SUM_CHUNK).enumerate().for_each(|(chunk, total)| {
            for other in others.chunks_exact(all * block) {
                let other = &other[chunk * SUM_CHUNK..][..total.len()];
                total.iter_mut().zip(other).for_each(|(sum, term)| *sum += term);
            }
        });
        Self { sums, blocks: [all, per_task], weights_len }
    }

    /// The packed weights of an output block.
    fn weights(&self, block: usize) -> &[f32] {
        let [_, per_task] = self.blocks;
        let start = block / per_task * per_task * (self.weights_len + LANES) + block % per_task * self.weights_len;
        &self.sums[start..start + self.weights_len]
    }

    fn add_biases(&self, dbias: &mut [f32]) {
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

/// Adds all pixels to `sums`, lane by lane.
fn add_pixels(pixels: &[f32], sums: &mut [f32]) {
    let mut total = [0.0; LANES];
    for pixel in pixels.chunks_exact(LANES) {
        for lane in 0..LANES {
            total[lane] += pixel[lane];
        }
    }
    sums.iter_mut().zip(total).for_each(|(sum, total)| *sum += total);
}

#[cfg(test)]
mod tests {
    use super::super::{Padding, reference};
    use super::*;
    use crate::ops::layout;
    use crate::ops::simd::available;
    use crate::ops::testing::{assert_close, block, noise, unblock};

    struct Case {
        name: &'static str,
        input: [usize; 4],
        outputs: usize,
        kernel: [usize; 2],
        stride: usize,
        padding: Padding,
    }

    const fn case(
        name: &'static str,
        input: [usize; 4],
        outputs: usize,
        kernel: [usize; 2],
        stride: usize,
        padding: Padding,
    ) -> Case {
        Case { name, input, outputs, kernel, stride, padding }
    }

    use Padding::{Same, Valid};
    const CASES: [Case; 19] = [
        case("one pixel", [1, 1, 1, 1], 1, [1, 1], 1, Valid),
        case("one pixel, padded", [1, 3, 1, 1], 5, [3, 3], 1, Same),
        case("kernel as large as the image", [2, 5, 3, 4], 17, [3, 4], 1, Valid),
        case("one by one", [3, 17, 4, 5], 33, [1, 1], 1, Valid),
        case("three channels", [2, 3, 6, 7], 3, [3, 3], 1, Same),
        case("wide rows", [1, 16, 2, 61], 32, [3, 3], 1, Same),
        case("three blocks out", [3, 32, 9, 15], 48, [3, 3], 1, Valid),
        case("even kernel, same", [1, 4, 5, 6], 6, [2, 2], 1, Same),
        case("stride 2", [2, 18, 9, 8], 20, [3, 3], 2, Valid),
        case("stride 2, same, even size", [1, 3, 8, 8], 4, [3, 3], 2, Same),
        case("stride 3 beyond the kernel", [1, 5, 10, 11], 7, [2, 2], 3, Valid),
        case("stem", [2, 3, 20, 23], 32, [7, 7], 2, Valid),
        case("tall kernel", [1, 2, 9, 3], 2, [5, 1], 1, Same),
        case("Winograd, whole tiles", [2, 16, 8, 12], 16, [3, 3], 1, Same),
        case("Winograd, cut tiles", [3, 32, 13, 7], 33, [3, 3], 1, Same),
        case("Winograd, no padding", [1, 17, 9, 11], 64, [3, 3], 1, Valid),
        case("Winograd, many bands", [1, 128, 30, 9], 128, [3, 3], 1, Valid),
        case("Winograd, one tile", [9, 20, 4, 4], 20, [3, 3], 1, Same),
        case("more images than groups", [11, 6, 4, 4], 16, [3, 3], 1, Same),
    ];

    /// All three directions of each case, at every level of the machine, against the reference.
    #[test]
    fn fast_equals_reference() {
        let pool = BufferPool::default();
        for Case { name, input, outputs, kernel: [kernel_h, kernel_w], stride, padding } in CASES {
            let g = Geometry::new(input, [outputs, input[1], kernel_h, kernel_w], stride, padding).unwrap();
            let x = noise(1, g.input().iter().product());
            let weight = noise(2, g.kernel().iter().product());
            let (bias, dy) = (noise(3, g.o), noise(4, g.output().iter().product()));
            let start = noise(5, x.len());
            let expected_y = reference::forward(&g, &x, &weight, &bias);
            let expected_dx = reference::input_gradient(&g, &dy, &weight);
            let (expected_dw, expected_db) = reference::weight_gradient(&g, &x, &dy);
            for level in available() {
                let of = |what: &str| format!("{name}, {what}, {level:?}");
                for (layout, x) in [(Layout::Activations, block(&x, input)), (Layout::Images, interleave(&x, input))] {
                    let mut y = vec![f32::NAN; layout::blocked_len(g.output())];
                    forward((level, &pool), &g, (&x, layout), &weight, &bias, (None, false), &mut y);
                    assert_close(&of("forward"), &unblock(&y, g.output()), &expected_y);
                    let (mut dw, mut db) = (vec![0.0; weight.len()], vec![0.0; g.o]);
                    weight_gradient((level, &pool), &g, (&x, layout), &block(&dy, g.output()), &mut dw, &mut db);
                    assert_close(&of("weight gradient"), &dw, &expected_dw);
                    assert_close(&of("bias gradient"), &db, &expected_db);
                }
                let mut dx = vec![f32::NAN; layout::blocked_len(input)];
                input_gradient((level, &pool), &g, &block(&dy, g.output()), &weight, &mut dx, Accumulate::Overwrite);
                assert_close(&of("input gradient"), &unblock(&dx, input), &expected_dx);
                let mut dx = block(&start, input);
                input_gradient((level, &pool), &g, &block(&dy, g.output()), &weight, &mut dx, Accumulate::Add);
                let sum: Vec<f32> = start.iter().zip(&expected_dx).map(|(a, b)| a + b).collect();
                assert_close(&of("input gradient, added"), &unblock(&dx, input), &sum);
            }
        }
    }

    #[test]
    fn residual_is_added_before_the_relu() {
        let pool = BufferPool::default();
        let g = Geometry::new([2, 5, 6, 7], [20, 5, 3, 3], 1, Same).unwrap();
        let (x, weight, bias) = (noise(1, 2 * 5 * 6 * 7), noise(2, 20 * 5 * 9), noise(3, 20));
        let residual = noise(4, g.output().iter().product());
        let plain = reference::forward(&g, &x, &weight, &bias);
        let expected: Vec<f32> = plain.iter().zip(&residual).map(|(a, b)| (a + b).max(0.0)).collect();
        for level in available() {
            let mut y = vec![f32::NAN; layout::blocked_len(g.output())];
            let blocked = block(&residual, g.output());
            forward(
                (level, &pool),
                &g,
                (&block(&x, g.input()), Layout::Activations),
                &weight,
                &bias,
                (Some(&blocked), true),
                &mut y,
            );
            assert_close(&format!("{level:?}"), &unblock(&y, g.output()), &expected);
        }
    }

    /// The same bits on one thread and on many.
    #[test]
    fn threads_do_not_change_the_sums() {
        let buffers = BufferPool::default();
        let g = Geometry::new([9, 20, 8, 9], [70, 20, 3, 3], 1, Same).unwrap();
        let (x, dy) = (block(&noise(1, 9 * 20 * 72), g.input()), block(&noise(2, 9 * 70 * 72), g.output()));
        let run = |threads: usize| {
            let (mut dw, mut db) = (vec![0.0; 70 * 20 * 9], vec![0.0; 70]);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| weight_gradient((level(), &buffers), &g, (&x, Layout::Activations), &dy, &mut dw, &mut db));
            (dw, db)
        };
        assert_eq!(run(1), run(2));
        assert_eq!(run(1), run(7));
    }

    fn interleave(nchw: &[f32], [n, c, h, w]: [usize; 4]) -> Vec<f32> {
        let at = |index: usize| {
            let (pixel, channel) = (index / c, index % c);
            (pixel / (h * w) * c + channel) * h * w + pixel % (h * w)
        };
        (0..n * c * h * w).map(|index| nchw[at(index)]).collect()
    }
}

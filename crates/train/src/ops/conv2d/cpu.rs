//! The convolution on the CPU: packs the weights, splits the batch over the threads, and computes all that concerns an image while
//! it is in the cache: its normalisation, the convolution, its moments; in the backward pass both gradients.

use super::direct::{Direct, Expansion, Extras, Residual, input_gradient_phases};
use super::images::Images;
use super::winograd::Winograd;
use super::{Conv2dKernel, ConvGradients, Epilogue, Geometry, Input, OutputGradient, plain};
use crate::device::cpu::layout::{LANES, blocks};
use crate::device::cpu::simd::{Level, is_reference, level, vectorized};
use crate::device::cpu::sums::add_pixels;
use crate::device::cpu::{Buffer, BufferPool, host};
use crate::ops::batch_norm2d::{MOMENTS, moments};
use crate::tensor::feature_map::Layout;
use crate::tensor::memory::{Accumulate, Vector};
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
        x: Input<'_, Self>,
        weight: &Vector<Self>,
        bias: &Vector<Self>,
        epilogue: Epilogue<'_, Buffer>,
        y: &mut Buffer,
    ) -> Result<(), <Self as HasErr>::Err> {
        if is_reference() {
            plain::forward(geometry, x, &host(weight), &host(bias), &epilogue, y);
            return Ok(());
        }
        let epilogue = Epilogue {
            residual: epilogue.residual.map(|map| &**map),
            relu: epilogue.relu,
            moments: epilogue.moments.map(|moments| &mut **moments),
        };
        let images = Images::input(level(), geometry, x);
        forward((level(), pool), geometry, (&images, x.layout), [&host(weight), &host(bias)], epilogue, y);
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
        let sums: [&mut [f32]; 2] = [gradients.weight, gradients.bias];
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
struct Prepared {
    level: Level,
    direct: Direct,
    algorithm: Algorithm,
    per_task: usize,
}

impl Prepared {
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

    /// Convolves one image; the bias in `extras` has a value for every lane.
    fn run(&self, image: &[f32], extras: Extras<'_>, y: &mut [f32]) {
        let plane = self.direct.target.size[0] * self.direct.target.size[1] * LANES;
        y.par_chunks_mut(self.per_task * plane).enumerate().for_each(|(part, y)| {
            let (first, count) = (part * self.per_task, y.len() / plane);
            let residual = match extras.residual {
                Residual::Map(map) => Residual::Map(&map[first * plane..][..y.len()]),
                other => other,
            };
            let bias = &extras.bias[first * LANES..][..count * LANES];
            let extras = Extras { bias, residual, ..extras };
            let part_of = |stride: usize| first * stride..(first + count) * stride;
            match &self.algorithm {
                Algorithm::Direct(plan, weights) => {
                    let part = part_of(plan.weight_rows() * LANES);
                    self.direct.run(self.level, plan, image, &weights[part], extras, y);
                }
                Algorithm::Winograd(winograd, weights) => {
                    let part = part_of(winograd.weights_len());
                    winograd.run(self.level, image, &weights[part], extras, y);
                }
            }
        });
    }
}

fn forward(
    on: (Level, &BufferPool),
    g: &Geometry,
    (x, layout): (&Images<'_>, Layout),
    [weight, bias]: [&[f32]; 2],
    epilogue: Epilogue<'_, [f32]>,
    y: &mut [f32],
) {
    let weight = |o, c, u, v| weight[((o * g.c + c) * g.kernel_h + u) * g.kernel_w + v];
    let prepared = Prepared::new(on, Direct::forward(g, layout), g.n, weight);
    let mut lanes = vec![0.0; blocks(g.o) * LANES];
    lanes[..g.o].copy_from_slice(bias);
    let plane = g.out_h * g.out_w * LANES;
    let image = blocks(g.o) * plane;
    let taken: Vec<Option<&mut [f32]>> = match epilogue.moments {
        Some(moments) => moments.chunks_mut(blocks(g.o) * MOMENTS).map(Some).collect(),
        None => (0..g.n).map(|_| None).collect(),
    };
    y.par_chunks_mut(image).zip(taken).enumerate().for_each(|(n, (y, taken))| {
        let residual = epilogue.residual.map_or(Residual::None, |map| Residual::Map(&map[n * image..][..image]));
        x.with(on.1, n, |x| prepared.run(x, Extras { bias: &lanes, residual, relu: epilogue.relu }, y));
        for (y, taken) in y.chunks_exact(plane).zip(taken.into_iter().flat_map(|taken| taken.chunks_exact_mut(MOMENTS)))
        {
            moments(on.0, y, taken);
        }
    });
}

/// Adds to the gradients of weight and bias, and writes or adds to `dx`.
fn gradient(
    on @ (level, pool): (Level, &BufferPool),
    g: &Geometry,
    (x, layout): (&Images<'_>, Layout),
    dy: &Images<'_>,
    weight: &[f32],
    [dweight, dbias]: [&mut [f32]; 2],
    dx: Option<(&mut [f32], Accumulate)>,
) {
    let by_input = dx.map(|(dx, accumulate)| (InputGradient::new(on, g, weight, accumulate), dx));
    let direct = Direct::forward(g, layout);
    if let Some(winograd) = Winograd::new(&direct) {
        let add = |image: &[f32], dy: &[f32], sums: &mut [f32]| winograd.add_weight_gradient(level, image, dy, sums);
        let sums = GroupSums::new(on, g, [x, dy], winograd.weights_len(), add, by_input);
        dweight.par_chunks_mut(LANES * g.c * 9).enumerate().for_each(|(block, dweight)| {
            vectorized(|| winograd.add_kernel_gradients(sums.weights(block), dweight));
        });
        sums.add_biases(dbias);
    } else {
        let plan = direct.plan();
        let add =
            |image: &[f32], dy: &[f32], sums: &mut [f32]| direct.add_weight_gradient(level, &plan, image, dy, sums);
        let sums = GroupSums::new((level, pool), g, [x, dy], plan.weight_rows() * LANES, add, by_input);
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
    phases: Vec<Prepared>,
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
            Prepared::new(on, phase.direct, GROUPS.min(g.n), turned)
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
        let extras = Extras { bias: &self.bias, residual, relu: false };
        self.phases.iter().for_each(|phase| phase.run(dy, extras, dx));
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
    /// `weights_len` floats a block. The gradient by the input is computed on the way, while the image's `dy` is in the cache.
    fn new(
        (level, pool): (Level, &BufferPool),
        g: &Geometry,
        [x, dy]: [&Images<'_>; 2],
        weights_len: usize,
        add: impl Fn(&[f32], &[f32], &mut [f32]) + Sync,
        by_input: Option<(InputGradient, &mut [f32])>,
    ) -> Self {
        let plane = g.out_h * g.out_w * LANES;
        let (groups, all) = (GROUPS.min(g.n), blocks(g.o));
        let per_task = blocks_per_task(groups, all);
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
        sums.par_chunks_mut(all * block).zip(dx_groups).enumerate().for_each(|(group, (sums, dx))| {
            sums.fill(0.0);
            let mut dx = dx.into_iter();
            for n in group_images(group) {
                x.with(pool, n, |x| {
                    dy.with(pool, n, |dy| {
                        sums.par_chunks_mut(per_task * block).enumerate().for_each(|(part, sums)| {
                            let count = sums.len() / block;
                            let (weights, biases) = sums.split_at_mut(count * weights_len);
                            let dy = &dy[part * per_task * plane..][..count * plane];
                            add(x, dy, weights);
                            for (bias, dy) in biases.chunks_exact_mut(LANES).zip(dy.chunks_exact(plane)) {
                                add_pixels(level, dy, bias);
                            }
                        });
                        if let (Some(by_input), Some(dx)) = (&by_input, dx.next()) {
                            by_input.run(dy, dx);
                        }
                    });
                });
            }
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

#[cfg(test)]
mod tests {
    use super::super::{Padding, reference};
    use super::*;
    use crate::device::cpu::layout;
    use crate::device::cpu::simd::available;
    use crate::ops::batch_norm2d::BatchNorm2dKernel;
    use crate::ops::testing::{assert_close, block, noise, unblock};
    use crate::tensor::memory::{Memory, Slot};
    use crate::tensor::pending::{Affine, NormGradient, NormShare, PendingKernel};
    use dfdx::tensor::{Storage, TensorFromVec};
    use std::rc::Rc;

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
                    let images = Images::ready(&x, x.len() / g.n);
                    let mut y = vec![f32::NAN; layout::blocked_len(g.output())];
                    let epilogue = Epilogue { residual: None, relu: false, moments: None };
                    forward((level, &pool), &g, (&images, layout), [&weight, &bias], epilogue, &mut y);
                    assert_close(&of("forward"), &unblock(&y, g.output()), &expected_y);
                    let dy = block(&dy, g.output());
                    let dy = Images::ready(&dy, dy.len() / g.n);
                    let sum: Vec<f32> = start.iter().zip(&expected_dx).map(|(a, b)| a + b).collect();
                    for (accumulate, expected_dx) in [(Accumulate::Overwrite, &expected_dx), (Accumulate::Add, &sum)] {
                        let (mut dw, mut db) = (vec![0.0; weight.len()], vec![0.0; g.o]);
                        let mut dx = block(&start, input);
                        let target = Some((&mut dx[..], accumulate));
                        gradient((level, &pool), &g, (&images, layout), &dy, &weight, [&mut dw, &mut db], target);
                        assert_close(&of("weight gradient"), &dw, &expected_dw);
                        assert_close(&of("bias gradient"), &db, &expected_db);
                        assert_close(&of("input gradient"), &unblock(&dx, input), expected_dx);
                    }
                }
            }
        }
    }

    /// What is computed image by image is what would be computed before: the normalised input, each kind of gradient; and the
    /// moments are the output's.
    #[test]
    fn images_made_on_the_way_are_those_made_before() {
        let (device, pool) = (Cpu::default(), BufferPool::default());
        for (input, outputs, kernel, stride, padding) in
            [([3, 18, 9, 13], 33, 3, 1, Same), ([2, 5, 9, 8], 4, 3, 2, Same), ([1, 17, 5, 6], 20, 1, 1, Valid)]
        {
            let g = Geometry::new(input, [outputs, input[1], kernel, kernel], stride, padding).unwrap();
            let map =
                |seed, shape: [usize; 4]| device.upload(&pool, shape, &noise(seed, shape.iter().product())).unwrap();
            let vector = |seed, len: usize| device.try_tensor_from_vec(noise(seed, len), (len,)).unwrap();
            let (weight, bias) = (vector(2, g.kernel().iter().product()), vector(3, g.o));
            let (x, dy, y, others) = (map(1, input), map(4, g.output()), map(5, g.output()), map(6, g.output()));
            let affine = Affine::<Cpu> { scale: vector(5, g.c), shift: vector(6, g.c), relu: true };
            let [mean, scale, shift, factor, constant] = [7, 8, 9, 10, 11].map(|seed| vector(seed, g.o));
            let of = NormGradient { mean, scale, shift, factor, constant, relu: true };
            let share = NormShare { of, x: Rc::new(map(12, g.output())), dy: map(13, g.output()) };
            let mut normalized = device.allocate(&pool, input).unwrap();
            device.apply_affine(input, &affine, &x, &mut normalized).unwrap();
            let on_the_way = Input { data: &x, layout: Layout::Activations, affine: Some(&affine) };
            let before = Input { data: &normalized, affine: None, ..on_the_way };

            let forward = |x: Input<'_, Cpu>| {
                let mut y = device.allocate(&pool, g.output()).unwrap();
                let mut taken = device.allocate(&pool, Cpu::moments_shape(g.output())).unwrap();
                let epilogue = Epilogue { residual: None, relu: false, moments: Some(&mut taken) };
                device.conv2d(&pool, &g, x, &weight, &bias, epilogue, &mut y).unwrap();
                (y.to_vec(), taken.to_vec())
            };
            let (output, taken) = forward(on_the_way);
            assert!((&output, &taken) == (&forward(before).0, &forward(before).1), "{input:?}");
            let mut expected = vec![0.0; taken.len()];
            let planes = output.chunks_exact(g.out_h * g.out_w * LANES);
            planes.zip(expected.chunks_exact_mut(MOMENTS)).for_each(|(y, taken)| moments(level(), y, taken));
            assert_eq!(taken, expected, "{input:?}");

            let backward = |x: Input<'_, Cpu>, dy: OutputGradient<'_, Cpu>| {
                let slot = |len| -> Slot<Cpu> { Storage::<f32>::try_alloc_len(&device, len).unwrap() };
                let (mut dw, mut db) = (slot(g.kernel().iter().product()), slot(g.o));
                let mut dx = device.allocate(&pool, input).unwrap();
                let target = Some((&mut dx, Accumulate::Overwrite));
                let gradients = ConvGradients { weight: &mut dw, bias: &mut db };
                device.conv2d_gradient(&pool, &g, x, dy, &weight, gradients, target).unwrap();
                (dw.to_vec(), db.to_vec(), dx.to_vec())
            };
            for dy in [
                OutputGradient::Whole(&dy),
                OutputGradient::Clamped { dy: &dy, y: &y },
                OutputGradient::Normalized { share: &share, others: None },
                OutputGradient::Normalized { share: &share, others: Some(&others) },
            ] {
                let whole = plain::whole(&device, &pool, g.output(), dy).unwrap();
                let expected = backward(before, OutputGradient::Whole(&whole));
                assert!(backward(on_the_way, dy) == expected, "{input:?}, {dy:?}");
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
        let (x, residual) = (block(&x, g.input()), block(&residual, g.output()));
        let images = Images::ready(&x, x.len() / g.n);
        for level in available() {
            let mut y = vec![f32::NAN; layout::blocked_len(g.output())];
            let epilogue = Epilogue { residual: Some(&residual[..]), relu: true, moments: None };
            forward((level, &pool), &g, (&images, Layout::Activations), [&weight, &bias], epilogue, &mut y);
            assert_close(&format!("{level:?}"), &unblock(&y, g.output()), &expected);
        }
    }

    /// The same bits on one thread and on many, with AVX2 and with AVX-512.
    #[test]
    fn neither_threads_nor_the_width_of_vectors_change_the_sums() {
        let buffers = BufferPool::default();
        let g = Geometry::new([9, 20, 8, 9], [70, 20, 3, 3], 1, Same).unwrap();
        let (x, dy) = (block(&noise(1, 9 * 20 * 72), g.input()), block(&noise(2, 9 * 70 * 72), g.output()));
        let weight = noise(3, 70 * 20 * 9);
        let run = |level: Level, threads: usize| {
            let (mut dw, mut db, mut dx) = (vec![0.0; weight.len()], vec![0.0; 70], vec![0.0; x.len()]);
            let images = [&x, &dy].map(|maps| Images::ready(maps, maps.len() / g.n));
            let (sums, target) = ([&mut dw[..], &mut db[..]], Some((&mut dx[..], Accumulate::Overwrite)));
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let layout = Layout::Activations;
            pool.install(|| gradient((level, &buffers), &g, (&images[0], layout), &images[1], &weight, sums, target));
            (dw, db, dx)
        };
        let fused: Vec<_> = available().into_iter().filter(|&level| level >= Level::Avx2).collect();
        for level in available() {
            assert!(run(level, 1) == run(level, 2) && run(level, 1) == run(level, 7), "{level:?}");
        }
        assert!(fused.windows(2).all(|pair| run(pair[0], 2) == run(pair[1], 2)));
    }

    fn interleave(nchw: &[f32], [n, c, h, w]: [usize; 4]) -> Vec<f32> {
        let at = |index: usize| {
            let (pixel, channel) = (index / c, index % c);
            (pixel / (h * w) * c + channel) * h * w + pixel % (h * w)
        };
        (0..n * c * h * w).map(|index| nchw[at(index)]).collect()
    }
}

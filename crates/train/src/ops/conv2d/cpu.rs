//! The convolution on the CPU: packs the weights, splits the batch over the threads, runs [`Direct`] convolutions.

use super::direct::{Direct, Expansion, Extras, Residual, input_gradient_phases};
use super::winograd::Winograd;
use super::{Conv2dKernel, Epilogue, Geometry, Input, plain};
use crate::backend::{Buffer, BufferPool, Slot, Vector, host};
use crate::feature_map::{Accumulate, Layout};
use crate::ops::batch_norm2d::{LaneAffine, MOMENTS, moments};
use crate::ops::layout::{LANES, blocks};
use crate::ops::parallel;
use crate::ops::simd::{Level, is_reference, level, vectorized};
use crate::ops::sums::add_pixels;
use dfdx::tensor::{Cpu, HasErr};
use rayon::prelude::*;
use std::cell::RefCell;

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
        let affine = x.affine.map(LaneAffine::new);
        let x = Source { data: x.data, layout: x.layout, affine: affine.as_ref() };
        forward((level(), pool), geometry, x, &host(weight), &host(bias), epilogue, y);
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
        match is_reference() {
            true => plain::input_gradient(geometry, dy, &host(weight), dx, accumulate),
            false => input_gradient((level(), pool), geometry, dy, &host(weight), dx, accumulate),
        }
        Ok(())
    }

    fn conv2d_weight_gradient(
        &self,
        pool: &BufferPool,
        geometry: &Geometry,
        x: Input<'_, Self>,
        dy: &Buffer,
        dweight: &mut Slot<Self>,
        dbias: &mut Slot<Self>,
    ) -> Result<(), <Self as HasErr>::Err> {
        if is_reference() {
            plain::weight_gradient(geometry, x, dy, dweight, dbias);
            return Ok(());
        }
        let affine = x.affine.map(LaneAffine::new);
        let x = Source { data: x.data, layout: x.layout, affine: affine.as_ref() };
        weight_gradient((level(), pool), geometry, x, dy, dweight, dbias);
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

/// What a convolution reads, and what it applies to it first.
#[derive(Clone, Copy)]
struct Source<'a> {
    data: &'a [f32],
    layout: Layout,
    affine: Option<&'a LaneAffine>,
}

impl Source<'_> {
    /// Gives `run` an image `[c, h, w]` as the convolution sees it: normalised into memory of the thread's own, which stays in its
    /// second-level cache, if it has to be.
    fn with_image(affine: Option<&LaneAffine>, level: Level, image: &[f32], plane: usize, run: impl FnOnce(&[f32])) {
        let Some(affine) = affine else { return run(image) };
        NORMALIZED.with_borrow_mut(|scratch| {
            if scratch.len() < image.len() {
                *scratch = BufferPool::default().take(image.len());
            }
            let normalized = &mut scratch[..image.len()];
            for (block, (y, x)) in normalized.chunks_exact_mut(plane).zip(image.chunks_exact(plane)).enumerate() {
                affine.apply(level, block, x, y);
            }
            run(normalized);
        });
    }
}

thread_local! {
    /// The normalised image of the thread's current task.
    static NORMALIZED: RefCell<Buffer> = RefCell::new(BufferPool::default().take(0));
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
    x: Source<'_>,
    weight: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
    extras: Extras<'_>,
    y: &mut [f32],
    plane_moments: Option<&mut [f32]>,
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
    let per_task = blocks_per_task(x.data.len() / image, output_blocks);
    let input_plane = direct.input[1] * direct.input[2] * LANES;
    let run = |image: &[f32], weights: &[f32], extras: Extras<'_>, y: &mut [f32]| {
        Source::with_image(x.affine, level, image, input_plane, |image| match &algorithm {
            Algorithm::Direct(plan, _) => direct.run(level, plan, image, weights, extras, y),
            Algorithm::Winograd(winograd, _) => winograd.run(level, image, weights, extras, y),
        });
    };
    let mut unused = vec![0.0; if plane_moments.is_some() { 0 } else { y.len() / plane }];
    let (plane_moments, each) = match plane_moments {
        Some(taken) => (taken, MOMENTS),
        None => (&mut unused[..], 1),
    };
    let images = y.par_chunks_mut(output_blocks * plane).zip(plane_moments.par_chunks_mut(output_blocks * each));
    images.zip(x.data.par_chunks(image)).enumerate().for_each(|(n, ((y, taken), x))| {
        let parts = y.par_chunks_mut(per_task * plane).zip(taken.par_chunks_mut(per_task * each));
        parts.enumerate().for_each(|(part, (y, taken))| {
            let (first, count) = (part * per_task, y.len() / plane);
            let residual = match extras.residual {
                Residual::Map(map) => Residual::Map(&map[(n * output_blocks + first) * plane..][..y.len()]),
                other => other,
            };
            let bias = &extras.bias[first * LANES..][..count * LANES];
            let weights = &weights[first * weights_stride..][..count * weights_stride];
            run(x, weights, Extras { bias, residual, ..extras }, y);
            if each == MOMENTS {
                // The output is still in the cache.
                y.chunks_exact(plane).zip(taken.chunks_exact_mut(MOMENTS)).for_each(|(y, taken)| moments(level, y, taken));
            }
        });
    });
}

fn forward(
    on: (Level, &BufferPool),
    g: &Geometry,
    x: Source<'_>,
    weight: &[f32],
    bias: &[f32],
    epilogue: Epilogue<'_, [f32]>,
    y: &mut [f32],
) {
    let direct = Direct::forward(g, x.layout);
    let weight = |o, c, u, v| weight[((o * g.c + c) * g.kernel_h + u) * g.kernel_w + v];
    let mut lanes = vec![0.0; blocks(g.o) * LANES];
    lanes[..g.o].copy_from_slice(bias);
    let Epilogue { residual, relu, moments } = epilogue;
    let extras = Extras { bias: &lanes, residual: residual.map_or(Residual::None, Residual::Map), relu };
    let x = Source { data: &x.data[..g.n * image_len(direct.input, x.layout)], ..x };
    run_batch(on, &direct, x, weight, extras, y, moments);
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
        let dy = Source { data: dy, layout: Layout::Activations, affine: None };
        run_batch(on, &phase.direct, dy, turned, Extras { bias: &bias, residual, relu: false }, dx, None);
    }
}

/// Adds to `dweight` and `dbias`.
fn weight_gradient(
    (level, pool): (Level, &BufferPool),
    g: &Geometry,
    x: Source<'_>,
    dy: &[f32],
    dweight: &mut [f32],
    dbias: &mut [f32],
) {
    let direct = Direct::forward(g, x.layout);
    if let Some(winograd) = Winograd::new(&direct) {
        let add = |image: &[f32], dy: &[f32], sums: &mut [f32]| winograd.add_weight_gradient(level, image, dy, sums);
        let sums = GroupSums::new((level, pool), g, x, dy, winograd.weights_len(), add);
        dweight.par_chunks_mut(LANES * g.c * 9).enumerate().for_each(|(block, dweight)| {
            vectorized(|| winograd.add_kernel_gradients(sums.weights(block), dweight));
        });
        sums.add_biases(dbias);
    } else {
        let plan = direct.plan();
        let add =
            |image: &[f32], dy: &[f32], sums: &mut [f32]| direct.add_weight_gradient(level, &plan, image, dy, sums);
        let sums = GroupSums::new((level, pool), g, x, dy, plan.weight_rows() * LANES, add);
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
        (level, pool): (Level, &BufferPool),
        g: &Geometry,
        x: Source<'_>,
        dy: &[f32],
        weights_len: usize,
        add: impl Fn(&[f32], &[f32], &mut [f32]) + Sync,
    ) -> Self {
        let (image, plane) = (image_len([g.c, g.h, g.w], x.layout), g.out_h * g.out_w * LANES);
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
                    let image = &x.data[n * image..][..image];
                    Source::with_image(x.affine, level, image, g.h * g.w * LANES, |image| add(image, dy, &mut *weights));
                    for (bias, dy) in biases.chunks_exact_mut(LANES).zip(dy.chunks_exact(plane)) {
                        add_pixels(level, dy, bias);
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

#[cfg(test)]
mod tests {
    use super::super::{Padding, reference};
    use crate::feature_map::Affine;
    use dfdx::tensor::TensorFromVec;
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
                    let x = Source { data: &x, layout, affine: None };
                    forward((level, &pool), &g, x, &weight, &bias, no_epilogue(), &mut y);
                    assert_close(&of("forward"), &unblock(&y, g.output()), &expected_y);
                    let (mut dw, mut db) = (vec![0.0; weight.len()], vec![0.0; g.o]);
                    weight_gradient((level, &pool), &g, x, &block(&dy, g.output()), &mut dw, &mut db);
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

    /// An affine map that is applied on the way is one that was applied before, and the moments are the output's.
    #[test]
    fn input_is_normalised_on_the_way() {
        let (device, pool) = (Cpu::default(), BufferPool::default());
        for (input, outputs, kernel, stride, padding) in
            [([3, 18, 9, 13], 33, 3, 1, Same), ([2, 5, 9, 8], 4, 3, 2, Same), ([1, 17, 5, 6], 20, 1, 1, Valid)]
        {
            let g = Geometry::new(input, [outputs, input[1], kernel, kernel], stride, padding).unwrap();
            let x = block(&noise(1, g.input().iter().product()), input);
            let (weight, bias) = (noise(2, g.kernel().iter().product()), noise(3, g.o));
            let dy = block(&noise(4, g.output().iter().product()), g.output());
            let vector = |values: Vec<f32>| device.try_tensor_from_vec(values, (g.c,)).unwrap();
            let affine = Affine::<Cpu> { scale: vector(noise(5, g.c)), shift: vector(noise(6, g.c)), relu: true };
            let affine = LaneAffine::new(&affine);
            let plane = g.h * g.w * LANES;
            for level in available() {
                let mut normalized = vec![0.0; x.len()];
                for (at, (y, x)) in normalized.chunks_exact_mut(plane).zip(x.chunks_exact(plane)).enumerate() {
                    affine.apply(level, at % blocks(g.c), x, y);
                }
                let run = |x: Source<'_>| {
                    let mut y = vec![f32::NAN; layout::blocked_len(g.output())];
                    let mut taken = vec![f32::NAN; g.n * blocks(g.o) * MOMENTS];
                    let epilogue = Epilogue { residual: None, relu: false, moments: Some(&mut taken[..]) };
                    forward((level, &pool), &g, x, &weight, &bias, epilogue, &mut y);
                    let (mut dw, mut db) = (vec![0.0; weight.len()], vec![0.0; g.o]);
                    weight_gradient((level, &pool), &g, x, &dy, &mut dw, &mut db);
                    (y, taken, dw)
                };
                let (y, taken, dw) = run(Source { affine: Some(&affine), ..activations(&x) });
                assert!((y.clone(), taken.clone(), dw) == run(activations(&normalized)), "{input:?}, {level:?}");
                let mut expected = vec![0.0; taken.len()];
                let planes = y.chunks_exact(g.out_h * g.out_w * LANES);
                planes.zip(expected.chunks_exact_mut(MOMENTS)).for_each(|(y, taken)| moments(level, y, taken));
                assert_eq!(taken, expected, "{input:?}, {level:?}");
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
            let epilogue = Epilogue { residual: Some(&blocked[..]), relu: true, moments: None };
            forward((level, &pool), &g, activations(&block(&x, g.input())), &weight, &bias, epilogue, &mut y);
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
            pool.install(|| weight_gradient((level(), &buffers), &g, activations(&x), &dy, &mut dw, &mut db));
            (dw, db)
        };
        assert_eq!(run(1), run(2));
        assert_eq!(run(1), run(7));
    }

    fn activations(data: &[f32]) -> Source<'_> {
        Source { data, layout: Layout::Activations, affine: None }
    }

    fn no_epilogue<'a>() -> Epilogue<'a, [f32]> {
        Epilogue { residual: None, relu: false, moments: None }
    }

    fn interleave(nchw: &[f32], [n, c, h, w]: [usize; 4]) -> Vec<f32> {
        let at = |index: usize| {
            let (pixel, channel) = (index / c, index % c);
            (pixel / (h * w) * c + channel) * h * w + pixel % (h * w)
        };
        (0..n * c * h * w).map(|index| nchw[at(index)]).collect()
    }
}

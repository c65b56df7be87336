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
    groups: usize,
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
    Case { name, groups: 1, input, outputs, kernel, stride, padding }
}

const fn grouped(
    name: &'static str,
    groups: usize,
    input: [usize; 4],
    outputs: usize,
    kernel: [usize; 2],
    stride: usize,
    padding: Padding,
) -> Case {
    Case { name, groups, input, outputs, kernel, stride, padding }
}

use Padding::{Same, Symmetric, Valid};
const CASES: [Case; 42] = [
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
    case("1x1 at stride 2", [2, 17, 9, 8], 33, [1, 1], 2, Valid),
    case("3x3 at stride 2, symmetric", [2, 16, 9, 8], 17, [3, 3], 2, Symmetric(1)),
    case("3x3 at stride 2, same", [1, 17, 8, 9], 16, [3, 3], 2, Same),
    case("5x5 at stride 2, same", [1, 3, 8, 9], 5, [5, 5], 2, Same),
    case("7x7 at stride 2, symmetric", [1, 3, 32, 33], 5, [7, 7], 2, Symmetric(3)),
    case("7x7 at stride 2 on a smaller image", [1, 17, 3, 4], 5, [7, 7], 2, Symmetric(3)),
    case("padding of more than the kernel", [1, 3, 3, 4], 2, [3, 3], 1, Symmetric(4)),
    case("3x3, symmetric 2", [1, 17, 5, 6], 33, [3, 3], 1, Symmetric(2)),
    case("5x5, symmetric", [2, 17, 6, 5], 3, [5, 5], 1, Symmetric(2)),
    grouped("depthwise", 17, [2, 17, 9, 15], 17, [3, 3], 1, Symmetric(1)),
    grouped("depthwise at stride 2, same", 33, [1, 33, 8, 9], 33, [3, 3], 2, Same),
    grouped("depthwise 5x5", 16, [2, 16, 14, 14], 16, [5, 5], 1, Same),
    grouped("depthwise 5x5 at stride 2, same", 3, [1, 3, 15, 8], 3, [5, 5], 2, Same),
    grouped("depthwise 7x7", 20, [3, 20, 7, 30], 20, [7, 7], 1, Symmetric(3)),
    grouped("depthwise on a smaller image", 5, [9, 5, 2, 1], 5, [5, 5], 2, Symmetric(2)),
    grouped("depthwise, many bands", 2, [1, 2, 60, 57], 2, [3, 3], 2, Symmetric(1)),
    grouped("depthwise, padding of more than the kernel", 2, [1, 2, 3, 4], 2, [3, 3], 1, Symmetric(4)),
    grouped("one channel in, two out", 5, [2, 5, 4, 6], 10, [3, 3], 1, Same),
    grouped("three groups", 3, [2, 51, 5, 4], 9, [3, 3], 2, Same),
    case("Winograd, no padding", [1, 17, 9, 11], 64, [3, 3], 1, Valid),
    case("Winograd, many bands", [1, 128, 30, 9], 128, [3, 3], 1, Valid),
    case("Winograd, one tile", [9, 20, 4, 4], 20, [3, 3], 1, Same),
    case("more images than groups", [11, 6, 4, 4], 16, [3, 3], 1, Same),
    case("images stacked", [21, 130, 5, 5], 260, [3, 3], 2, Same),
    case("images stacked, 1x1", [9, 700, 2, 2], 300, [1, 1], 1, Valid),
    case("Winograd, images stacked", [43, 64, 6, 7], 80, [3, 3], 1, Same),
    case("Winograd, a stack of one-tile images", [35, 48, 4, 4], 64, [3, 3], 1, Same),
];

/// All three directions of each case, at every level of the machine, against the reference.
#[test]
fn fast_equals_reference() {
    let pool = BufferPool::default();
    for Case { name, groups, input, outputs, kernel: [kernel_h, kernel_w], stride, padding } in CASES {
        let g = Geometry::new(input, [outputs, input[1] / groups, kernel_h, kernel_w], stride, padding).unwrap();
        assert_eq!(g.groups, groups, "{name}");
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
                let epilogue = Epilogue { residual: None, activation: Activation::None, moments: None };
                forward((level, &pool), &g, (&images, layout), (&weight, Some(&bias)), epilogue, &mut y);
                assert_close(&of("forward"), &unblock(&y, g.output()), &expected_y);
                let dy = block(&dy, g.output());
                let dy = Images::ready(&dy, dy.len() / g.n);
                let sum: Vec<f32> = start.iter().zip(&expected_dx).map(|(a, b)| a + b).collect();
                for (accumulate, expected_dx) in [(Accumulate::Overwrite, &expected_dx), (Accumulate::Add, &sum)] {
                    let (mut dw, mut db) = (vec![0.0; weight.len()], vec![0.0; g.o]);
                    let mut dx = block(&start, input);
                    let target = Some((&mut dx[..], accumulate));
                    gradient((level, &pool), &g, (&images, layout), &dy, &weight, (&mut dw, Some(&mut db)), target);
                    assert_close(&of("weight gradient"), &dw, &expected_dw);
                    assert_close(&of("bias gradient"), &db, &expected_db);
                    assert_close(&of("input gradient"), &unblock(&dx, input), expected_dx);
                }
            }
        }
    }
}

/// What is computed image by image is what would be computed before: the normalised input, each kind of gradient; and
/// the moments are the output's.
#[test]
fn images_made_on_the_way_are_those_made_before() {
    let (device, pool) = (Cpu::default(), BufferPool::default());
    for (input, outputs, kernel, stride, padding) in
        [([3, 18, 9, 13], 33, 3, 1, Same), ([2, 5, 9, 8], 4, 3, 2, Same), ([1, 17, 5, 6], 20, 1, 1, Valid)]
    {
        let g = Geometry::new(input, [outputs, input[1], kernel, kernel], stride, padding).unwrap();
        let map = |seed, shape: [usize; 4]| device.upload(&pool, shape, &noise(seed, shape.iter().product())).unwrap();
        let vector = |seed, len: usize| device.try_tensor_from_vec(noise(seed, len), (len,)).unwrap();
        let (weight, bias) = (vector(2, g.kernel().iter().product()), vector(3, g.o));
        let (x, dy, y, others) = (map(1, input), map(4, g.output()), map(5, g.output()), map(6, g.output()));
        let affine = Affine::<Cpu> { scale: vector(5, g.c), shift: vector(6, g.c), activation: Activation::Relu };
        let [mean, scale, shift, factor, constant] = [7, 8, 9, 10, 11].map(|seed| vector(seed, g.o));
        let of = NormGradient { mean, scale, shift, factor, constant, activation: Activation::Relu };
        let share = NormShare { of, x: Rc::new(map(12, g.output())), dy: map(13, g.output()) };
        let mut normalized = device.allocate(&pool, input).unwrap();
        device.apply_affine(input, &affine, &x, &mut normalized).unwrap();
        let on_the_way = Input { data: &x, layout: Layout::Activations, affine: Some(&affine) };
        let before = Input { data: &normalized, affine: None, ..on_the_way };

        let forward = |x: Input<'_, Cpu>| {
            let mut y = device.allocate(&pool, g.output()).unwrap();
            let mut taken = device.allocate(&pool, Cpu::moments_shape(g.output())).unwrap();
            let epilogue = Epilogue { residual: None, activation: Activation::None, moments: Some(&mut taken) };
            device.conv2d(&pool, &g, x, &weight, Some(&bias), epilogue, &mut y).unwrap();
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
            let gradients = ConvGradients { weight: &mut dw, bias: Some(&mut db) };
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
        let epilogue = Epilogue { residual: Some(&residual[..]), activation: Activation::Relu, moments: None };
        forward((level, &pool), &g, (&images, Layout::Activations), (&weight, Some(&bias)), epilogue, &mut y);
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
        let (sums, target) = ((&mut dw[..], Some(&mut db[..])), Some((&mut dx[..], Accumulate::Overwrite)));
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

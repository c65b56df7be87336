use super::cpu::{reference_gradient, reference_pool};
use super::{MaxPool2dKernel, Window, reference};
use crate::device::cpu::BufferPool;
use crate::ops::testing::{assert_close, noise};
use crate::tensor::activation::Activation;
use crate::tensor::memory::{Accumulate, Memory};
use crate::tensor::pending::{Affine, PendingKernel};
use dfdx::tensor::{Cpu, TensorFromVec};

const WINDOWS: [Window; 7] = [
    Window::HALVING,
    Window { size: 3, stride: 2, padding: 1 },
    Window { size: 3, stride: 1, padding: 1 },
    Window { size: 2, stride: 1, padding: 0 },
    Window { size: 3, stride: 3, padding: 0 },
    Window { size: 5, stride: 2, padding: 2 },
    Window { size: 4, stride: 3, padding: 2 },
];

#[test]
fn fast_equals_reference() {
    let (device, pool) = (Cpu::default(), BufferPool::default());
    for shape in [[1, 1, 2, 2], [2, 3, 5, 4], [1, 17, 3, 7], [3, 16, 8, 8], [1, 33, 2, 9]] {
        for window in WINDOWS {
            let Some(out) = window.output_shape(shape) else { continue };
            let (what, shapes) = (format!("{shape:?}, {window:?}"), [shape, out]);
            // Few different values, so that windows have ties.
            let x: Vec<f32> = noise(1, shape.iter().product()).iter().map(|v| (v * 4.0).round()).collect();
            let (dy, start) = (noise(2, out.iter().product()), noise(3, x.len()));
            let (expected, numbers) = reference::forward(window, shapes, &x);
            let blocked = device.upload(&pool, shape, &x).unwrap();
            let mut y = device.allocate(&pool, out).unwrap();
            let largest = device.max_pool2d(&pool, window, shapes, &blocked, None, &mut y).unwrap();
            assert_close(&what, &device.download(out, &y).unwrap(), &expected);

            let dy_blocked = device.upload(&pool, out, &dy).unwrap();
            let expected = reference::gradient(window, shapes, &numbers, &dy);
            let mut dx = device.upload(&pool, shape, &start).unwrap();
            device.max_pool2d_gradient(window, shapes, &largest, &dy_blocked, &mut dx, Accumulate::Add).unwrap();
            let sum: Vec<f32> = start.iter().zip(&expected).map(|(a, b)| a + b).collect();
            assert_close(&format!("{what}, added"), &device.download(shape, &dx).unwrap(), &sum);
            device.max_pool2d_gradient(window, shapes, &largest, &dy_blocked, &mut dx, Accumulate::Overwrite).unwrap();
            assert_close(&format!("{what}, overwritten"), &device.download(shape, &dx).unwrap(), &expected);

            // The reference level's way to the same loops.
            let (mut plain_y, mut plain_largest) = (vec![0.0; y.len()], vec![0; y.len()]);
            reference_pool(window, shapes, &blocked, None, &mut plain_y, &mut plain_largest);
            assert_eq!(plain_y, y[..], "{what}");
            let mut plain_dx = vec![0.0; dx.len()];
            reference_gradient(window, shapes, &plain_largest, &dy_blocked, Accumulate::Overwrite, &mut plain_dx);
            assert_close(&format!("{what}, at the reference level"), &plain_dx, &dx);
        }
    }
}

/// The same bytes as if it had been written before; the last shape needs several bands.
#[test]
fn what_is_pending_is_applied_first() {
    let (device, pool) = (Cpu::default(), BufferPool::default());
    for shape @ [_, c, ..] in [[1, 1, 2, 2], [2, 3, 5, 4], [1, 17, 3, 7], [2, 33, 9, 8], [1, 17, 71, 80]] {
        let x = device.upload(&pool, shape, &noise(1, shape.iter().product())).unwrap();
        let vector = |seed| device.tensor_from_vec(noise(seed, c), (c,));
        for activation in [Activation::None, Activation::Relu, Activation::Relu6] {
            let affine = Affine::<Cpu> { scale: vector(2), shift: vector(3), activation };
            let mut applied = device.allocate(&pool, shape).unwrap();
            device.apply_affine(shape, &affine, &x, &mut applied).unwrap();
            for window in WINDOWS {
                let Some(out) = window.output_shape(shape) else { continue };
                let (what, shapes) = (format!("{shape:?}, {window:?}, {activation:?}"), [shape, out]);
                let [mut y, mut expected] = [(), ()].map(|()| device.allocate(&pool, out).unwrap());
                y.fill(f32::NAN);
                let largest = device.max_pool2d(&pool, window, shapes, &x, Some(&affine), &mut y).unwrap();
                let numbers = device.max_pool2d(&pool, window, shapes, &applied, None, &mut expected).unwrap();
                assert_eq!(y[..], expected[..], "{what}");
                assert_eq!(largest.as_bytes()[..y.len()], numbers.as_bytes()[..y.len()], "{what}");

                // The reference level's way to the same loops.
                let (mut plain_y, mut plain_largest) = (vec![0.0; y.len()], vec![0; y.len()]);
                reference_pool(window, shapes, &x, Some(&affine), &mut plain_y, &mut plain_largest);
                assert_close(&format!("{what}, at the reference level"), &plain_y, &y);
            }
        }
    }
}

#[test]
fn what_is_no_number_is_the_largest() {
    let (device, pool, window) = (Cpu::default(), BufferPool::default(), Window { size: 3, stride: 1, padding: 1 });
    let shapes = [[1, 1, 1, 3]; 2];
    let x = device.upload(&pool, shapes[0], &[1.0, 2.0, f32::NAN]).unwrap();
    let mut y = device.allocate(&pool, shapes[1]).unwrap();
    device.max_pool2d(&pool, window, shapes, &x, None, &mut y).unwrap();
    let y = device.download(shapes[1], &y).unwrap();
    assert!(y[0] == 2.0 && y[1].is_nan() && y[2].is_nan(), "{y:?}");
}

#[test]
fn windows_that_do_not_fit_are_refused() {
    let window = |size, stride, padding| Window { size, stride, padding };
    for (window, pixels, output) in [
        (window(2, 2, 0), [5, 4], Some([2, 2])),
        (window(2, 2, 0), [1, 4], None),
        (window(3, 2, 1), [1, 1], Some([1, 1])),
        (window(3, 2, 1), [112, 113], Some([56, 57])),
        (window(3, 2, 1), [0, 4], None),
        (window(3, 2, 2), [8, 8], None),
        (window(3, 0, 1), [8, 8], None),
        (window(17, 1, 0), [20, 20], None),
    ] {
        assert_eq!(window.output(pixels), output, "{window:?} {pixels:?}");
    }
}

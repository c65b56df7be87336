//! The dense layer's kernels against the reference.

use crate::common::{assert_close, device, noise, pool, slot, sum, vector};
use dfdx::tensor::Cuda;
use preprocess::pipeline::Precision;
use train::device::cuda::CudaPool;
use train::ops::dense::{DenseGradients, DenseKernel, Sizes, reference};
use train::tensor::memory::{Accumulate, Memory};

/// Of the largest value. On the emulator the worst case is 5e-7.
const TOLERANCE: f32 = 2e-5;

/// y, dx, dw, db.
type Results = [Vec<f32>; 4];

struct Case {
    sizes: Sizes,
    relu: bool,
    accumulate: Accumulate,
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    dy: Vec<f32>,
    /// What the gradients hold already: dx, dw, db.
    before: [Vec<f32>; 3],
}

impl Case {
    fn new([n, inputs, outputs]: [usize; 3], relu: bool, accumulate: Accumulate) -> Self {
        Self {
            sizes: Sizes { n, inputs, outputs },
            relu,
            accumulate,
            x: noise(1, n * inputs),
            weight: noise(2, inputs * outputs),
            bias: noise(3, outputs),
            dy: noise(4, n * outputs),
            before: [noise(5, n * inputs), noise(6, inputs * outputs), noise(7, outputs)],
        }
    }

    fn expected(&self) -> Results {
        let mut y = reference::forward(self.sizes, &self.x, &self.weight, &self.bias);
        if self.relu {
            y.iter_mut().for_each(|y| *y = y.max(0.0));
        }
        let (dx, dw, db) = reference::gradient(self.sizes, &self.x, &self.weight, &self.dy);
        let dx = if self.accumulate == Accumulate::Add { sum(&self.before[0], &dx) } else { dx };
        [y, dx, sum(&self.before[1], &dw), sum(&self.before[2], &db)]
    }

    fn run(&self, device: &Cuda, pool: &CudaPool) -> Results {
        let Sizes { n, inputs, outputs } = self.sizes;
        let [input, output] = [[n, inputs, 1, 1], [n, outputs, 1, 1]];
        let (x, dy) = (device.upload(pool, input, &self.x).unwrap(), device.upload(pool, output, &self.dy).unwrap());
        let (weight, bias) = (vector(device, &self.weight), vector(device, &self.bias));
        let mut y = device.allocate(pool, output).unwrap();
        device.dense(pool, self.sizes, &x, &weight, &bias, self.relu, &mut y).unwrap();

        let mut dx = device.upload(pool, input, &self.before[0]).unwrap();
        let [mut dw, mut db] = [1, 2].map(|at| slot(device, &self.before[at]));
        let gradients = DenseGradients { weight: &mut dw, bias: &mut db };
        let into = Some((&mut dx, self.accumulate));
        device.dense_gradient(pool, self.sizes, &x, &weight, &dy, gradients, into).unwrap();
        let slots = [dw, db].map(|slot| device.storage_to_host(&slot).unwrap());
        let [dw, db] = slots;
        [device.download(output, &y).unwrap(), device.download(input, &dx).unwrap(), dw, db]
    }
}

#[test]
fn agrees_with_the_reference() {
    let device = device();
    let pool = pool(&device, Precision::Tf32);
    // The last with as many inputs as a network's.
    let mut sizes: Vec<[usize; 3]> = vec![[32, 25_088, 5]];
    for n in [1, 2, 31, 33, 65] {
        for inputs in [1, 17, 64, 129, 700] {
            sizes.extend([1, 18, 64, 65].map(|outputs| [n, inputs, outputs]));
        }
    }
    for (at, sizes) in sizes.into_iter().enumerate() {
        let accumulate = if at % 2 == 0 { Accumulate::Overwrite } else { Accumulate::Add };
        let case = Case::new(sizes, at % 3 == 0, accumulate);
        let results = case.run(&device, &pool);
        let what = format!("{sizes:?}, ReLU: {}, {accumulate:?}", case.relu);
        for (name, (actual, expected)) in ["y", "dx", "dw", "db"].iter().zip(results.iter().zip(&case.expected())) {
            assert_close(&format!("{name} of {what}"), actual, expected, TOLERANCE);
        }
        assert_eq!(results, case.run(&device, &pool), "a second run of {what}");
    }
}

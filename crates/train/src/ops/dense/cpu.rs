//! The dense layer on the CPU, vectorised along the inputs.

use super::{DenseGradients, DenseKernel, Sizes};
use crate::backend::{Buffer, BufferPool, Matrix, Slot, Vector};
use crate::ops::layout::LANES;
use crate::ops::simd::{Kernel, Simd, dispatch, level, vectorized};
use dfdx::tensor::{Cpu, HasErr, TensorFromVec};
use rayon::prelude::*;

/// Inputs worked on at a time: a chunk of a few rows stays in the first-level cache.
const CHUNK: usize = 1024;

/// Rows that a task writes.
const ROWS: usize = 8;

impl DenseKernel for Cpu {
    fn dense(
        &self,
        pool: &BufferPool,
        sizes: Sizes,
        x: &Matrix<Self>,
        weight: &Vector<Self>,
        bias: &Vector<Self>,
        relu: bool,
    ) -> Result<Matrix<Self>, <Self as HasErr>::Err> {
        let Sizes { n, inputs, outputs } = sizes;
        let (x, weight, bias) =
            (matrix(pool, x, n * inputs), vector(pool, weight, inputs * outputs), vector(pool, bias, outputs));
        let (x, weight): (&[f32], &[f32]) = (&x, &weight);
        // Partial results of each chunk of inputs, added up in order whatever thread made them.
        let partial: Vec<Vec<f32>> = (0..inputs.div_ceil(CHUNK))
            .into_par_iter()
            .map(|chunk| {
                let mut y = vec![0.0; n * outputs];
                let (start, end) = (chunk * CHUNK, ((chunk + 1) * CHUNK).min(inputs));
                assert!(x.len() == n * inputs && weight.len() == outputs * inputs);
                // SAFETY: `level` is the machine's; all rows of both matrices have `inputs` floats, as asserted.
                unsafe { dispatch(level(), Dots { sizes, x, weight, start, end, y: &mut y }) };
                y
            })
            .collect();
        let value = |at: usize| {
            let sum = bias[at % outputs] + partial.iter().map(|y| y[at]).sum::<f32>();
            if relu { sum.max(0.0) } else { sum }
        };
        self.try_tensor_from_vec((0..n * outputs).map(value).collect(), (n, outputs))
    }

    fn dense_gradient(
        &self,
        pool: &BufferPool,
        sizes: Sizes,
        x: &Matrix<Self>,
        weight: &Vector<Self>,
        dy: &Slot<Self>,
        gradients: DenseGradients<'_, Self>,
    ) -> Result<(), <Self as HasErr>::Err> {
        let Sizes { n, inputs, outputs } = sizes;
        let (x, weight) = (matrix(pool, x, n * inputs), vector(pool, weight, inputs * outputs));
        let (x, weight, dy): (&[f32], &[f32], &[f32]) = (&x, &weight, dy);
        for row in dy.chunks_exact(outputs) {
            gradients.bias.iter_mut().zip(row).for_each(|(sum, d)| *sum += d);
        }
        gradients.input.par_chunks_mut(ROWS * inputs).enumerate().for_each(|(block, dx)| {
            let factor = |row: usize, o: usize| dy[(block * ROWS + row) * outputs + o];
            vectorized(|| add_products(inputs, weight, factor, dx));
        });
        gradients.weight.par_chunks_mut(ROWS * inputs).enumerate().for_each(|(block, dw)| {
            let factor = |o: usize, row: usize| dy[row * outputs + block * ROWS + o];
            vectorized(|| add_products(inputs, x, factor, dw));
        });
        Ok(())
    }
}

fn matrix(pool: &BufferPool, matrix: &Matrix<Cpu>, len: usize) -> Buffer {
    let mut values = pool.take(len);
    matrix.copy_into(&mut values);
    values
}

fn vector(pool: &BufferPool, vector: &Vector<Cpu>, len: usize) -> Buffer {
    let mut values = pool.take(len);
    vector.copy_into(&mut values);
    values
}

/// `y[n,o] = Σ x[n,i] · w[o,i]` over the inputs from `start` to `end`.
struct Dots<'a> {
    sizes: Sizes,
    x: &'a [f32],
    weight: &'a [f32],
    start: usize,
    end: usize,
    y: &'a mut [f32],
}

/// Rows of `x` whose products with a row of weights are summed at once.
const TILE: usize = 4;

impl Kernel for Dots<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let whole = self.sizes.n / TILE * TILE;
        for o in 0..self.sizes.outputs {
            for n in (0..whole).step_by(TILE) {
                // SAFETY: the caller vouches for the rows.
                unsafe { self.tile::<S, TILE>(n, o) };
            }
            for n in whole..self.sizes.n {
                // SAFETY: as above.
                unsafe { self.tile::<S, 1>(n, o) };
            }
        }
    }
}

impl Dots<'_> {
    /// Rows `n` to `n + N` of `x` with row `o` of the weights.
    #[inline(always)]
    unsafe fn tile<S: Simd, const N: usize>(&mut self, n: usize, o: usize) {
        let Sizes { inputs, outputs, .. } = self.sizes;
        let whole = self.start + (self.end - self.start) / LANES * LANES;
        // SAFETY: blocks of 16 inputs up to `whole` lie inside the rows.
        let sums: [[f32; LANES]; N] = unsafe {
            let (x, weight) = (self.x.as_ptr().add(n * inputs), self.weight.as_ptr().add(o * inputs));
            let mut sums = [S::splat(0.0); N];
            for i in (self.start..whole).step_by(LANES) {
                let weights = S::load(weight.add(i));
                for (row, sum) in sums.iter_mut().enumerate() {
                    *sum = S::multiply_add(S::load(x.add(row * inputs + i)), weights, *sum);
                }
            }
            sums.map(|sum| {
                let mut lanes = [0.0; LANES];
                S::store(lanes.as_mut_ptr(), sum);
                lanes
            })
        };
        for (row, lanes) in sums.into_iter().enumerate() {
            let rest =
                (whole..self.end).map(|i| self.x[(n + row) * inputs + i] * self.weight[o * inputs + i]).sum::<f32>();
            let [a, b] = [&lanes[..8], &lanes[8..]];
            let eight: [f32; 8] = std::array::from_fn(|lane| a[lane] + b[lane]);
            let four: [f32; 4] = std::array::from_fn(|lane| eight[lane] + eight[lane + 4]);
            self.y[(n + row) * outputs + o] = (four[0] + four[2]) + (four[1] + four[3]) + rest;
        }
    }
}

/// `target[r] += Σ_s factor(r, s) · source[s]` for rows of `width` floats.
#[inline(always)]
fn add_products(width: usize, source: &[f32], factor: impl Fn(usize, usize) -> f32, target: &mut [f32]) {
    let rows = source.len() / width;
    for start in (0..width).step_by(CHUNK) {
        let end = (start + CHUNK).min(width);
        for (row, target) in target.chunks_exact_mut(width).enumerate() {
            let target = &mut target[start..end];
            let part = |s: usize| &source[s * width + start..s * width + end];
            let fours = rows / 4 * 4;
            for s in (0..fours).step_by(4) {
                let [f0, f1, f2, f3] = [0, 1, 2, 3].map(|k| factor(row, s + k));
                let sources = part(s).iter().zip(part(s + 1)).zip(part(s + 2).iter().zip(part(s + 3)));
                for (target, ((s0, s1), (s2, s3))) in target.iter_mut().zip(sources) {
                    *target += f0 * s0 + f1 * s1 + f2 * s2 + f3 * s3;
                }
            }
            for s in fours..rows {
                let f = factor(row, s);
                target.iter_mut().zip(part(s)).for_each(|(target, source)| *target += f * source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;
    use crate::ops::testing::{assert_close, noise};
    use dfdx::tensor::Storage;

    #[test]
    fn fast_equals_reference() {
        let (device, pool) = (Cpu::default(), BufferPool::default());
        for [n, inputs, outputs] in [[1, 1, 1], [3, 5, 2], [2, 1024, 9], [7, 2100, 19], [33, 70, 4]] {
            let what = |what: &str| format!("{what}, {n}x{inputs} to {outputs}");
            let sizes = Sizes { n, inputs, outputs };
            let (x, weight) = (noise(1, n * inputs), noise(2, inputs * outputs));
            let (bias, dy) = (noise(3, outputs), noise(4, n * outputs));
            let x_matrix = device.try_tensor_from_vec(x.clone(), (n, inputs)).unwrap();
            let weight_vector = device.try_tensor_from_vec(weight.clone(), (inputs * outputs,)).unwrap();
            let bias_vector = device.try_tensor_from_vec(bias.clone(), (outputs,)).unwrap();
            let expected = reference::forward(sizes, &x, &weight, &bias);
            for relu in [false, true] {
                let y = device.dense(&pool, sizes, &x_matrix, &weight_vector, &bias_vector, relu).unwrap();
                let clamped: Vec<f32> = expected.iter().map(|&y| if relu { y.max(0.0) } else { y }).collect();
                assert_close(&what("y"), &y.as_vec(), &clamped);
            }
            let slot = |values: &[f32]| {
                let mut slot: Slot<Cpu> = Storage::<f32>::try_alloc_len(&device, values.len()).unwrap();
                slot.copy_from_slice(values);
                slot
            };
            let start = noise(5, n * inputs);
            let (mut dw, mut db, mut dx) = (slot(&vec![0.0; weight.len()]), slot(&vec![0.0; outputs]), slot(&start));
            let gradients = DenseGradients { weight: &mut dw, bias: &mut db, input: &mut dx };
            device.dense_gradient(&pool, sizes, &x_matrix, &weight_vector, &slot(&dy), gradients).unwrap();
            let (expected_dx, expected_dw, expected_db) = reference::gradient(sizes, &x, &weight, &dy);
            assert_close(&what("dw"), &dw, &expected_dw);
            assert_close(&what("db"), &db, &expected_db);
            let sum: Vec<f32> = start.iter().zip(&expected_dx).map(|(a, b)| a + b).collect();
            assert_close(&what("dx, added"), &dx, &sum);
        }
    }
}

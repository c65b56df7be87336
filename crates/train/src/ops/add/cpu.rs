//! The additions on the CPU.

use super::{SumKernel, Term, reference};
use crate::device::cpu::layout::{self, LANES, blocks};
use crate::device::cpu::simd::{Kernel, Simd, dispatch, is_reference, level};
use crate::device::cpu::{Buffer, BufferPool, activation::activate, host, parallel};
use crate::ops::batch_norm2d::{LaneAffine, reference::affine};
use crate::tensor::activation::Activation;
use crate::tensor::memory::Accumulate;
use crate::tensor::pending::{AddKernel, Affine};
use dfdx::tensor::{Cpu, HasErr};
use rayon::prelude::*;

impl AddKernel for Cpu {
    fn add_assign(&self, sum: &mut Buffer, term: &Buffer) -> Result<(), <Self as HasErr>::Err> {
        match is_reference() {
            true => reference::add_assign(sum, term),
            false => parallel::zip2(sum, term, add),
        }
        Ok(())
    }
}

#[inline(always)]
fn add(sum: &mut [f32], term: &[f32]) {
    for (sum, term) in sum.iter_mut().zip(term) {
        *sum += term;
    }
}

impl SumKernel for Cpu {
    fn sum(
        &self,
        pool: &BufferPool,
        shape: [usize; 4],
        terms: [Term<'_, Self>; 2],
        activation: Activation,
        y: &mut Buffer,
    ) -> Result<(), <Self as HasErr>::Err> {
        if is_reference() {
            let values = terms.map(|term| {
                let plain = layout::plain(term.data, shape);
                let applied =
                    |of: &Affine<Self>| affine(shape, &plain, &host(&of.scale), &host(&of.shift), of.activation);
                term.affine.map_or_else(|| plain.clone(), applied)
            });
            let sum = reference::sum([&values[0], &values[1]], activation);
            layout::put(&sum, shape, Accumulate::Overwrite, y);
            return Ok(());
        }
        let [_, c, h, w] = shape;
        let plane = h * w * LANES;
        let [a, b] = terms.map(|term| (&term.data[..], term.affine.map(LaneAffine::new)));
        y.par_chunks_mut(plane).enumerate().for_each(|(at, y)| {
            let block = at % blocks(c);
            let mut applied = b.1.as_ref().map(|_| pool.take(plane));
            let of = |map: &[f32]| -> std::ops::Range<usize> { at * plane..((at + 1) * plane).min(map.len()) };
            let b = match (&b, &mut applied) {
                ((map, Some(affine)), Some(applied)) => {
                    affine.apply(level(), block, &map[of(map)], applied);
                    &applied[..]
                }
                ((map, _), _) => &map[of(map)],
            };
            match &a {
                (map, Some(affine)) => affine.apply(level(), block, &map[of(map)], y),
                (map, None) => y.copy_from_slice(&map[of(map)]),
            }
            assert_eq!((y.len(), y.len() % LANES), (b.len(), 0), "planes of different maps");
            // SAFETY: `level` is the machine's; both planes hold the same number of whole pixels.
            unsafe { dispatch(level(), AddActivated { term: b, activation, sum: y }) };
        });
        Ok(())
    }

    fn copy(&self, from: &Buffer, to: &mut Buffer) -> Result<(), <Self as HasErr>::Err> {
        parallel::zip2(to, from, |to, from| to.copy_from_slice(from));
        Ok(())
    }
}

/// `sum = f(sum + term)`.
struct AddActivated<'a> {
    term: &'a [f32],
    activation: Activation,
    sum: &'a mut [f32],
}

impl Kernel for AddActivated<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for at in (0..self.sum.len()).step_by(LANES) {
            // SAFETY: the caller's promise.
            unsafe {
                let sum = S::add(S::load(self.sum.as_ptr().add(at)), S::load(self.term.as_ptr().add(at)));
                S::store(self.sum.as_mut_ptr().add(at), activate::<S>(self.activation, sum));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu::simd::available;
    use crate::ops::testing::{assert_close, noise};
    use crate::tensor::memory::Memory;
    use dfdx::tensor::TensorFromVec;

    #[test]
    fn fast_equals_reference() {
        let (device, pool) = (Cpu::default(), BufferPool::default());
        assert!(!available().is_empty());
        for shape @ [_, c, _, _] in [[1, 1, 1, 1], [2, 3, 5, 4], [1, 17, 3, 7], [2, 33, 2, 3]] {
            let len = shape.iter().product();
            let [a, b] = [1, 2].map(|seed| noise(seed, len).iter().map(|v| 8.0 * v).collect::<Vec<f32>>());
            let [a_blocked, b_blocked] = [&a, &b].map(|values| device.upload(&pool, shape, values).unwrap());
            let vector = |seed| device.tensor_from_vec(noise(seed, c), (c,));
            let of = |activation| Affine::<Cpu> { scale: vector(3), shift: vector(4), activation };
            let affine_of =
                |of: &Affine<Cpu>, x: &[f32]| affine(shape, x, &host(&of.scale), &host(&of.shift), of.activation);
            for activation in [Activation::None, Activation::Relu, Activation::Relu6] {
                let pending = of(activation);
                for (first, second) in
                    [(None, None), (Some(&pending), None), (None, Some(&pending)), (Some(&pending), Some(&pending))]
                {
                    let plain =
                        |x: &[f32], of: Option<&Affine<Cpu>>| of.map_or_else(|| x.to_vec(), |of| affine_of(of, x));
                    let expected = reference::sum([&plain(&a, first), &plain(&b, second)], activation);
                    let terms = [Term { data: &a_blocked, affine: first }, Term { data: &b_blocked, affine: second }];
                    let mut y = device.allocate(&pool, shape).unwrap();
                    device.sum(&pool, shape, terms, activation, &mut y).unwrap();
                    let what = format!("{shape:?}, {activation:?}, {} {}", first.is_some(), second.is_some());
                    assert_close(&what, &device.download(shape, &y).unwrap(), &expected);
                }
            }
        }
    }
}

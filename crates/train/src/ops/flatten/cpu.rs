//! Flattening on the CPU: one task an image.

use super::FlattenKernel;
use crate::backend::{Buffer, Matrix, Slot};
use crate::feature_map::Accumulate;
use crate::ops::layout;
use dfdx::tensor::{Cpu, HasErr, TensorFromVec};
use rayon::prelude::*;

impl FlattenKernel for Cpu {
    fn flatten(&self, [n, c, h, w]: [usize; 4], x: &Buffer) -> Result<Matrix<Self>, <Self as HasErr>::Err> {
        let features = c * h * w;
        let mut values = vec![0.0; n * features];
        let image = layout::blocked_len([1, c, h, w]);
        values
            .par_chunks_mut(features)
            .zip(x.par_chunks(image))
            .for_each(|(values, x)| layout::unblock(x, [1, c, h, w], values));
        self.try_tensor_from_vec(values, (n, features))
    }

    fn flatten_gradient(
        &self,
        [_, c, h, w]: [usize; 4],
        dy: &Slot<Self>,
        dx: &mut Buffer,
        accumulate: Accumulate,
    ) -> Result<(), <Self as HasErr>::Err> {
        let image = layout::blocked_len([1, c, h, w]);
        dx.par_chunks_mut(image).zip(dy.par_chunks(c * h * w)).for_each(|(dx, dy)| match accumulate {
            Accumulate::Overwrite => layout::block(dy, [1, c, h, w], dx),
            Accumulate::Add => {
                let mut share = vec![0.0; image];
                layout::block(dy, [1, c, h, w], &mut share);
                dx.iter_mut().zip(&share).for_each(|(dx, share)| *dx += share);
            }
        });
        Ok(())
    }
}

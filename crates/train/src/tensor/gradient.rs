//! The place where the gradient of a feature map gathers.

use super::memory::{Accumulate, Memory};
use super::pending::{NormShare, PendingKernel};
use std::cell::RefCell;
use std::rc::Rc;

/// Where the gradient of a feature map gathers during the backward pass: each op that read the map adds its share, the
/// op that made the map takes the sum.
#[derive(Debug)]
pub(crate) struct GradientCell<B: Memory> {
    pub(super) gathered: Rc<RefCell<Gathered<B>>>,
}

/// The shares of a gradient so far.
#[derive(Debug)]
pub(crate) struct Gathered<B: Memory> {
    pub sum: Option<B::Buffer>,
    /// Batch normalisation's share, still to be computed and added: a convolution does so as it reads the gradient.
    pub pending: Option<NormShare<B>>,
}

impl<B: Memory> Default for GradientCell<B> {
    fn default() -> Self {
        Self { gathered: Rc::new(RefCell::new(Gathered { sum: None, pending: None })) }
    }
}

impl<B: Memory> Clone for GradientCell<B> {
    fn clone(&self) -> Self {
        Self { gathered: Rc::clone(&self.gathered) }
    }
}

impl<B: PendingKernel> GradientCell<B> {
    /// All shares, for an op that can compute a pending one itself.
    pub(crate) fn take_shares(&self) -> Gathered<B> {
        self.gathered.replace(Gathered { sum: None, pending: None })
    }

    /// The sum of all shares; none if no op that was differentiated read the map.
    pub(crate) fn take(&self, device: &B, pool: &B::Pool, shape: [usize; 4]) -> Result<Option<B::Buffer>, B::Err> {
        self.settle(device, pool, shape)?;
        Ok(self.take_shares().sum)
    }

    /// Adds a share that is there already.
    pub(crate) fn add(&self, device: &B, pool: &B::Pool, shape: [usize; 4], share: B::Buffer) -> Result<(), B::Err> {
        self.settle(device, pool, shape)?;
        let sum = &mut self.gathered.borrow_mut().sum;
        match sum {
            Some(sum) => device.add_assign(sum, &share)?,
            None => *sum = Some(share),
        }
        Ok(())
    }

    /// Adds a share that `write` computes: into the given buffer, overwriting it or, where the flag says so, adding to
    /// it.
    pub(crate) fn add_with(
        &self,
        device: &B,
        pool: &B::Pool,
        shape: [usize; 4],
        write: impl FnOnce(&mut B::Buffer, Accumulate) -> Result<(), B::Err>,
    ) -> Result<(), B::Err> {
        self.settle(device, pool, shape)?;
        let sum = &mut self.gathered.borrow_mut().sum;
        match sum {
            Some(sum) => write(sum, Accumulate::Add),
            None => {
                let mut buffer = device.allocate(pool, shape)?;
                write(&mut buffer, Accumulate::Overwrite)?;
                *sum = Some(buffer);
                Ok(())
            }
        }
    }

    /// Adds batch normalisation's share, to be computed by who takes the sum.
    pub(crate) fn add_pending(
        &self,
        device: &B,
        pool: &B::Pool,
        shape: [usize; 4],
        share: NormShare<B>,
    ) -> Result<(), B::Err> {
        self.settle(device, pool, shape)?;
        self.gathered.borrow_mut().pending = Some(share);
        Ok(())
    }

    /// Computes the pending share.
    pub(super) fn settle(&self, device: &B, pool: &B::Pool, shape: [usize; 4]) -> Result<(), B::Err> {
        let Some(share) = self.gathered.borrow_mut().pending.take() else { return Ok(()) };
        self.add_with(device, pool, shape, |dx, accumulate| device.apply_norm_share(shape, &share, dx, accumulate))
    }
}

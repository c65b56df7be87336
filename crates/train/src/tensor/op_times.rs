//! What each op of a pass takes.

use super::memory::Memory;
use indexmap::IndexMap;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Which way an op ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Computing activations.
    Forward,
    /// Computing gradients.
    Backward,
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
        })
    }
}

/// Time spent in each op, summed over passes. A clone shares the sums.
#[derive(Debug, Clone, Default)]
pub(crate) struct Profile {
    rows: Rc<RefCell<IndexMap<(String, Direction), ProfileRow>>>,
}

/// Time spent in one op.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProfileRow {
    /// The layer's name, or the op's where there is no layer.
    pub op: String,
    /// Which way.
    pub direction: Direction,
    /// Over all runs.
    pub time: Duration,
    /// Of the fastest run: what the op takes where nothing disturbs it.
    pub fastest: Duration,
    /// Floating-point operations over all runs, as the direct algorithm has them; 0 where they do not matter.
    pub flops: usize,
    /// Times that the op ran.
    pub runs: usize,
}

impl Profile {
    /// In the order in which the ops first ran.
    pub(crate) fn rows(&self) -> Vec<ProfileRow> {
        self.rows.borrow().values().cloned().collect()
    }

    fn record(&self, op: &str, direction: Direction, time: Duration, flops: usize) {
        let mut rows = self.rows.borrow_mut();
        let new = || ProfileRow {
            op: op.to_owned(),
            direction,
            time: Duration::ZERO,
            fastest: Duration::MAX,
            flops: 0,
            runs: 0,
        };
        let row = rows.entry((op.to_owned(), direction)).or_insert_with(new);
        row.time += time;
        row.fastest = row.fastest.min(time);
        row.flops += flops;
        row.runs += 1;
    }
}

/// Runs an op and records its time. A device that works on its own is waited for before and after: what it takes to
/// ask for the op would say nothing. Without a profile nobody waits.
pub(super) fn timed<B: Memory, R>(
    profile: Option<&Profile>,
    device: &B,
    op: Op<'_>,
    direction: Direction,
    run: impl FnOnce() -> Result<R, B::Err>,
) -> Result<R, B::Err> {
    let Some(profile) = profile else { return run() };
    device.try_synchronize()?;
    let start = Instant::now();
    let result = run()?;
    device.try_synchronize()?;
    profile.record(op.name, direction, start.elapsed(), op.flops);
    Ok(result)
}

/// What a profile says about a run of an op.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Op<'a> {
    pub name: &'a str,
    /// Floating-point operations; 0 where they do not matter.
    pub flops: usize,
}

impl<'a> From<&'a str> for Op<'a> {
    fn from(name: &'a str) -> Self {
        Self { name, flops: 0 }
    }
}

impl<'a> From<&'a String> for Op<'a> {
    fn from(name: &'a String) -> Self {
        Self { name, flops: 0 }
    }
}

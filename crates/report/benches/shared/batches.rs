//! Shards to shuffled batches.

use super::programs::Programs;
use super::{BATCH, SIDE, machine, timing};
use preprocess::Result;
use preprocess::dataset::Dataset;
use preprocess::pipeline::Split;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use train::data::feed::Feed;
use train::data::order::shuffled;
use train::data::store::HostStore;

/// Images a second of the training split, copy 0, in shuffled batches: reading threads and all on one core.
///
/// # Errors
/// `programs` has no shards.
pub fn images_a_second_on_one_core(programs: &Programs, budget: Duration) -> Result<f64> {
    let dataset = Dataset::open(&programs.pipeline()?.shards_dir())?;
    let shards = Arc::new(dataset.rows(Split::Train, 0)?);
    let mut feed = Feed::new(HostStore, SIDE * SIDE * 3, BATCH);
    let mut failed = None;
    let seconds = machine::on_one_core(|| {
        let mut epoch = 0;
        timing::seconds(budget, || {
            epoch += 1;
            let order = shuffled(shards.len(), 1, epoch);
            match feed.epoch(&shards, order) {
                Ok(batches) => batches.for_each(|batch| failed = batch.map(black_box).err().or_else(|| failed.take())),
                Err(error) => failed = Some(error),
            }
        })
    });
    failed.map_or(Ok(shards.len() as f64 / seconds), Err)
}

//! The Parquet files: their schema, how rows are divided among them, how they are written and read back.

mod plan;
mod positioned;
mod read;
mod schema;
mod write;

pub(crate) use plan::{MAX_SHARD_BYTES, PlannedShard, plan, split_of_name};
pub(crate) use positioned::read_exact_at;
pub(crate) use read::{StoredRow, is_ours, read};
pub(crate) use write::{Row, Written, write};

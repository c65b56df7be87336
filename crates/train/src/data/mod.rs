//! From shards to batches on the device.

pub(crate) mod copies;
pub mod feed;
pub(crate) mod files;
pub mod images;
pub mod order;
pub(crate) mod readers;
pub mod shards;
pub mod store;

//! From shards to batches on the device.

pub mod copies;
pub mod feed;
pub mod files;
pub mod images;
pub mod readers;
pub mod shards;
pub mod store;

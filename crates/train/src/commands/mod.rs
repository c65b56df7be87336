//! What the sub-commands do.

pub mod classify;
pub mod console;
pub mod evaluate;
pub mod predict;
pub mod profile;
pub mod train;

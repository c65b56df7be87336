//! What the sub-commands do.

pub(crate) mod classify;
pub(crate) mod console;
pub(crate) mod evaluate;
pub(crate) mod predict;
pub mod profile;
pub(crate) mod train;
pub(crate) mod weights;

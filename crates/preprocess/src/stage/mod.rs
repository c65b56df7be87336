//! What every stage program shares.

pub mod error;

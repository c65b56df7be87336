//! The third stage: predictions in, tables, figures and a gate out.

pub mod cli;

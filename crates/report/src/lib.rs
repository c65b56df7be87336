//! The third stage: predictions in, tables, figures and a gate out.
//!
//! The data flow, module by module: [`results`] reads what the other stages wrote and checks that it belongs together,
//! [`metrics`] turns it into numbers, [`audit`] tells what is wrong with the data, [`metrics_file`] is `metrics.json`, [`sections`] lays the numbers out as a
//! [`document`] with [`figure`]s, and [`run`] writes it all. [`gate`] compares `metrics.json` with a committed
//! baseline.

pub mod audit;
pub mod cli;
pub mod document;
pub mod figure;
mod files;
pub mod format;
pub mod gate;
pub mod metrics;
pub mod metrics_file;
pub mod results;
pub mod run;
pub mod samples;
pub mod sections;

//! The rows of the table.

use crate::shared::peak::Peak;
use crate::shared::table::{Table, number};

/// What a row says about one piece of work.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// Of one run.
    pub seconds: f64,
    /// Images that a run handles; 0 where it handles none.
    pub images: usize,
    /// Floating-point operations of a run, as the direct algorithm has them; 0 where they do not matter.
    pub flops: usize,
    /// The bytes that a run must move at least: inputs read and outputs written once; 0 where arithmetic is the bound.
    pub bytes: usize,
}

/// The table as it grows.
pub struct Rows {
    peak: Peak,
    table: Table,
}

impl Rows {
    pub fn new(peak: Peak) -> Self {
        let header = ["stage", "work", ">ms", ">images/s", ">GFLOP/s", ">GB/s", ">of the peak"];
        Self { peak, table: Table::new(&header) }
    }

    /// The ceilings of what is added from now on: another device's.
    #[cfg(feature = "cuda")]
    pub fn set_peak(&mut self, peak: Peak) {
        self.peak = peak;
    }

    pub fn add(&mut self, stage: &str, name: &str, work: Work) {
        let Work { seconds, images, flops, bytes } = work;
        let or_none = |count: usize, value: f64| if count == 0 { String::new() } else { number(value) };
        let (flops_a_second, bytes_a_second) = (flops as f64 / seconds, bytes as f64 / seconds);
        let share = match (flops, bytes) {
            (0, 0) => String::new(),
            (0, _) => percent(bytes_a_second / self.peak.bytes),
            _ => percent(flops_a_second / self.peak.flops),
        };
        self.table.row(vec![
            stage.to_owned(),
            name.to_owned(),
            number(seconds * 1e3),
            or_none(images, images as f64 / seconds),
            or_none(flops, flops_a_second / 1e9),
            or_none(bytes, bytes_a_second / 1e9),
            share,
        ]);
    }

    pub fn print(&self) {
        self.table.print();
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

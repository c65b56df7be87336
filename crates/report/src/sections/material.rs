//! What sections are made from.

use crate::audit::Audit;
use crate::metrics_file::Metrics;
use crate::results::Results;
use crate::samples::{Picks, Picture};
use preprocess::pipeline::Split;
use std::collections::BTreeMap;

/// The numbers, what they follow from, and images to show.
pub struct Material<'a> {
    /// What the stages wrote.
    pub results: &'a Results,
    /// The numbers.
    pub metrics: &'a Metrics,
    /// The images to show; none where no split is judged.
    pub picks: Option<&'a Picks>,
    /// What is wrong with the data; none where training has left no evidence.
    pub audit: Option<&'a Audit>,
    /// The images' pixels by path; empty where the shards are gone.
    pub pictures: &'a BTreeMap<String, Picture>,
    /// What the reader should know, beside the results' own notes.
    pub notes: &'a [String],
}

/// With a capital letter, as a heading or a table's first column begins.
pub(super) fn capitalised(split: Split) -> &'static str {
    match split {
        Split::Train => "Training",
        Split::Validation => "Validation",
        Split::Test => "Test",
    }
}

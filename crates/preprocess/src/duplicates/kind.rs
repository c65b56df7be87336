//! By what images are copies of one another.

use serde::{Deserialize, Serialize};

/// By what an image hangs together with its group; the strongest where there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Its decoded pixels equal another's.
    Exact,
    /// It is a near-copy of another.
    Near,
    /// It is a near-copy of another that is mirrored.
    Mirrored,
    /// The user says so (`preprocess.split.group_by`).
    Given,
}

impl Kind {
    /// As in `duplicates.csv`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Exact => "exact",
            Kind::Near => "near",
            Kind::Mirrored => "mirrored",
            Kind::Given => "given",
        }
    }
}

//! What is wrong with an image, and what could be done about it.

use std::fmt;

/// In which way an image is wrong, in the order in which findings are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Its label is likely another's.
    WrongLabel,
    /// The same picture is there under another label.
    Duplicate,
    /// The same picture is in a split that models learn from, or are chosen by.
    Leak,
    /// There is nothing to be seen on it, or it is of another form than the rest.
    Unusable,
    /// It is like no other image of its class, nor of any other.
    Outlier,
}

impl Kind {
    /// In their order.
    pub const ALL: [Kind; 5] = [Self::WrongLabel, Self::Duplicate, Self::Leak, Self::Unusable, Self::Outlier];

    /// As in `audit.csv` and `metrics.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::WrongLabel => "wrong-label",
            Self::Duplicate => "duplicate",
            Self::Leak => "leak",
            Self::Unusable => "unusable",
            Self::Outlier => "outlier",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What could be done about an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suggestion {
    /// Give it the class of this index.
    Relabel(usize),
    /// Leave it out.
    Drop,
    /// A person has to see.
    Look,
}

/// One thing that is wrong with one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The image's row in the evidence.
    pub row: usize,
    /// In which way it is wrong.
    pub kind: Kind,
    /// What could be done.
    pub suggestion: Suggestion,
    /// 0 to 1, the worse the higher; comparable within one kind only.
    pub score: f64,
    /// Why, in a sentence with figures; names in it are as they are.
    pub evidence: String,
    /// Rows that show why, the most telling first.
    pub beside: Vec<usize>,
}

/// A fraction in whole percent: `97 %`; `under 1 %` and `over 99 %` rather than a none or an all that it is not.
pub(super) fn percent(fraction: f64) -> String {
    match 100.0 * fraction {
        percent if percent > 0.0 && percent < 1.0 => "under 1 %".into(),
        percent if percent < 100.0 && percent > 99.0 => "over 99 %".into(),
        percent => format!("{percent:.0} %"),
    }
}

/// How far beyond a limit that is exceeded: 0 upon it, towards 1 far beyond. Both of one sign.
pub(super) fn beyond(value: f64, limit: f64) -> f64 {
    (1.0 - limit / value).clamp(0.0, 1.0)
}
